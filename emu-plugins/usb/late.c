// SPDX-License-Identifier: LGPL-2.1-or-later
/* Stage 2: with all memory in place, URBs that were in flight are submitted again, at their old addresses and in their old
 * order, by the target itself: the kernel keeps the addresses, and the signal that a URB may ask for goes to who has
 * submitted it. What had been reaped for the target already is the recorder's to hand over; the program is woken for it.
 * Privileges are dropped last.
 *
 * One that cannot be submitted comes back as a transfer that went wrong (EPROTO), which every program must expect. Tests:
 * usb-stick, usb-device-away. */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "usb.h"

#define CALLS 64

struct late {
	struct stasis_session *s;
	struct stasis_calls *c;
	const struct usb_rec_handle *h;
	struct usb_handle handle; /* of the journal; `at`: its address, 0: there is none */
	uint64_t at;
	struct usb_flown *flights;
	size_t n;
	bool arrived; /* the program has something to be woken for */
};

static int call(struct late *l, uint64_t request, uint64_t arg, const char *what)
{
	stasis_calls_reset(l->c);
	stasis_calls_add(l->c, 0, SYS_ioctl, (uint64_t)l->h->fd, request, arg, 0);
	int err = stasis_calls_run(l->c, NULL);
	return err ? stasis_fail(l->s, err, "fd %d: %s is refused by the USB device: %s", l->h->fd, what, strerror(-err)) : 0;
}

static int call_with(struct late *l, uint64_t request, const void *data, size_t size, const char *what)
{
	stasis_calls_reset(l->c);
	stasis_calls_add(l->c, 0, SYS_ioctl, (uint64_t)l->h->fd, request, stasis_calls_put(l->c, data, size), 0);
	int err = stasis_calls_run(l->c, NULL);
	return err ? stasis_fail(l->s, err, "fd %d: %s is refused by the USB device: %s", l->h->fd, what, strerror(-err)) : 0;
}

static int settings(struct late *l)
{
	struct usbdevfs_disconnectsignal signal = { .signr = l->h->signal, .context = (void *)l->h->context };
	int err = 0;

	if (l->h->set & USB_SET_SIGNAL)
		err = call_with(l, USBDEVFS_DISCSIGNAL, &signal, sizeof(signal), "USBDEVFS_DISCSIGNAL");
	if (!err && l->h->set & USB_SET_SUSPEND)
		err = call(l, USBDEVFS_ALLOW_SUSPEND, 0, "USBDEVFS_ALLOW_SUSPEND");
	return err;
}

static int write_back(struct late *l, const struct usb_flown *f)
{
	int err = stasis_write(l->s, f->at, &f->flight, sizeof(f->flight));

	return err ? err : stasis_write(l->s, f->flight.urb, &f->urb, sizeof(f->urb));
}

static int failed(struct late *l, struct usb_flown *f, int err)
{
	stasis_warn(
	        l->s,
	        "fd %d: a request that was in flight is refused by the USB device (%s): the program is told that it went wrong",
	        l->h->fd, strerror(-err));
	f->urb.status = -EPROTO;
	f->urb.actual_length = (int)f->flight.done;
	f->flight.done = 0;
	l->arrived = true;
	return write_back(l, f);
}

/* Up to CALLS of them from `begin`. */
static int submit_some(struct late *l, size_t begin, size_t end)
{
	int err = 0;

	stasis_calls_reset(l->c);
	for (size_t i = begin; i < end; i++) {
		const struct usb_flown *f = &l->flights[i];
		stasis_calls_add(l->c, STASIS_MAY_FAIL, SYS_ioctl, (uint64_t)l->h->fd, USBDEVFS_SUBMITURB,
		                 usb_flight_given(&f->flight, f->at), 0);
	}
	err = end > begin ? stasis_calls_run(l->c, NULL) : 0;
	for (size_t i = begin; i < end && !err; i++) {
		int64_t result = stasis_calls_result(l->c, i - begin);
		if (result == -ENODEV)
			err = stasis_fail(l->s, -ENODEV, "fd %d: the USB device was unplugged meanwhile; try again", l->h->fd);
		else if (result < 0)
			err = failed(l, &l->flights[i], (int)result);
	}
	return err;
}

static int submit(struct late *l)
{
	size_t n = 0;
	int err = 0;

	for (size_t i = 0; i < l->n && !err; i++) {
		struct usb_flown *f = &l->flights[i];
		if (usb_flight_state(&f->flight, &f->had) == USB_ARRIVED) {
			l->arrived = true;
			continue;
		}
		bool again = usb_flight_again(&f->flight, &f->urb, &f->had);
		err = write_back(l, f);
		l->arrived = l->arrived || !again;
		if (again)
			l->flights[n++] = *f;
	}
	for (size_t i = 0; i < n && !err; i += CALLS)
		err = submit_some(l, i, i + CALLS < n ? i + CALLS : n);
	stasis_debug(l->s, "fd %d: %zu URBs submitted again, %s", l->h->fd, n,
	             l->arrived ? "others to be handed over" : "none to be handed over");
	return err;
}

static int late_device(struct late *l)
{
	int err = settings(l);

	if (!err && !(err = stasis_fault(l->s, "submit")))
		err = submit(l);
	if (!err && l->arrived)
		err = call(l, USBDEVFS_SUBMITURB, l->at + offsetof(struct usb_handle, wake), "a GET_STATUS");
	if (!err && l->h->set & USB_SET_PRIVILEGES)
		err = call_with(l, USBDEVFS_DROP_PRIVILEGES, &l->h->privileges, sizeof(l->h->privileges),
		                "USBDEVFS_DROP_PRIVILEGES");
	return err;
}

/* The journal is told which device it is now. */
static int tell(struct late *l, const struct usb_place *p)
{
	struct stat st;
	char node[32];

	if (p->choice == USB_NONE)
		l->handle.gone = 1;
	else if (!stat(usb_node(p->now->bus, p->now->address, node, sizeof(node)), &st))
		l->handle.device = st.st_rdev;
	return stasis_write(l->s, l->at, &l->handle, sizeof(l->handle));
}

static int late_handle(struct stasis_session *s, const struct usb_state *u, const struct usb_rec_handle *h)
{
	const struct usb_place *p = &u->places[h->device - 1];
	struct late l = { .s = s, .h = h };
	int err = usb_journal_handle(s, u->journal, h->fd, &l.handle, &l.at);

	if (err == -ENOENT) /* only opened, or read */
		return 0;
	if (!err)
		err = usb_journal_flights(s, u->journal, h->fd, &l.flights, &l.n);
	if (!err)
		err = tell(&l, p);
	if (err)
		stasis_fail(s, err, "fd %d: the recorder's journal of USB devices makes no sense: %s; the image is damaged",
		            h->fd, strerror(-err));
	if (!err && p->choice != USB_NONE) {
		if (!(err = stasis_calls_create(s, CALLS, &l.c)))
			err = late_device(&l);
		stasis_calls_destroy(l.c);
	}
	free(l.flights);
	return err;
}

int usb_late(struct stasis_session *s, void *state)
{
	struct usb_state *u = state;
	uint64_t size;
	int err = 0;

	if (stasis_recorded(s, &u->journal, &size))
		u->journal = 0;
	for (size_t i = 0; i < u->n_handles && !err; i++)
		if (u->handles[i].flags != O_RDONLY && u->journal)
			err = late_handle(s, u, &u->handles[i]);
	return err;
}
