// SPDX-License-Identifier: LGPL-2.1-or-later
/* Loads the records of USB devices of an image and refuses what makes no sense, so that nobody after this has to doubt them. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "usb.h"

static int bad(struct stasis_session *s, const char *what)
{
	return stasis_fail(s, -EBADMSG, "the image's records of USB devices: %s; it is damaged or was not made by stasis",
	                   what);
}

static int load(struct stasis_session *s, const struct img_schema *schema, void *ret_array, size_t *ret_n)
{
	void *array = NULL;
	int err = stasis_records(s, schema, &array, ret_n);

	if (!err)
		memcpy(ret_array, &array, sizeof(array));
	return err;
}

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

	if ((err = load(s, &usb_device_schema, &u->devices, &u->n_devices)) ||
	    (err = load(s, &usb_handle_schema, &u->handles, &u->n_handles)))
		return err;
	for (size_t i = 0; i < u->n_devices; i++)
		if (!device_makes_sense(&u->devices[i], i))
			return bad(s, "a device makes no sense");
	for (size_t i = 0; i < u->n_handles; i++)
		if (!u->handles[i].device || u->handles[i].device > u->n_devices || u->handles[i].flags > O_RDWR)
			return bad(s, "a descriptor makes no sense");
	for (size_t i = 0; i < n; i++) /* both are in the order of their numbers */
		if (d[i].fd == d[i].base && (k == u->n_handles || u->handles[k++].fd != d[i].fd))
			return bad(s, "a descriptor's is missing");
	return k == u->n_handles ? 0 : bad(s, "one is of no descriptor");
}
