// SPDX-License-Identifier: LGPL-2.1-or-later
/* What will happen to vhost-net devices in a checkpoint, what stands in the way, and the records of it. */
#include <errno.h>
#include <linux/vhost_types.h>
#include <string.h>

#include "vhost.h"

#define RUN_REMEDY "start the emulator with `stasis run`, or without it (QEMU: vhost=off)"
#define FEATURE_ACCESS_PLATFORM (1ull << 33) /* include/uapi/linux/virtio_config.h */

static const char *const ring_names[VHOST_RINGS] = { "receive ring", "send ring" };

static struct vhost_rec_ring *rings_of(const struct vhost_state *v, const struct vhost_rec_device *d)
{
	return &v->rings[(size_t)(d - v->devices) * VHOST_RINGS];
}

static bool is_eventfd(struct stasis_session *s, int fd)
{
	const char *kind = stasis_descriptor_kind(s, fd);

	return kind && !strcmp(kind, "eventfd");
}

static bool logs(const struct vhost_rec_ring *r)
{
	struct vhost_vring_addr addr = { 0 };

	if (r->addr.size == sizeof(addr))
		memcpy(&addr, r->addr.data, sizeof(addr));
	return addr.flags & 1u << VHOST_VRING_F_LOG;
}

/* A ring that is not running has eventfds and addresses of an earlier life; the program sets them anew when it starts it. Its
 * numbers may have gone to something else since. */
static void check_event(struct stasis_session *s, const struct vhost_rec_ring *r, int *fd, const char *what)
{
	if (*fd < 0 || is_eventfd(s, *fd))
		return;
	if (r->backend >= 0)
		stasis_obstacle(s, r->device, NULL, "let the target keep the descriptor open",
				"%s: its %s eventfd was fd %d, which is closed or something else now", ring_names[r->index], what, *fd);
	*fd = -1;
}

static void check_ring(struct stasis_session *s, struct vhost_rec_ring *r)
{
	const char *kind = r->backend >= 0 ? stasis_descriptor_kind(s, r->backend) : NULL;

	check_event(s, r, &r->kick, "kick");
	check_event(s, r, &r->call, "call");
	check_event(s, r, &r->err, "error");
	if (r->backend >= 0 && !kind)
		stasis_obstacle(s, r->device, NULL, "let the target keep the descriptor open",
				"%s: its back end was fd %d, which is closed", ring_names[r->index], r->backend);
	if (logs(r))
		stasis_obstacle(s, r->device, NULL, "wait for the migration to end, or cancel it",
				"%s: a live migration is under way: written pages are logged", ring_names[r->index]);
}

static void check_device(struct stasis_session *s, const struct vhost_state *v, const struct vhost_rec_device *d)
{
	struct vhost_rec_ring *r = rings_of(v, d);
	unsigned running = 0;

	for (unsigned i = 0; i < VHOST_RINGS; i++) {
		check_ring(s, &r[i]);
		running += r[i].backend >= 0;
	}
	if (d->features & 1ull << VHOST_F_LOG_ALL)
		stasis_obstacle(s, d->fd, NULL, "wait for the migration to end, or cancel it",
				"a live migration is under way: written pages are logged (VHOST_F_LOG_ALL)");
	if (d->features & FEATURE_ACCESS_PLATFORM)
		stasis_obstacle(s, d->fd, NULL, "start the guest without an IOMMU in front of it (QEMU: iommu_platform=off)",
				"its addresses go through an IOMMU (VIRTIO_F_ACCESS_PLATFORM), whose translations cannot be read");
	if (running)
		stasis_action(s, d->fd, "stopped for the moment of the picture, started again; a new one is connected to fd %d at the restart",
			      r[r[0].backend >= 0 ? 0 : 1].backend);
	else
		stasis_action(s, d->fd, "opened again; none of its rings is running");
}

int vhost_check(struct stasis_session *s, void *state)
{
	struct vhost_state *v = state;
	uint64_t size;

	if (stasis_recorded(s, &v->journal, &size))
		v->journal = 0;
	int err = vhost_survey(s, v);
	for (size_t i = 0; i < v->n_devices && !err; i++) {
		const struct vhost_rec_device *d = &v->devices[i];
		if (!v->journal)
			stasis_obstacle(s, d->fd, NULL, RUN_REMEDY,
					"the kernel will not tell how it was set up, and the target runs without the recorder");
		else if (stasis_recorder_broken(s))
			stasis_obstacle(s, d->fd, NULL, RUN_REMEDY, "the recorder's journal ran full");
		else
			check_device(s, v, d);
	}
	return err;
}

int vhost_ready(struct stasis_session *s, void *state)
{
	const struct vhost_state *v = state;

	if (!v->journal || !stasis_recording(s))
		return 0;
	stasis_not_ready(s, "a setting of a vhost device is not made");
	return -EAGAIN;
}

/* check has looked at the stopped process just now, and rest has read the positions. */
int vhost_save(struct stasis_session *s, void *state)
{
	const struct vhost_state *v = state;
	int err = 0;

	for (size_t i = 0; i < v->n_devices && !err; i++)
		err = stasis_record(s, &vhost_device_schema, &v->devices[i]);
	for (size_t i = 0; i < v->n_rings && !err; i++)
		err = stasis_record(s, &vhost_ring_schema, &v->rings[i]);
	return err;
}
