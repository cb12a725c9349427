// SPDX-License-Identifier: LGPL-2.1-or-later
/* Reads the recorder's journal out of the target. It is the target's memory: nothing in it is trusted. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "usb.h"

static int read_head(struct stasis_session *s, uint64_t journal, struct usb_journal *ret)
{
	int err = journal ? stasis_read(s, journal, ret, sizeof(*ret)) : -ENOENT;

	return err ? err : ret->version == USB_JOURNAL_VERSION && ret->n_flights <= USB_FLIGHTS ? 0 : -EBADMSG;
}

/* The numbers under which the target has the same description as `fd`. */
static bool is_same(struct stasis_session *s, int fd, int other)
{
	const struct stasis_descriptor *d;
	size_t n = stasis_descriptors(s, &d);

	for (size_t i = 0; i < n; i++)
		if (d[i].fd == other)
			return d[i].base == fd;
	return false;
}

int usb_journal_handle(struct stasis_session *s, uint64_t journal, int fd, struct usb_handle *ret, uint64_t *ret_at)
{
	struct usb_journal head;
	int err = read_head(s, journal, &head);

	for (uint64_t i = 0; !err && i < USB_HANDLES; i++) {
		uint64_t at = head.handles + i * sizeof(*ret);
		err = stasis_read(s, at, ret, sizeof(*ret));
		if (!err && ret->live && is_same(s, fd, ret->fd)) {
			*ret_at = at;
			return 0;
		}
	}
	return err ? err : -ENOENT;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = ((const struct usb_flown *)a)->flight.number, y = ((const struct usb_flown *)b)->flight.number;

	return x < y ? -1 : x > y;
}

static int read_urbs(struct stasis_session *s, struct usb_flown *f)
{
	int err = stasis_read(s, f->flight.urb, &f->urb, sizeof(f->urb));

	f->had = f->urb;
	if (!err && f->flight.done)
		memcpy(&f->had, f->flight.again, sizeof(f->had));
	return err;
}

int usb_journal_flights(struct stasis_session *s, uint64_t journal, int fd, struct usb_flown **ret, size_t *ret_n)
{
	struct usb_flown *all = NULL;
	struct usb_journal head;
	size_t n = 0;
	int err = read_head(s, journal, &head);

	if (!err && !(all = calloc(head.n_flights + 1u, sizeof(*all))))
		err = -ENOMEM;
	for (uint64_t i = 0; !err && i < head.n_flights; i++) {
		struct usb_flown *f = &all[n];
		f->at = head.flights + i * sizeof(f->flight);
		err = stasis_read(s, f->at, &f->flight, sizeof(f->flight));
		if (err || !f->flight.live || !is_same(s, fd, f->flight.fd))
			continue;
		err = read_urbs(s, f);
		n++;
	}
	if (err) {
		free(all);
		return err;
	}
	qsort(all, n, sizeof(*all), by_number);
	*ret = all;
	*ret_n = n;
	return 0;
}
