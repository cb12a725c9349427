// SPDX-License-Identifier: LGPL-2.1-or-later
/* Reads the recorder's journal out of the target and makes devices and rings of it. It is the target's memory: nothing in it is
 * trusted. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vhost.h"

static int damaged(struct stasis_session *s, int err)
{
	return stasis_fail(s, err, "the recorder's journal of vhost devices cannot be read: %s; start the target anew with `stasis run`",
			   strerror(-err));
}

/* The device whose description a descriptor shares. */
static struct vhost_rec_device *device_of(struct stasis_session *s, struct vhost_state *v, int fd)
{
	const struct stasis_descriptor *d;
	size_t n = stasis_descriptors(s, &d);

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; d[i].fd == fd && k < v->n_devices; k++)
			if (v->devices[k].fd == d[i].base)
				return &v->devices[k];
	return NULL;
}

static int read_bytes(struct stasis_session *s, const struct vhost_entry *e, struct img_bytes *ret)
{
	void *data = malloc(e->size + 1u);
	int err = data ? 0 : -ENOMEM;

	if (!err && e->data && e->size > sizeof(e->value))
		err = stasis_read(s, e->data, data, e->size);
	else if (!err && e->size <= sizeof(e->value))
		memcpy(data, e->value, e->size);
	else if (!err)
		err = -EBADMSG;
	if (err) {
		free(data);
		return err;
	}
	free(ret->data);
	*ret = (struct img_bytes){ data, e->size };
	return 0;
}

static int take_memory(struct stasis_session *s, struct vhost_rec_device *d, const struct vhost_entry *e)
{
	struct vhost_memory head;

	if (e->size < sizeof(head) || e->size > sizeof(head) + VHOST_REGIONS_MAX * sizeof(struct vhost_memory_region))
		return -EBADMSG;
	int err = read_bytes(s, e, &d->memory);
	if (err)
		return err;
	memcpy(&head, d->memory.data, sizeof(head));
	return e->size == sizeof(head) + head.nregions * sizeof(struct vhost_memory_region) ? 0 : -EBADMSG;
}

static int take_ring(struct stasis_session *s, struct vhost_rec_ring *r, const struct vhost_entry *e)
{
	struct vhost_vring_file file;
	struct vhost_vring_state state;

	memcpy(&file, e->value, sizeof(file));
	memcpy(&state, e->value, sizeof(state));
	switch (e->request) {
	case VHOST_SET_VRING_NUM:
		r->num = state.num;
		r->set |= VHOST_SET_THE_NUM;
		return 0;
	case VHOST_SET_VRING_ENDIAN:
		r->endian = state.num;
		r->set |= VHOST_SET_THE_ENDIAN;
		return 0;
	case VHOST_SET_VRING_BUSYLOOP_TIMEOUT:
		r->busyloop = state.num;
		r->set |= VHOST_SET_THE_BUSYLOOP;
		return 0;
	case VHOST_SET_VRING_ADDR:
		return e->size == sizeof(struct vhost_vring_addr) ? read_bytes(s, e, &r->addr) : -EBADMSG;
	case VHOST_SET_VRING_KICK:
		r->kick = file.fd;
		return 0;
	case VHOST_SET_VRING_CALL:
		r->call = file.fd;
		return 0;
	case VHOST_SET_VRING_ERR:
		r->err = file.fd;
		return 0;
	case VHOST_NET_SET_BACKEND:
		r->backend = file.fd;
		return 0;
	}
	return -EBADMSG;
}

static void refuse(struct stasis_session *s, const struct vhost_rec_device *d, uint32_t request)
{
	const struct vhost_request *r = vhost_request_find(request);
	char number[32];

	snprintf(number, sizeof(number), "vhost ioctl %#x", request);
	stasis_obstacle(s, d->fd, NULL, "start the emulator without it", "%s was used%s%s, which cannot be restored", r ? r->name : number,
			r && r->why ? ": " : "", r && r->why ? r->why : "");
}

static int take(struct stasis_session *s, struct vhost_state *v, const struct vhost_entry *e)
{
	struct vhost_rec_device *d = device_of(s, v, e->fd);
	const struct vhost_request *r = vhost_request_find(e->request);

	if (!d)
		return 0; /* closed since */
	switch (e->request) {
	case VHOST_SET_OWNER:
		d->owned = true;
		return 0;
	case VHOST_SET_FEATURES:
		d->features = e->value[0];
		d->set |= VHOST_SET_THE_FEATURES;
		return 0;
	case VHOST_SET_BACKEND_FEATURES:
		d->backend_features = e->value[0];
		d->set |= VHOST_SET_THE_BACKEND_FEATURES;
		return 0;
	case VHOST_SET_LOG_BASE:
		d->log_base = e->value[0];
		d->set |= VHOST_SET_THE_LOG_BASE;
		return 0;
	case VHOST_SET_LOG_FD:
		memcpy(&d->log_fd, e->value, sizeof(d->log_fd));
		return 0;
	case VHOST_SET_MEM_TABLE:
		return take_memory(s, d, e);
	}
	if (!r || r->class != VHOST_REQUEST_RING) {
		refuse(s, d, e->request);
		return 0;
	}
	return e->index < VHOST_RINGS ? take_ring(s, &v->rings[(size_t)(d - v->devices) * VHOST_RINGS + e->index], e) : -EBADMSG;
}

static int read_journal(struct stasis_session *s, struct vhost_state *v)
{
	struct vhost_journal head;
	struct vhost_entry e;
	int err = stasis_read(s, v->journal, &head, sizeof(head));

	if (!err && (head.version != VHOST_JOURNAL_VERSION || head.n_entries > VHOST_ENTRIES))
		err = -EBADMSG;
	for (uint32_t i = 0; !err && i < head.n_entries; i++) {
		err = stasis_read(s, head.entries + i * sizeof(e), &e, sizeof(e));
		if (!err && e.live)
			err = take(s, v, &e);
	}
	return err ? damaged(s, err) : 0;
}

int vhost_survey(struct stasis_session *s, struct vhost_state *v)
{
	const struct stasis_descriptor *d;
	size_t n = stasis_descriptors(s, &d);

	vhost_state_clear(v);
	v->devices = calloc(n + 1, sizeof(*v->devices));
	v->rings = calloc(n * VHOST_RINGS + 1, sizeof(*v->rings));
	if (!v->devices || !v->rings)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		if (d[i].fd != d[i].base)
			continue;
		for (uint32_t k = 0; k < VHOST_RINGS; k++)
			v->rings[v->n_rings++] = (struct vhost_rec_ring){ .device = d[i].fd, .index = k, .kick = -1, .call = -1, .err = -1,
									  .backend = -1 };
		v->devices[v->n_devices++] = (struct vhost_rec_device){ .fd = d[i].fd, .log_fd = -1 };
	}
	return v->journal ? read_journal(s, v) : 0;
}
