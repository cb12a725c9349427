// SPDX-License-Identifier: LGPL-2.1-or-later
/* A disk that was plugged in anew, or reset, answers the first command that it has been so (a unit attention), and a guest's
 * driver takes that for another medium if the disk is a removable one, and gives up what it has mounted. So it is asked
 * here, until it has nothing more to say. Best effort: what goes wrong is left to the program. Test: usb-guest. */
#include <linux/usbdevice_fs.h>
#include <string.h>
#include <sys/ioctl.h>

#include "usb.h"

#define TIMEOUT_MS 5000
#define TRIES 5
#define LUNS_MAX 16

/* Universal Serial Bus Mass Storage Class, Bulk-Only Transport 1.0: 5.1. */
struct command {
	char signature[4];
	uint32_t tag, length;
	uint8_t flags, lun, size, cdb[16];
} __attribute__((packed));

struct disk {
	int fd;
	unsigned interface, in, out;
	uint32_t tag;
};

static int bulk(const struct disk *d, unsigned endpoint, void *data, unsigned size)
{
	struct usbdevfs_bulktransfer t = { .ep = endpoint, .len = size, .timeout = TIMEOUT_MS, .data = data };
	int n = ioctl(d->fd, USBDEVFS_BULK, &t);

	if (n < 0)
		ioctl(d->fd, USBDEVFS_CLEAR_HALT, &endpoint);
	return n;
}

/* A command without data, or with some that are read. Returns its status, or -1. */
static int transact(struct disk *d, unsigned lun, uint8_t code, uint8_t *data, uint8_t length)
{
	struct command c = { .signature = "USBC",
		             .tag = ++d->tag,
		             .length = length,
		             .flags = 0x80,
		             .lun = (uint8_t)lun,
		             .size = 6,
		             .cdb = { code, 0, 0, 0, length } };
	uint8_t status[13] = { 0 };

	if (bulk(d, d->out, &c, 31) != 31 || (length && bulk(d, d->in, data, length) < 0))
		return -1;
	if (bulk(d, d->in, status, sizeof(status)) != sizeof(status) &&
	    bulk(d, d->in, status, sizeof(status)) != sizeof(status))
		return -1; /* the second time for a halted endpoint (6.7.2) */
	return memcmp(status, "USBS", 4) ? -1 : status[12];
}

/* TEST UNIT READY; why it is not, REQUEST SENSE tells once. */
static void calm(struct disk *d, unsigned lun)
{
	uint8_t sense[18];

	for (unsigned i = 0; i < TRIES && transact(d, lun, 0x00, NULL, 0) == 1; i++)
		if (transact(d, lun, 0x03, sense, sizeof(sense)))
			return;
}

/* The endpoints of the first setting of an interface for bulk-only mass storage. */
static bool find(struct disk *d, const uint8_t *at, size_t size)
{
	bool inside = false;

	d->in = d->out = 0;
	for (size_t i = 0; i + 7 <= size && at[i]; i += at[i]) {
		if (at[i + 1] == 4 && i + 9 <= size)
			inside = at[i + 2] == d->interface && !at[i + 3] && at[i + 5] == 8 && at[i + 7] == 0x50;
		else if (inside && at[i + 1] == 5 && at[i + 3] == 2)
			*(at[i + 2] & 0x80 ? &d->in : &d->out) = at[i + 2];
	}
	return d->in && d->out;
}

void usb_disk_calm(int fd, const struct usb_device *device, uint64_t interfaces)
{
	for (unsigned i = 0; i < 64; i++) {
		struct disk d = { .fd = fd, .interface = i };
		uint8_t last = 0;
		/* GET MAX LUN: 3.2 */
		struct usbdevfs_ctrltransfer t = { .bRequestType = 0xa1,
			                           .bRequest = 0xfe,
			                           .wIndex = (uint16_t)i,
			                           .wLength = 1,
			                           .timeout = TIMEOUT_MS,
			                           .data = &last };
		if (!(interfaces & 1ull << i) || !find(&d, device->descriptors, device->size))
			continue;
		if (ioctl(fd, USBDEVFS_CONTROL, &t) != 1 || last >= LUNS_MAX)
			last = 0;
		for (unsigned lun = 0; lun <= last; lun++)
			calm(&d, lun);
	}
}
