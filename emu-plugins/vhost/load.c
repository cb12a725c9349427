// SPDX-License-Identifier: LGPL-2.1-or-later
/* Loads the records of vhost devices of an image and refuses what makes no sense, so that nobody after this has to doubt them. */
#include <string.h>

#include "vhost.h"

static bool device_makes_sense(const struct vhost_rec_device *d)
{
	struct vhost_memory head;

	if (!d->memory.size)
		return true;
	if (d->memory.size < sizeof(head))
		return false;
	memcpy(&head, d->memory.data, sizeof(head));
	return head.nregions <= VHOST_REGIONS_MAX && d->memory.size == sizeof(head) + head.nregions * sizeof(struct vhost_memory_region);
}

static bool ring_makes_sense(const struct vhost_rec_ring *r, const struct vhost_rec_device *d, size_t i)
{
	return r->device == d->fd && r->index == i % VHOST_RINGS && (!r->addr.size || r->addr.size == sizeof(struct vhost_vring_addr)) &&
	       (r->backend < 0 || d->owned);
}

int vhost_load(struct stasis_session *s, struct vhost_state *v)
{
	const struct stasis_descriptor *d;
	size_t n = stasis_descriptors(s, &d), k = 0;
	int err;

	if ((err = stasis_records(s, &vhost_device_schema, &v->devices, &v->n_devices)) ||
	    (err = stasis_records(s, &vhost_ring_schema, &v->rings, &v->n_rings)))
		return err;
	if (v->n_rings != v->n_devices * VHOST_RINGS)
		return stasis_damaged(s, "not two rings to each device");
	for (size_t i = 0; i < v->n_devices; i++)
		if (!device_makes_sense(&v->devices[i]))
			return stasis_damaged(s, "a device makes no sense");
	for (size_t i = 0; i < v->n_rings; i++)
		if (!ring_makes_sense(&v->rings[i], &v->devices[i / VHOST_RINGS], i))
			return stasis_damaged(s, "a ring makes no sense");
	for (size_t i = 0; i < n; i++) /* both are in the order of their numbers */
		if (d[i].fd == d[i].base && (k == v->n_devices || v->devices[k++].fd != d[i].fd))
			return stasis_damaged(s, "a descriptor's is missing");
	return k == v->n_devices ? 0 : stasis_damaged(s, "one is of no descriptor");
}
