// SPDX-License-Identifier: LGPL-2.1-or-later
/* Takes what has come in for a target that stands still out of the kernel, into its memory, so that it is in the image.
 *
 * Theory of operation. Data of a URB that has come to its end lie in the kernel until it is reaped. So all of those are
 * reaped, by calls that the target makes; the journal can tell by their status (journal.h) and the program gets them when it
 * asks next. It sleeps until its descriptor is ready, which it no longer is: so it is woken by a URB of ours that the undo
 * list submits at an address in its memory. That one does no harm if nothing was reaped at all, and is kept from the program
 * by the recorder.
 *
 * What is still in flight of a target that goes on stays so: the kernel writes nothing into its memory before it is reaped.
 * With --stop it is cancelled, last one first, so that none moves up: what a device sent from now on would be lost with the
 * target. Parts that had come are reaped with the rest, and the remainder is asked for at the restart (late.c), or by the
 * recorder when it wakes up, should the checkpoint fail. If both of our processes are killed at the same time, nobody wakes
 * the program before the next checkpoint. Tests: usb-stick, usb-journal. */
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "usb.h"

#define CALLS 64

/* Whether there is something to be reaped: known from outside, without touching it. */
static bool is_there(struct stasis_session *s, int fd)
{
	struct pollfd p = { .fd = stasis_descriptor_copy(s, fd), .events = POLLOUT };

	if (p.fd < 0)
		return true;
	bool there = poll(&p, 1, 0) > 0 && p.revents & POLLOUT;
	close(p.fd);
	return there;
}

/* From the last to the first. One that has come to its end just now is none of the kernel's any more. */
static int cancel(struct stasis_calls *c, int fd, const struct usb_flown *flights, size_t n)
{
	int err = 0;

	for (size_t end = n; end > 0 && !err; end -= end < CALLS ? end : CALLS) {
		stasis_calls_reset(c);
		for (size_t i = end; i > 0 && end - i < CALLS; i--) {
			const struct usb_flown *f = &flights[i - 1];
			stasis_calls_add(c, STASIS_MAY_FAIL, SYS_ioctl, (uint64_t)fd, USBDEVFS_DISCARDURB,
			                 usb_flight_given(&f->flight, f->at), 0);
		}
		err = stasis_calls_run(c, NULL);
	}
	return err;
}

static int reap(struct stasis_calls *c, int fd, unsigned *ret_n)
{
	for (;;) {
		uint64_t nothing = 0;
		stasis_calls_reset(c);
		for (size_t i = 0; i < CALLS; i++)
			stasis_calls_add(c, STASIS_MAY_FAIL, SYS_ioctl, (uint64_t)fd, USBDEVFS_REAPURBNDELAY,
			                 stasis_calls_put(c, &nothing, sizeof(nothing)), 0);
		int err = stasis_calls_run(c, NULL);
		if (err)
			return err;
		for (size_t i = 0; i < CALLS; i++) {
			if (stasis_calls_result(c, i) < 0) /* EAGAIN; ENODEV when it was unplugged */
				return 0;
			(*ret_n)++;
		}
	}
}

static bool any_reaped(const struct usb_flown *flights, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (usb_flight_state(&flights[i].flight, &flights[i].had) != USB_FLYING)
			return true;
	return false;
}

static int rest_handle(struct stasis_session *s, const struct usb_state *u, size_t i, struct stasis_calls *c)
{
	struct usb_flown *flights = NULL;
	int fd = u->handles[i].fd;
	unsigned reaped = 0;
	size_t n = 0;
	int err = usb_journal_flights(s, u->journal, fd, &flights, &n);

	if (err || !n || (!stasis_is_last(s) && !is_there(s, fd) && !any_reaped(flights, n))) {
		free(flights);
		if (!err)
			return stasis_fault(s, "cancelled");
		return stasis_fail(s, err, "fd %d: the recorder's journal of USB devices cannot be read: %s", fd, strerror(-err));
	}
	err = stasis_undo_ioctl_at(s, fd, USBDEVFS_SUBMITURB, u->slots[i] + offsetof(struct usb_handle, wake));
	if (!err && stasis_is_last(s))
		err = cancel(c, fd, flights, n);
	if (!err)
		err = stasis_fault(s, "cancelled");
	if (!err)
		err = reap(c, fd, &reaped);
	stasis_debug(s, "fd %d: %zu URBs in flight, %u of them reaped: %s", fd, n, reaped, strerror(-err));
	free(flights);
	return err ? stasis_fail(s, err, "fd %d: the requests in flight to its USB device cannot be taken back: %s", fd,
	                         strerror(-err))
	           : 0;
}

int usb_rest(struct stasis_session *s, void *state)
{
	const struct usb_state *u = state;
	struct stasis_calls *c = NULL;
	int err = u->journal ? stasis_calls_create(s, CALLS, &c) : 0;

	if (err)
		return stasis_fail(s, err, "USB devices: no room for calls in the target");
	for (size_t i = 0; i < u->n_handles && !err; i++)
		if (u->slots[i] && !u->devices[u->handles[i].device - 1].gone)
			err = rest_handle(s, u, i, c);
	stasis_calls_destroy(c);
	return err;
}
