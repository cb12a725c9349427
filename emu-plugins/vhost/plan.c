// SPDX-License-Identifier: LGPL-2.1-or-later
/* What an image's vhost-net devices need of this host, everything that is missing there, and stage 1: they are opened. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vhost.h"

/* Those that a program may ask of vhost-net (VHOST_NET_FEATURES and the bits of the rings). */
static const struct {
	unsigned bit;
	const char *name;
} names[] = {
	{ 15, "VIRTIO_NET_F_MRG_RXBUF" }, { 24, "VIRTIO_F_NOTIFY_ON_EMPTY" }, { 26, "VHOST_F_LOG_ALL" },
	{ 27, "VIRTIO_F_ANY_LAYOUT" },	  { 28, "VIRTIO_RING_F_INDIRECT_DESC" }, { 29, "VIRTIO_RING_F_EVENT_IDX" },
	{ 32, "VIRTIO_F_VERSION_1" },	  { 33, "VIRTIO_F_ACCESS_PLATFORM" }, { 34, "VIRTIO_F_RING_PACKED" },
	{ 35, "VIRTIO_F_IN_ORDER" },	  { 40, "VIRTIO_F_RING_RESET" },
};

static const char *feature_words(uint64_t bits, char *buf, size_t size)
{
	size_t used = 0;

	buf[0] = '\0';
	for (unsigned bit = 0; bit < 64 && used < size; bit++) {
		const char *name = NULL;
		if (!(bits & 1ull << bit))
			continue;
		for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
			name = names[i].bit == bit ? names[i].name : name;
		used += (size_t)(name ? snprintf(buf + used, size - used, "%s%s", used ? ", " : "", name) :
					snprintf(buf + used, size - used, "%sbit %u", used ? ", " : "", bit));
	}
	return buf;
}

static void plan_features(struct stasis_session *s, const struct vhost_rec_device *d, uint64_t here, uint64_t backend_here)
{
	char words[256];

	if (d->features & ~here)
		stasis_obstacle(s, d->fd, NULL, "use a kernel like the one it came from", "this host's vhost-net lacks what the guest was promised: %s",
				feature_words(d->features & ~here, words, sizeof(words)));
	if (d->backend_features & ~backend_here)
		stasis_obstacle(s, d->fd, NULL, "use a kernel like the one it came from", "this host's vhost-net lacks back end features %#lx",
				d->backend_features & ~backend_here);
}

int vhost_plan(struct stasis_session *s, void *state)
{
	struct vhost_state *v = state;
	uint64_t here = 0, backend_here = 0;
	int err = vhost_load(s, v);

	if (err)
		return err;
	int fd = open(VHOST_PATH, O_RDWR | O_CLOEXEC);
	if (fd < 0 || ioctl(fd, VHOST_GET_FEATURES, &here) < 0) {
		err = errno;
		stasis_obstacle(s, v->n_devices ? v->devices[0].fd : -1, VHOST_PATH,
				err == EACCES || err == EPERM ? "run as root, or allow it (chmod a+rw " VHOST_PATH ")" :
								"load the kernel's module (modprobe vhost_net)",
				VHOST_PATH " cannot be used: %s", strerror(err));
		if (fd >= 0)
			close(fd);
		return 0;
	}
	if (ioctl(fd, VHOST_GET_BACKEND_FEATURES, &backend_here) < 0) /* an older kernel */
		backend_here = 0;
	close(fd);
	for (size_t i = 0; i < v->n_devices; i++) {
		const struct vhost_rec_ring *r = &v->rings[i * VHOST_RINGS];
		int backend = r[0].backend >= 0 ? r[0].backend : r[1].backend;
		plan_features(s, &v->devices[i], here, backend_here);
		if (backend >= 0)
			stasis_action(s, v->devices[i].fd, VHOST_PATH " is opened and connected to fd %d", backend);
		else
			stasis_action(s, v->devices[i].fd, VHOST_PATH " is opened; none of its rings runs");
	}
	return 0;
}

int vhost_restore(struct stasis_session *s, void *state)
{
	const struct vhost_state *v = state;
	int err = 0;

	for (size_t i = 0; i < v->n_devices && !err; i++) {
		int fd = open(VHOST_PATH, O_RDWR | O_CLOEXEC);
		err = fd < 0 ? stasis_fail(s, -errno, "fd %d: " VHOST_PATH " cannot be opened: %s", v->devices[i].fd, strerror(errno)) :
			       stasis_give(s, v->devices[i].fd, fd);
	}
	return err;
}
