// SPDX-License-Identifier: LGPL-2.1-or-later
/* Looks at the USB devices of a target: what sysfs says of them, and the journal of its descriptors. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "requests.h"
#include "usb.h"

/* ---- devices ---- */

static int put_text(char **ret, const char *text)
{
	*ret = strdup(text);
	return *ret ? 0 : -ENOMEM;
}

static int fill_device(struct usb_rec_device *r, const struct usb_device *d)
{
	uint8_t alternates[2 * USB_INTERFACES_MAX];

	r->bus = d->bus;
	r->address = d->address;
	r->vendor = d->vendor;
	r->product = d->product;
	r->release = d->release;
	r->configuration = d->configuration;
	for (size_t i = 0; i < d->n_interfaces; i++) {
		alternates[2 * i] = (uint8_t)d->interfaces[i].number;
		alternates[2 * i + 1] = (uint8_t)d->interfaces[i].alternate;
	}
	r->descriptors.data = malloc(d->size + 1);
	r->alternates.data = malloc(2 * d->n_interfaces + 1);
	if (!r->descriptors.data || !r->alternates.data || put_text(&r->port, d->port) || put_text(&r->serial, d->serial) ||
	    put_text(&r->name, d->name))
		return -ENOMEM;
	r->descriptors.size = d->size;
	memcpy(r->descriptors.data, d->descriptors, d->size);
	r->alternates.size = 2 * d->n_interfaces;
	memcpy(r->alternates.data, alternates, r->alternates.size);
	return 0;
}

static struct usb_rec_device *find_device(struct usb_state *u, const struct usb_device *d)
{
	for (size_t i = 0; i < u->n_devices; i++)
		if (!u->devices[i].gone && u->devices[i].bus == d->bus && u->devices[i].address == d->address)
			return &u->devices[i];
	return NULL;
}

static uint64_t held_by_usbfs(const struct usb_device *d)
{
	uint64_t bits = 0;

	for (size_t i = 0; i < d->n_interfaces; i++)
		if (!strcmp(d->interfaces[i].driver, "usbfs") && d->interfaces[i].number < 64)
			bits |= 1ull << d->interfaces[i].number;
	return bits;
}

static int add_device(struct usb_state *u, struct usb_rec_handle *h, dev_t number, bool gone)
{
	struct usb_device d;
	char dir[64];

	snprintf(dir, sizeof(dir), "/sys/dev/char/%u:%u", major(number), minor(number));
	int err = gone ? -ENOENT : usb_device_read(dir, &d);
	struct usb_rec_device *r = err ? NULL : find_device(u, &d);
	if (r) {
		usb_device_finish(&d);
		h->device = r->id;
		return 0;
	}
	r = &u->devices[u->n_devices++];
	r->id = h->device = (uint32_t)u->n_devices;
	r->gone = err;
	if (err)
		return 0;
	u->held[r->id - 1] = held_by_usbfs(&d);
	err = fill_device(r, &d);
	usb_device_finish(&d);
	return err;
}

/* What is noted as claimed and is not, was let go in a way that the recorder does not see. What is claimed and not noted was
 * so by a transfer, all by itself (drivers/usb/core/devio.c, checkintf); it goes to the device's first descriptor. */
static void compare_claims(struct usb_state *u)
{
	for (size_t i = 0; i < u->n_devices; i++) {
		struct usb_rec_handle *first = NULL;
		uint64_t noted = 0;
		for (size_t k = 0; k < u->n_handles; k++) {
			struct usb_rec_handle *h = &u->handles[k];
			if (h->device != u->devices[i].id)
				continue;
			h->claimed &= u->held[i];
			noted |= h->claimed;
			first = first || h->flags == O_RDONLY ? first : h;
		}
		if (first && u->journal)
			first->claimed |= u->held[i] & ~noted;
	}
}

/* ---- descriptors ---- */

static void refuse(struct stasis_session *s, int fd, uint32_t refused)
{
	const struct usb_request *request = usb_request_find(refused);

	stasis_obstacle(s, fd, NULL, "have the program close the device, or unplug it from the guest first",
	                "%s (%#x) was used%s%s, which cannot be restored", request ? request->name : "an ioctl", refused,
	                request && request->why ? ": " : "", request && request->why ? request->why : "");
}

/* Flights of a program that runs are gone as soon as they are looked at. */
static int count_flights(struct stasis_session *s, struct usb_state *u, struct usb_rec_handle *r)
{
	struct usb_flown *flights;
	size_t n;
	int err = stasis_is_frozen(s) ? usb_journal_flights(s, u->journal, r->fd, &flights, &n) : -EAGAIN;

	if (err)
		return err == -EAGAIN ? 0 : err;
	free(flights);
	r->flights = (uint32_t)n;
	return 0;
}

static int take_journal(struct stasis_session *s, struct usb_state *u, struct usb_rec_handle *r)
{
	struct usb_handle h;
	int err = usb_journal_handle(s, u->journal, r->fd, &h, &u->slots[u->n_handles]);

	if (err)
		return err == -ENOENT ? 0 : err; /* nothing was done with it but to ask */
	r->claimed = h.claimed;
	r->detached = h.detached;
	r->set = h.set;
	r->signal = h.signal;
	r->context = h.context;
	r->privileges = h.privileges;
	r->exchange = h.exchange;
	if (h.refused)
		refuse(s, r->fd, h.refused);
	return count_flights(s, u, r);
}

/* drivers/usb/core/devio.c, usbdev_poll: an error once the device is gone. */
static bool is_gone(int copy)
{
	struct pollfd p = { .fd = copy };

	return poll(&p, 1, 0) > 0 && p.revents & POLLERR;
}

static int add_handle(struct stasis_session *s, struct usb_state *u, int fd)
{
	struct usb_rec_handle *r = &u->handles[u->n_handles];
	int copy = stasis_descriptor_copy(s, fd), err = 0;
	struct stat st;

	if (copy < 0)
		return copy == -EBADF || copy == -ENOENT || copy == -ESRCH ? 0 : copy; /* closed meanwhile */
	*r = (struct usb_rec_handle){ .fd = fd, .flags = (uint32_t)fcntl(copy, F_GETFL) & O_ACCMODE };
	off_t offset = lseek(copy, 0, SEEK_CUR); /* as it is */
	r->offset = offset > 0 ? (uint64_t)offset : 0;
	if (fstat(copy, &st))
		err = -errno;
	bool gone = is_gone(copy);
	close(copy);
	if (!err && u->journal)
		err = take_journal(s, u, r);
	if (err)
		return stasis_fail(s, err,
		                   "fd %d: the recorder's journal of USB devices cannot be read: %s; start the target anew "
		                   "with `stasis run`",
		                   fd, strerror(-err));
	u->n_handles++;
	return add_device(u, r, st.st_rdev, gone);
}

int usb_survey(struct stasis_session *s, struct usb_state *u)
{
	const struct stasis_descriptor *d;
	size_t n = stasis_descriptors(s, &d);
	int err = 0;

	usb_state_clear(u);
	u->devices = calloc(n + 1, sizeof(*u->devices));
	u->handles = calloc(n + 1, sizeof(*u->handles));
	u->slots = calloc(n + 1, sizeof(*u->slots));
	u->held = calloc(n + 1, sizeof(*u->held));
	if (!u->devices || !u->handles || !u->slots || !u->held)
		return -ENOMEM;
	for (size_t i = 0; i < n && !err; i++)
		if (d[i].fd == d[i].base)
			err = add_handle(s, u, d[i].fd);
	compare_claims(u);
	return err;
}
