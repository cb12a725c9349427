// SPDX-License-Identifier: LGPL-2.1-or-later
/* Stage 1: opens devices in the process that is to have them, and brings them to where they were: configuration, interfaces
 * claimed, alternate settings.
 *
 * Order. Drivers of the host go first, then a disk is reset, as whoever had it since may have left it in the midst of a
 * command (unless the image was): that would take interfaces away that are claimed. A configuration cannot be set while one
 * has an interface (EBUSY). What was taken is noted in shared memory before it is: should the restart fail, its drivers get
 * it back (usb_abandon), once the process that has claimed it is gone. Privileges are dropped last of all, in late.c. A
 * device that is left out is the writing end of a pipe that nobody reads: it polls as an error, as that of an unplugged one
 * does, and the recorder answers every call with ENODEV. Test: usb-device-away. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "usb.h"

static int driver_call(int fd, unsigned interface, int code)
{
	struct usbdevfs_ioctl call = { .ifno = (int)interface, .ioctl_code = code };

	return ioctl(fd, USBDEVFS_IOCTL, &call) < 0 ? -errno : 0;
}

static int fail(struct stasis_session *s, const struct usb_device *d, int err, const char *what)
{
	return stasis_fail(s, err, "USB device %04x:%04x in port %s: %s: %s%s", d->vendor, d->product, d->port, what,
	                   strerror(-err),
	                   err == -EBUSY                      ? "; end the program that has taken it meanwhile"
	                   : err == -EACCES || err == -EPERM  ? "; run as root, or let users have it by a rule for udev"
	                   : err == -ENODEV || err == -ENOENT ? "; it was unplugged meanwhile, try again"
	                                                      : "");
}

static int take_from_drivers(struct stasis_session *s, const struct usb_place *p, struct usb_taken *taken, int fd)
{
	usb_node(p->now->bus, p->now->address, taken->node, sizeof(taken->node));
	for (unsigned i = 0; i < 64; i++) {
		if (!(p->detach & 1ull << i))
			continue;
		taken->interfaces |= 1ull << i;
		int err = driver_call(fd, i, USBDEVFS_DISCONNECT);
		if (err && err != -ENODATA) /* it has gone by itself */
			return fail(s, p->now, err, "its driver cannot be taken off");
	}
	return stasis_fault(s, "taken");
}

/* Whether one of these interfaces is that of a disk (Universal Serial Bus Mass Storage Class Overview 1.4: 2, 3). */
static bool is_disk(const struct usb_rec_device *r, uint64_t interfaces)
{
	const uint8_t *d = r->descriptors.data;

	for (size_t i = 0; i + 9 <= r->descriptors.size && d[i]; i += d[i])
		if (d[i] >= 9 && d[i + 1] == 4 && d[i + 2] < 64 && interfaces & 1ull << d[i + 2] && d[i + 5] == 8 &&
		    d[i + 7] == 0x50)
			return true;
	return false;
}

/* The image is in the midst of a command to it. */
static bool is_busy(const struct usb_state *u, size_t i)
{
	for (size_t k = 0; k < u->n_handles; k++)
		if (u->handles[k].device == i + 1 && u->handles[k].exchange)
			return true;
	return false;
}

static int reset_disk(struct stasis_session *s, const struct usb_state *u, size_t i, int fd)
{
	const struct usb_place *p = &u->places[i];

	if (is_busy(u, i) || !is_disk(&u->devices[i], p->claimed) || ioctl(fd, USBDEVFS_RESET) >= 0)
		return 0;
	return fail(s, p->now, -errno, "it cannot be reset");
}

/* Once for a device, by its first descriptor that may do so. */
static int make_ready(struct stasis_session *s, struct usb_state *u, size_t i, int fd)
{
	struct usb_place *p = &u->places[i];
	int configuration = u->devices[i].configuration ? (int)u->devices[i].configuration : -1;

	if (p->ready)
		return 0;
	p->ready = true;
	int err = take_from_drivers(s, p, &u->taken[i], fd);
	if (!err)
		err = reset_disk(s, u, i, fd);
	if (!err && p->now->configuration != u->devices[i].configuration &&
	    ioctl(fd, USBDEVFS_SETCONFIGURATION, &configuration) < 0)
		err = fail(s, p->now, -errno, "its configuration cannot be set");
	return err;
}

