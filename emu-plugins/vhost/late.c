// SPDX-License-Identifier: LGPL-2.1-or-later
/* Stage 2: with all memory and all threads in place, devices get their owner, their settings, and last their back ends.
 *
 * Order, and why. VHOST_SET_OWNER first: every other call asks for it, and it makes the worker, whose thread number is taken from
 * the target's: all of the target's threads have theirs by now. Features before memory and rings, as they say how those are
 * read. Size and position before the back end, which they cannot be changed under (EBUSY). Kick before the back end: the eventfd is
 * looked at when it is set, and its count is what was signalled and not yet seen; without a back end that does nothing, so the back
 * end, when it is set, looks through the ring (rest.c). Call eventfds against KVM's irqfds: any order will do, since an
 * irqfd finds a count that is there when it is made (kvm_irqfd_assign). Back ends of all devices last: from then on the worker
 * writes into the guest. This plugin comes after those of KVM and of the tap, whose interface is up by then. Test: vhost-connections. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "vhost.h"

#define CALLS_MAX 32

struct late {
	struct stasis_session *s;
	struct stasis_calls *c;
	int device;
	uint32_t requests[CALLS_MAX];
};

static void add(struct late *l, uint64_t request, const void *data, size_t size)
{
	uint64_t at = size ? stasis_calls_put(l->c, data, size) : 0;
	size_t i = stasis_calls_add(l->c, 0, SYS_ioctl, (uint64_t)l->device, request, at, 0);

	if (i < CALLS_MAX)
		l->requests[i] = (uint32_t)request;
}

static void add_state(struct late *l, uint64_t request, const struct vhost_rec_ring *r, uint32_t value)
{
	struct vhost_vring_state state = { .index = r->index, .num = value };

	add(l, request, &state, sizeof(state));
}

static void add_file(struct late *l, uint64_t request, const struct vhost_rec_ring *r, int fd)
{
	struct vhost_vring_file file = { .index = r->index, .fd = fd };

	if (fd >= 0)
		add(l, request, &file, sizeof(file));
}

static int run(struct late *l)
{
	size_t failed = 0;
	int err = stasis_calls_run(l->c, &failed);
	const struct vhost_request *r = err && failed < CALLS_MAX ? vhost_request_find(l->requests[failed]) : NULL;

	return err ? stasis_fail(l->s, err, "fd %d: %s is refused by this host's vhost-net: %s%s", l->device, r ? r->name : "a call",
				 strerror(-err), err == -E2BIG ? "; raise the module's parameter max_mem_regions" : "") :
		     0;
}

static void add_ring(struct late *l, const struct vhost_rec_ring *r)
{
	if (r->set & VHOST_SET_THE_NUM)
		add_state(l, VHOST_SET_VRING_NUM, r, r->num);
	add_state(l, VHOST_SET_VRING_BASE, r, r->base);
	if (r->set & VHOST_SET_THE_ENDIAN)
		add_state(l, VHOST_SET_VRING_ENDIAN, r, r->endian);
	if (r->addr.size)
		add(l, VHOST_SET_VRING_ADDR, r->addr.data, r->addr.size);
	if (r->set & VHOST_SET_THE_BUSYLOOP)
		add_state(l, VHOST_SET_VRING_BUSYLOOP_TIMEOUT, r, r->busyloop);
	add_file(l, VHOST_SET_VRING_KICK, r, r->kick);
	add_file(l, VHOST_SET_VRING_CALL, r, r->call);
	add_file(l, VHOST_SET_VRING_ERR, r, r->err);
}

static int late_device(struct stasis_session *s, const struct vhost_rec_device *d, const struct vhost_rec_ring *rings)
{
	struct late l = { .s = s, .device = d->fd };
	int err = stasis_calls_create(s, CALLS_MAX, &l.c);

	if (err)
		return err;
	if (d->owned)
		add(&l, VHOST_SET_OWNER, NULL, 0);
	if (d->set & VHOST_SET_THE_FEATURES)
		add(&l, VHOST_SET_FEATURES, &d->features, sizeof(d->features));
	if (d->set & VHOST_SET_THE_BACKEND_FEATURES)
		add(&l, VHOST_SET_BACKEND_FEATURES, &d->backend_features, sizeof(d->backend_features));
	if (d->owned && d->memory.size)
		add(&l, VHOST_SET_MEM_TABLE, d->memory.data, d->memory.size);
	if (d->owned && d->set & VHOST_SET_THE_LOG_BASE)
		add(&l, VHOST_SET_LOG_BASE, &d->log_base, sizeof(d->log_base));
	if (d->owned && d->log_fd >= 0)
		add(&l, VHOST_SET_LOG_FD, &d->log_fd, sizeof(d->log_fd));
	for (unsigned i = 0; d->owned && i < VHOST_RINGS; i++)
		add_ring(&l, &rings[i]);
	err = run(&l);
	stasis_calls_destroy(l.c);
	return err;
}

static int start(struct stasis_session *s, const struct vhost_rec_ring *r)
{
	struct late l = { .s = s, .device = r->device };
	int err = r->backend < 0 ? 0 : stasis_calls_create(s, CALLS_MAX, &l.c);

	if (err || r->backend < 0)
		return err;
	add_file(&l, VHOST_NET_SET_BACKEND, r, r->backend);
	err = run(&l);
	stasis_calls_destroy(l.c);
	return err;
}

int vhost_late(struct stasis_session *s, void *state)
{
	const struct vhost_state *v = state;
	int err = 0;

	for (size_t i = 0; i < v->n_devices && !err; i++)
		err = late_device(s, &v->devices[i], &v->rings[i * VHOST_RINGS]);
	if (!err)
		err = stasis_fault(s, "start");
	for (size_t i = 0; i < v->n_rings && !err; i++)
		err = start(s, &v->rings[i]);
	return err;
}
