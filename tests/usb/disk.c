// SPDX-License-Identifier: LGPL-2.1-or-later
/* Commands to a disk, one after the other for ever: reads of what is known to be there, writes, and reads of what was
 * written. All transfers of a command but the first are submitted before it, so that several are in flight at any moment.
 * "DISK n" every now and then. */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "usb-load.h"

#define BLOCK 512u
#define CHUNK_BLOCKS 64u /* of a command */
#define PARTS 2u         /* transfers of its data */
#define CHUNKS 256u      /* of the disk: 8 MiB */
#define PART (CHUNK_BLOCKS * BLOCK / PARTS)

struct command { /* Universal Serial Bus Mass Storage Class, Bulk-Only Transport: 5.1 */
	char signature[4];
	uint32_t tag, length;
	uint8_t flags, lun, size, cdb[16];
} __attribute__((packed));

struct status { /* 5.2 */
	char signature[4];
	uint32_t tag, residue;
	uint8_t status;
} __attribute__((packed));

static uint32_t version[CHUNKS]; /* how often it was written */
static uint32_t tag, retries;

static void nap(unsigned ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000l };

	while (nanosleep(&ts, &ts) && errno == EINTR)
		;
}

static void make(uint32_t chunk, uint8_t *ret)
{
	uint32_t *words = (uint32_t *)ret, x = chunk * 2654435761u + version[chunk] * 40503u + 1;

	for (uint32_t i = 0; i < CHUNK_BLOCKS * BLOCK / 4; i++) {
		x = x * 1664525u + 1013904223u;
		words[i] = x;
	}
}

void disk_fill(const char *path)
{
	static uint8_t data[CHUNK_BLOCKS * BLOCK];
	FILE *f = fopen(path, "w");

	if (!f)
		die(path);
	for (uint32_t i = 0; i < CHUNKS; i++) {
		make(i, data);
		if (fwrite(data, sizeof(data), 1, f) != 1)
			die(path);
	}
	if (fclose(f))
		die(path);
}

static void fill_urb(struct usbdevfs_urb *urb, unsigned endpoint, void *data, unsigned size)
{
	*urb = (struct usbdevfs_urb){
		.type = USBDEVFS_URB_TYPE_BULK, .endpoint = (uint8_t)endpoint, .buffer = data, .buffer_length = (int)size
	};
}

static void check_urb(struct device *d, const struct usbdevfs_urb *urb, const char *what)
{
	unsigned endpoint = urb->endpoint;

	if (!urb->status)
		return;
	if (urb->status == -ESHUTDOWN || urb->status == -ENODEV)
		gone(what);
	if (urb->status == -EPIPE) {
		ioctl(d->fd, USBDEVFS_CLEAR_HALT, &endpoint);
		return;
	}
	printf("BAD %s: status %d after %d bytes\n", what, urb->status, urb->actual_length);
	exit(1);
}

/* A command that fails has its status where its data were expected: what else was asked for will not come. */
static bool is_status(const struct usbdevfs_urb *urb, const struct command *c, struct status *st)
{
	if (!(urb->endpoint & 0x80) || urb->actual_length != 13 || memcmp(urb->buffer, "USBS", 4) ||
	    memcmp((char *)urb->buffer + 4, &c->tag, 4))
		return false;
	memmove(st, urb->buffer, 13);
	return true;
}

static void discard(struct device *d, struct usbdevfs_urb *urbs, unsigned n, unsigned back)
{
	for (unsigned i = 0; i < n; i++)
		ioctl(d->fd, USBDEVFS_DISCARDURB, &urbs[i]); /* EINVAL of those that are back */
	for (; back < n; back++) {
		struct usbdevfs_urb *urb = reap(d);
		if (urb->status != -ENOENT) {
			printf("BAD request that was discarded: status %d, %d bytes\n", urb->status, urb->actual_length);
			exit(1);
		}
	}
}