static unsigned alternate_now(const struct usb_device *d, unsigned interface)
{
	for (size_t i = 0; i < d->n_interfaces; i++)
		if (d->interfaces[i].number == interface)
			return d->interfaces[i].alternate;
	return 0;
}

static int set_alternates(struct stasis_session *s, const struct usb_rec_device *r, const struct usb_place *p,
                          const struct usb_rec_handle *h, int fd)
{
	const uint8_t *pair = r->alternates.data;

	for (size_t i = 0; i + 1 < r->alternates.size; i += 2) {
		struct usbdevfs_setinterface set = { .interface = pair[i], .altsetting = pair[i + 1] };
		if (pair[i] >= 64 || !(h->claimed & 1ull << pair[i]) || (!pair[i + 1] && !alternate_now(p->now, pair[i])))
			continue;
		if (ioctl(fd, USBDEVFS_SETINTERFACE, &set) < 0)
			return fail(s, p->now, -errno, "an alternate setting cannot be chosen");
	}
	return 0;
}

static int claim_all(struct stasis_session *s, const struct usb_place *p, const struct usb_rec_handle *h, int fd)
{
	for (unsigned i = 0; i < 64; i++)
		if (h->claimed & 1ull << i && ioctl(fd, USBDEVFS_CLAIMINTERFACE, &i) < 0)
			return fail(s, p->now, -errno, "an interface cannot be claimed");
	return stasis_fault(s, "claimed");
}

static int make_handle(struct stasis_session *s, struct usb_state *u, const struct usb_rec_handle *h, int *ret)
{
	size_t i = h->device - 1;
	const struct usb_place *p = &u->places[i];
	char node[32];
	int err = 0, fd = open(usb_node(p->now->bus, p->now->address, node, sizeof(node)), (int)h->flags | O_CLOEXEC);

	if (fd < 0)
		return fail(s, p->now, -errno, "it cannot be opened");
	if (h->flags != O_RDONLY && !(err = make_ready(s, u, i, fd)) && !(err = claim_all(s, p, h, fd)))
		err = set_alternates(s, &u->devices[i], p, h, fd);
	if (!err && h->claimed && !is_busy(u, i))
		usb_disk_calm(fd, p->now, h->claimed);
	if (!err && h->offset)
		lseek(fd, (off_t)h->offset, SEEK_SET);
	if (err)
		close(fd);
	else
		*ret = fd;
	return err;
}

static int make_nothing(struct stasis_session *s, int *ret)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC))
		return stasis_fail(s, -errno, "USB devices: no pipe: %s", strerror(errno));
	close(ends[0]);
	*ret = ends[1];
	return 0;
}

int usb_restore(struct stasis_session *s, void *state)
{
	struct usb_state *u = state;
	int err = 0;

	for (size_t i = 0; i < u->n_handles && !err; i++) {
		const struct usb_rec_handle *h = &u->handles[i];
		int fd = -1;
		err = u->places[h->device - 1].choice == USB_NONE ? make_nothing(s, &fd) : make_handle(s, u, h, &fd);
		if (!err)
			err = stasis_give(s, h->fd, fd);
	}
	return err;
}

int usb_abandon(struct stasis_session *s, void *state)
{
	const struct usb_state *u = state;

	for (size_t i = 0; u->taken && i < u->n_devices; i++) {
		int fd = u->taken[i].interfaces ? open(u->taken[i].node, O_RDWR | O_CLOEXEC) : -1;
		for (unsigned k = 0; k < 64 && fd >= 0; k++) {
			int err = u->taken[i].interfaces & 1ull << k ? driver_call(fd, k, USBDEVFS_CONNECT) : 0;
			if (err)
				stasis_warn(s,
				            "USB device in port %s: interface %u cannot be given back to its driver: %s; plug "
				            "it in anew",
				            u->devices[i].port, k, strerror(-err));
		}
		if (fd >= 0)
			close(fd);
	}
	return 0;
}
