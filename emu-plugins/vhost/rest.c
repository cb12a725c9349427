// SPDX-License-Identifier: LGPL-2.1-or-later
/* Brings the kernel's workers to rest for the moment of the picture, and reads how far each ring has come.
 *
 * Theory of operation. The threads of the target stand still, but vhost's worker does not: packets come in by the tap, and what the guest
 * has kicked for goes out. It writes buffers and the used ring, and signals call eventfds. VHOST_GET_VRING_BASE alone would be
 * exact for its own moment, but the picture of the memory and of the eventfds is of another one; a used entry in between would come
 * twice, or an interrupt never. So each ring's back end is taken away first: VHOST_NET_SET_BACKEND with -1 takes the ring's
 * lock, which the worker holds for whole packets, gives those it has fetched ahead back to the tap, and waits for its work to end
 * (vhost_net_set_backend, vhost_net_buf_unproduce, vhost_dev_flush). Kicks that come meanwhile find no back end; nothing of them is
 * lost, as setting one looks at the tap at once (vhost_net_enable_vq): it can be written to, so the send ring is looked through.
 *
 * The used index is not asked for: a back end that is set takes it from the guest's memory (vhost_vq_init_access). Stopping and starting
 * leaves the position alone, so nothing but the back end has to be put back, and setting one that is set does nothing: that is what the
 * undo list needs. If both of our processes are killed at the same time, the back ends stay away until the next checkpoint has
 * put them back. The calls have to be the target's: vhost looks at the memory of the caller (vhost_dev_check_owner).
 * Tests: vhost-connections, vhost-checkpoint-faults. */
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

#include "vhost.h"

#define RINGS_AT_ONCE 32

static bool is_owned(const struct vhost_state *v, const struct vhost_rec_ring *r)
{
	return v->devices[(size_t)(r - v->rings) / VHOST_RINGS].owned;
}

static int note_starts(struct stasis_session *s, const struct vhost_state *v)
{
	int err = 0;

	for (size_t i = 0; i < v->n_rings && !err; i++) {
		const struct vhost_rec_ring *r = &v->rings[i];
		struct vhost_vring_file file = { .index = r->index, .fd = r->backend };
		if (r->backend >= 0)
			err = stasis_undo_ioctl(s, r->device, VHOST_NET_SET_BACKEND, &file, sizeof(file));
	}
	return err ? stasis_fail(s, err, "vhost devices: too many of them to be started again") : 0;
}

static void add(struct stasis_calls *c, const struct vhost_rec_ring *r, uint64_t request, uint64_t at)
{
	stasis_calls_add(c, 0, SYS_ioctl, (uint64_t)r->device, request, at, 0);
}

/* All are stopped before the first is read: a guest may bridge one to the other. */
static int stop(struct stasis_session *s, struct stasis_calls *c, const struct vhost_state *v, size_t begin, size_t end)
{
	size_t failed = 0, n = 0;

	stasis_calls_reset(c);
	for (size_t i = begin; i < end; i++) {
		struct vhost_vring_file none = { .index = v->rings[i].index, .fd = -1 };
		if (v->rings[i].backend < 0)
			continue;
		add(c, &v->rings[i], VHOST_NET_SET_BACKEND, stasis_calls_put(c, &none, sizeof(none)));
		n++;
	}
	int err = n ? stasis_calls_run(c, &failed) : 0;
	return err ? stasis_fail(s, err, "vhost devices (fd %d and others): a ring cannot be stopped: %s", v->rings[begin].device, strerror(-err)) : 0;
}

static int read_bases(struct stasis_session *s, struct stasis_calls *c, struct vhost_state *v, size_t begin, size_t end)
{
	uint64_t at[RINGS_AT_ONCE] = { 0 };
	size_t n = 0;

	stasis_calls_reset(c);
	for (size_t i = begin; i < end; i++) {
		struct vhost_vring_state state = { .index = v->rings[i].index };
		if (!is_owned(v, &v->rings[i]))
			continue;
		at[i - begin] = stasis_calls_put(c, &state, sizeof(state));
		add(c, &v->rings[i], VHOST_GET_VRING_BASE, at[i - begin]);
		n++;
	}
	int err = n ? stasis_calls_run(c, NULL) : 0;
	if (err)
		return stasis_fail(s, err, "vhost devices (fd %d and others): how far a ring has come cannot be read: %s", v->rings[begin].device,
				   strerror(-err));
	for (size_t i = begin; i < end; i++)
		if (at[i - begin])
			v->rings[i].base = ((const struct vhost_vring_state *)stasis_calls_at(c, at[i - begin]))->num;
	return 0;
}

int vhost_rest(struct stasis_session *s, void *state)
{
	struct vhost_state *v = state;
	struct stasis_calls *c;
	int err = note_starts(s, v);

	if (err)
		return err;
	if ((err = stasis_calls_create(s, RINGS_AT_ONCE, &c)))
		return stasis_fail(s, err, "vhost devices: no room for calls in the target");
	for (size_t i = 0; i < v->n_rings && !err; i += RINGS_AT_ONCE)
		err = stop(s, c, v, i, i + RINGS_AT_ONCE < v->n_rings ? i + RINGS_AT_ONCE : v->n_rings);
	if (!err)
		err = stasis_fault(s, "stopped");
	for (size_t i = 0; i < v->n_rings && !err; i += RINGS_AT_ONCE)
		err = read_bases(s, c, v, i, i + RINGS_AT_ONCE < v->n_rings ? i + RINGS_AT_ONCE : v->n_rings);
	stasis_calls_destroy(c);
	return err;
}
