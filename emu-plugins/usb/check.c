// SPDX-License-Identifier: LGPL-2.1-or-later
/* What will happen to USB devices in a checkpoint, what stands in the way, the moment for it, and the records. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "usb.h"

#define RUN_REMEDY "start the program with `stasis run`"
#define COMMAND_MS 3000 /* patience with a command to a disk */
#define TRANSFER_MS 1000
#define ASK_MIN 50 /* how often at least: others may have been waited for */

static const struct usb_rec_device *device_of(const struct usb_state *u, const struct usb_rec_handle *h)
{
	return &u->devices[h->device - 1];
}

static unsigned count_bits(uint64_t bits)
{
	return (unsigned)__builtin_popcountll(bits);
}

static void check_handle(struct stasis_session *s, const struct usb_state *u, const struct usb_rec_handle *h)
{
	const struct usb_rec_device *d = device_of(u, h);

	if (d->gone)
		stasis_action(s, h->fd, "its device is unplugged, and stays so");
	else if (h->flags == O_RDONLY)
		stasis_action(s, h->fd, "%04x:%04x %s in port %s: opened again for reading", d->vendor, d->product, d->name,
		              d->port);
	else
		stasis_action(s, h->fd,
		              "%04x:%04x %s in port %s: found again at the restart, or elsewhere with --map usb:%s=NEW; %u of "
		              "its interfaces are claimed",
		              d->vendor, d->product, d->name, d->port, d->port, count_bits(h->claimed));
	if (h->flags == O_RDONLY || d->gone)
		return;
	if (!u->journal)
		stasis_obstacle(s, h->fd, NULL, RUN_REMEDY,
		                "%04x:%04x in port %s: the kernel will not tell what is in flight, and the target runs without "
		                "the recorder",
		                d->vendor, d->product, d->port);
	else if (stasis_recorder_broken(s))
		stasis_obstacle(s, h->fd, NULL, RUN_REMEDY, "the recorder's journal ran full");
}

/* The recorder refuses such memory; it cannot for those that go past it. */
static void check_mappings(struct stasis_session *s, const struct usb_state *u)
{
	char path[64], line[4096];
	bool found = false;

	snprintf(path, sizeof(path), "/proc/%d/maps", stasis_pid(s));
	FILE *f = fopen(path, "re");
	while (f && !found && fgets(line, sizeof(line), f))
		found = strstr(line, " /dev/bus/usb/");
	if (f)
		fclose(f);
	if (found && u->n_handles)
		stasis_obstacle(s, u->handles[0].fd, NULL, "have the program use memory of its own for its transfers",
		                "memory of usbfs is mapped, into which a device may write at any moment");
}

int usb_check(struct stasis_session *s, void *state)
{
	struct usb_state *u = state;
	uint64_t size;

	if (stasis_recorded(s, &u->journal, &size))
		u->journal = 0;
	int err = usb_survey(s, u);
	for (size_t i = 0; i < u->n_handles && !err; i++)
		check_handle(s, u, &u->handles[i]);
	if (!err)
		check_mappings(s, u);
	return err;
}

/* ---- the moment ---- */

/* There is always an isochronous one. */
static bool is_out(const struct usbdevfs_urb *urb)
{
	return urb->type == USBDEVFS_URB_TYPE_CONTROL || (urb->type != USBDEVFS_URB_TYPE_ISO && !(urb->endpoint & 0x80));
}

/* What has begun to go out comes to its end by itself, mostly at once. */
static int anything_out(struct stasis_session *s, const struct usb_state *u, int fd, bool *ret)
{
	struct usb_flown *flights;
	size_t n;
	int err = usb_journal_flights(s, u->journal, fd, &flights, &n);

	if (err)
		return err;
	for (size_t i = 0; i < n; i++)
		*ret = *ret || (is_out(&flights[i].urb) && usb_flight_state(&flights[i].flight, &flights[i].had) == USB_FLYING);
	free(flights);
	return 0;
}

/* The commands are the journal's own word; descriptors that were opened since the check are looked at as well. */
int usb_ready(struct stasis_session *s, void *state)
{
	struct usb_state *u = state;
	const struct stasis_descriptor *d;
	size_t n = stasis_descriptors(s, &d);
	bool command = false, out = false;
	struct usb_handle h;
	uint64_t at, now = usb_now_ms();

	for (size_t i = 0; i < n && u->journal; i++) {
		int err = d[i].fd != d[i].base ? -ENOENT : usb_journal_handle(s, u->journal, d[i].fd, &h, &at);
		if (!err) {
			command = command || h.exchange;
			err = anything_out(s, u, d[i].fd, &out);
		}
		if (err && err != -ENOENT)
			return stasis_fail(s, err, "fd %d: the recorder's journal of USB devices cannot be read: %s", d[i].fd,
			                   strerror(-err));
	}
	u->waiting_since = u->waiting_since ? u->waiting_since : now;
	bool early = ++u->asked < ASK_MIN;
	if (u->journal && stasis_recording(s)) {
		stasis_not_ready(s, "a request to a USB device is not made");
		return -EAGAIN;
	}
	if (command && (early || now - u->waiting_since < COMMAND_MS)) {
		stasis_not_ready(s, "a command to a USB disk has not come to its end");
		return -EAGAIN;
	}
	if (out && (early || now - u->waiting_since < TRANSFER_MS)) {
		stasis_not_ready(s, "a transfer to a USB device has not come to its end");
		return -EAGAIN;
	}
	if (command)
		stasis_warn(s,
		            "a command to a USB disk has not come to its end within %u s: if the disk is unplugged before the "
		            "restart, the program has to repeat it",
		            COMMAND_MS / 1000);
	return 0;
}

/* check has looked at the stopped process just now. */
int usb_save(struct stasis_session *s, void *state)
{
	const struct usb_state *u = state;
	int err = 0;

	for (size_t i = 0; i < u->n_devices && !err; i++)
		err = stasis_record(s, &usb_device_schema, &u->devices[i]);
	for (size_t i = 0; i < u->n_handles && !err; i++)
		err = stasis_record(s, &usb_handle_schema, &u->handles[i]);
	return err;
}
