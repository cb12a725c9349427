// SPDX-License-Identifier: LGPL-2.1-or-later
/* A serial line (communications device class, abstract control model) that is set to a speed of its own, and read by whole
 * transfers (USBDEVFS_BULK) which end by their time-out: nothing is ever sent. "WAITED n" after each, while the device says
 * that it has this speed. */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "usb-load.h"

#define CONTROL 0u /* interfaces */
#define DATA 1u
#define SPEED 19200u

/* Class Definitions for Communications Devices 1.2, PSTN subclass: 6.3.10 to 6.3.12. */
#define SET_LINE_CODING 0x20
#define GET_LINE_CODING 0x21

static int control(struct device *d, uint8_t type, uint8_t request, void *data, uint16_t size)
{
	struct usbdevfs_ctrltransfer t = {
		.bRequestType = type, .bRequest = request, .wIndex = CONTROL, .wLength = size, .timeout = 5000, .data = data
	};

	return ioctl(d->fd, USBDEVFS_CONTROL, &t);
}

static unsigned speed(struct device *d)
{
	uint8_t coding[7] = { 0 };
	uint32_t bits;

	if (control(d, 0xa1, GET_LINE_CODING, coding, sizeof(coding)) != sizeof(coding)) {
		if (errno == ENODEV)
			gone("speed");
		die("speed");
	}
	memcpy(&bits, coding, sizeof(bits));
	return le32toh(bits);
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void wait_for_data(struct device *d, unsigned ms)
{
	char data[512];
	struct usbdevfs_bulktransfer t = { .ep = d->bulk_in, .len = sizeof(data), .timeout = ms, .data = data };
	uint64_t before = now_ms();
	int result = ioctl(d->fd, USBDEVFS_BULK, &t);

	if (result < 0 && errno == ENODEV)
		gone("read");
	if (result >= 0 || errno != ETIMEDOUT) {
		printf("BAD read: %d, %s\n", result, strerror(errno));
		exit(1);
	}
	if (now_ms() - before + 20 < ms) {
		printf("BAD read: ended after %lu ms\n", now_ms() - before);
		exit(1);
	}
}

void serial_run(struct device *d, unsigned ms)
{
	struct usbdevfs_disconnect_claim claim = { .interface = DATA };
	uint32_t bits = htole32(SPEED);
	uint8_t coding[7] = { 0, 0, 0, 0, 0, 0, 8 };

	memcpy(coding, &bits, sizeof(bits));
	if (!d->bulk_in)
		die("endpoints");
	if (ioctl(d->fd, USBDEVFS_DISCONNECT_CLAIM, &claim) < 0)
		die("claim");
	if (control(d, 0x21, SET_LINE_CODING, coding, sizeof(coding)) < 0)
		die("set speed");
	for (unsigned n = 1;; n++) {
		wait_for_data(d, ms);
		unsigned bps = speed(d);
		printf("%s %u\n", bps == SPEED ? "WAITED" : "OTHER-SPEED", n);
	}
}
