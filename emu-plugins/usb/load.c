// SPDX-License-Identifier: LGPL-2.1-or-later
/* Loads the records of USB devices of an image and refuses what makes no sense, so that nobody after this has to doubt them. */
#include <fcntl.h>
#include <string.h>

#include "usb.h"

static bool device_makes_sense(const struct usb_rec_device *d, size_t i)
{
	if (d->id != i + 1)
		return false;
	return d->gone || (d->port && strlen(d->port) < sizeof(((struct usb_device *)0)->port) && d->vendor <= 0xffff &&
	                   d->product <= 0xffff && d->configuration <= 0xff && !(d->alternates.size % 2));
}

int usb_load(struct stasis_session *s, struct usb_state *u)
{
	const struct stasis_descriptor *d;
	size_t n = stasis_descriptors(s, &d), k = 0;
	int err;

	if ((err = stasis_records(s, &usb_device_schema, &u->devices, &u->n_devices)) ||
	    (err = stasis_records(s, &usb_handle_schema, &u->handles, &u->n_handles)))
		return err;
	for (size_t i = 0; i < u->n_devices; i++)
		if (!device_makes_sense(&u->devices[i], i))
			return stasis_damaged(s, "a device makes no sense");
	for (size_t i = 0; i < u->n_handles; i++)
		if (!u->handles[i].device || u->handles[i].device > u->n_devices || u->handles[i].flags > O_RDWR)
			return stasis_damaged(s, "a descriptor makes no sense");
	for (size_t i = 0; i < n; i++) /* both are in the order of their numbers */
		if (d[i].fd == d[i].base && (k == u->n_handles || u->handles[k++].fd != d[i].fd))
			return stasis_damaged(s, "a descriptor's is missing");
	return k == u->n_handles ? 0 : stasis_damaged(s, "one is of no descriptor");
}