/* Sends a command with its data in `parts` transfers. Returns its status. */
static int transact(struct device *d, const uint8_t *cdb, unsigned size, uint8_t *data, unsigned length, unsigned parts,
                    bool in, unsigned linger_ms)
{
	struct command c = {
		.signature = "USBC", .tag = ++tag, .length = length, .flags = in ? 0x80 : 0, .size = (uint8_t)size
	};
	struct status st = { .tag = 0 };
	struct usbdevfs_urb urbs[PARTS + 2];
	unsigned n = 0, back = 0;

	memcpy(c.cdb, cdb, size);
	fill_urb(&urbs[n++], d->out, &c, 31);
	for (unsigned i = 0; i < parts; i++)
		fill_urb(&urbs[n++], in ? d->in : d->out, data + i * (length / parts), length / parts);
	fill_urb(&urbs[n++], d->in, &st, 13);
	submit(d, &urbs[0]);
	for (unsigned i = 1; i < n; i++) {
		if (i == 2 && linger_ms)
			nap(linger_ms);
		submit(d, &urbs[i]);
	}
	for (; back < n; back++) {
		struct usbdevfs_urb *urb = reap(d);
		if (urb < urbs || urb >= urbs + n) {
			printf("BAD request %p is none of ours\n", (void *)urb);
			exit(1);
		}
		check_urb(d, urb, urb == urbs ? "command" : urb == urbs + n - 1 ? "status" : "data");
		if (urb != urbs && is_status(urb, &c, &st)) {
			discard(d, urbs, n, back + 1);
			break;
		}
	}
	if (memcmp(st.signature, "USBS", 4) || st.tag != c.tag) {
		printf("BAD status of command %u: %.4s %u\n", c.tag, st.signature, st.tag);
		exit(1);
	}
	return st.status;
}

static void sense(struct device *d)
{
	static const uint8_t cdb[6] = { 0x03, 0, 0, 0, 18, 0 };
	uint8_t data[18] = { 0 };

	transact(d, cdb, sizeof(cdb), data, sizeof(data), 1, true, 0);
	printf("SENSE %x/%02x/%02x\n", data[2] & 15, data[12], data[13]);
	retries++;
}

static void chunk_command(struct device *d, uint32_t chunk, uint8_t *data, bool in, unsigned linger_ms)
{
	uint32_t lba = htobe32(chunk * CHUNK_BLOCKS);
	uint8_t cdb[10] = { in ? 0x28 : 0x2a, 0, 0, 0, 0, 0, 0, 0, CHUNK_BLOCKS, 0 };

	memcpy(cdb + 2, &lba, 4);
	for (unsigned attempt = 0; attempt < 5; attempt++) {
		if (!transact(d, cdb, sizeof(cdb), data, CHUNK_BLOCKS * BLOCK, PARTS, in, linger_ms))
			return;
		sense(d);
	}
	printf("BAD command: it fails again and again\n");
	exit(1);
}

static void compare(uint32_t chunk, const uint8_t *data)
{
	static uint8_t want[CHUNK_BLOCKS * BLOCK];

	make(chunk, want);
	for (unsigned i = 0; i < sizeof(want); i++) {
		if (data[i] == want[i])
			continue;
		printf("BAD chunk %u (version %u) differs from byte %u on\n", chunk, version[chunk], i);
		exit(1);
	}
}

void disk_run(struct device *d, unsigned linger_ms, unsigned pause_ms)
{
	struct usbdevfs_disconnect_claim claim = { .interface = d->interface };
	static uint8_t data[CHUNK_BLOCKS * BLOCK];

	if (!d->in || !d->out || d->interrupt)
		die("no disk");
	/* Another program may have been killed in the midst of a command. A reset takes the interface away. */
	if (ioctl(d->fd, USBDEVFS_RESET, NULL) < 0 || ioctl(d->fd, USBDEVFS_DISCONNECT_CLAIM, &claim) < 0)
		die("reset");
	for (uint32_t n = 1;; n++) {
		uint32_t chunk = n * 2654435761u % CHUNKS;
		if (n % 3 == 0 && !d->read_only) {
			version[chunk]++;
			make(chunk, data);
			chunk_command(d, chunk, data, false, linger_ms);
		}
		memset(data, 0, sizeof(data));
		chunk_command(d, chunk, data, true, linger_ms);
		compare(chunk, data);
		if (n % 20 == 0 || linger_ms || pause_ms > 100)
			printf("DISK %u\n", n);
		if (pause_ms)
			nap(pause_ms);
	}
}
