// SPDX-License-Identifier: LGPL-2.1-or-later
/* Isochronous requests to a sound card, several in flight all the time: each comes back once, with all of its packets.
 * "SOUND n" every now and then. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "usb-load.h"

#define URBS 4
#define PACKETS 8
#define PACKET_SIZE 192u /* a millisecond of 48 kHz, two channels of two bytes */

struct request {
	struct usbdevfs_urb *urb;
	unsigned number; /* of its submission */
	uint8_t data[PACKETS * PACKET_SIZE];
};

static void send_off(struct device *d, struct request *r, unsigned number)
{
	struct usbdevfs_urb *urb = r->urb;

	memset(urb, 0, sizeof(*urb));
	r->number = number;
	urb->type = USBDEVFS_URB_TYPE_ISO;
	urb->endpoint = 0x01;
	urb->flags = USBDEVFS_URB_ISO_ASAP;
	urb->buffer = r->data;
	urb->buffer_length = sizeof(r->data);
	urb->number_of_packets = PACKETS;
	urb->usercontext = r;
	for (unsigned i = 0; i < PACKETS; i++)
		urb->iso_frame_desc[i] = (struct usbdevfs_iso_packet_desc){ .length = PACKET_SIZE, .status = 0xee };
	submit(d, urb);
}

static void check(const struct usbdevfs_urb *urb, const struct request *r, unsigned want)
{
	bool touched = true;

	if (urb->status == -ESHUTDOWN || urb->status == -ENODEV)
		gone("sound");
	for (unsigned i = 0; i < PACKETS; i++)
		touched = touched && urb->iso_frame_desc[i].status != 0xee;
	if (!urb->status && touched && urb->usercontext == r && r->number == want)
		return;
	printf("BAD sound: request %u instead of %u, status %d\n", r->number, want, urb->status);
	exit(1);
}

void sound_run(struct device *d)
{
	static struct request requests[URBS];
	struct usbdevfs_setinterface set = { .interface = 1, .altsetting = 1 };
	struct usbdevfs_disconnect_claim claim = { .interface = 1 };
	unsigned sent = 0;

	if (ioctl(d->fd, USBDEVFS_DISCONNECT_CLAIM, &claim) < 0 || ioctl(d->fd, USBDEVFS_SETINTERFACE, &set) < 0)
		die("sound card");
	for (unsigned i = 0; i < URBS; i++) {
		requests[i].urb = calloc(1, sizeof(struct usbdevfs_urb) + PACKETS * sizeof(struct usbdevfs_iso_packet_desc));
		if (!requests[i].urb)
			die("memory");
		send_off(d, &requests[i], sent++);
	}
	for (unsigned n = 0;; n++) {
		struct usbdevfs_urb *urb = reap(d);
		struct request *r = urb->usercontext;
		check(urb, r, n);
		send_off(d, r, sent++);
		if (n % 100 == 99)
			printf("SOUND %u\n", n + 1);
	}
}
