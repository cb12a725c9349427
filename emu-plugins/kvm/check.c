// SPDX-License-Identifier: LGPL-2.1-or-later
/* What stands in the way of a checkpoint of KVM, by what the recorder has seen. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kvm.h"
#include "requests.h"

/* Newer than the headers that we are built with. */
#define CAP_DIRTY_LOG_RING_ACQ_REL 223

/* Capabilities whose effect cannot be restored. */
static const struct {
	uint32_t cap;
	const char *what, *remedy;
} refused_caps[] = {
	{ KVM_CAP_DIRTY_LOG_RING, "its dirty pages are logged in a ring", "start the emulator without it (QEMU: no dirty-ring-size)" },
	{ CAP_DIRTY_LOG_RING_ACQ_REL, "its dirty pages are logged in a ring", "start the emulator without it (QEMU: no dirty-ring-size)" },
	{ KVM_CAP_VM_COPY_ENC_CONTEXT_FROM, "its memory is encrypted (SEV)", "start the guest without memory encryption" },
	{ KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM, "its memory is encrypted (SEV)", "start the guest without memory encryption" },
	{ KVM_CAP_SGX_ATTRIBUTE, "it may use SGX keys of this processor", "start the guest without SGX" },
};

static void check_entry(struct stasis_session *s, const struct kvm_copy *c, const struct kvm_entry *e)
{
	int fd = c->objects[e->object].fd;
	char name[32];
	uint32_t cap;

	if (e->flags & KVM_ENTRY_REFUSED) {
		const struct kvm_request *r = kvm_request_find(e->request);
		stasis_obstacle(s, fd, NULL, "start the emulator without the feature that uses it", "%s was used on it (%s), which cannot be restored",
				kvm_request_name(e->request, name), r && r->why ? r->why : "not known to this version of stasis");
	}
	if (e->request != KVM_ENABLE_CAP || e->size < sizeof(cap) || stasis_read(s, e->data, &cap, sizeof(cap)))
		return;
	for (size_t i = 0; i < KVM_N_OF(refused_caps); i++)
		if (refused_caps[i].cap == cap)
			stasis_obstacle(s, fd, NULL, refused_caps[i].remedy, "%s, which cannot be saved yet", refused_caps[i].what);
}

static const struct kvm_object *object_by_fd(const struct kvm_copy *c, int fd)
{
	for (uint32_t i = 0; i < c->head.n_objects; i++)
		if (c->objects[i].kind && c->objects[i].fd == fd)
			return &c->objects[i];
	return NULL;
}

static unsigned count_entries(const struct kvm_copy *c, uint32_t object, uint64_t request)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < c->head.n_entries; i++)
		n += c->entries[i].live && c->entries[i].object == object && c->entries[i].request == request;
	return n;
}

static void check_machine(struct stasis_session *s, const struct kvm_copy *c, const struct kvm_object *o)
{
	uint32_t object = (uint32_t)(o - c->objects);
	unsigned vcpus = 0;

	for (uint32_t i = 0; i < c->head.n_objects; i++)
		vcpus += c->objects[i].kind == KVM_OBJECT_VCPU && c->objects[i].parent == object;
	stasis_action(s, o->fd, "made anew: virtual CPUs: %u, memory slots: %u, ioeventfds: %u, irqfds: %u%s", vcpus,
		      count_entries(c, object, KVM_SET_USER_MEMORY_REGION), count_entries(c, object, KVM_IOEVENTFD), count_entries(c, object, KVM_IRQFD),
		      count_entries(c, object, KVM_CREATE_IRQCHIP) ? ", interrupt controllers in the kernel" : "");
}

#define RUN_REMEDY "start the emulator with `stasis run` (or move the guest by the emulator's own migration into one that was)"

static void check_unrecorded(struct stasis_session *s, const struct stasis_descriptor *d, int err)
{
	if (!strcmp(d->link, "anon_inode:kvm-vm"))
		stasis_obstacle(s, d->fd, NULL, err == -EPROTO ? "checkpoint with the version of stasis that started it" : RUN_REMEDY, "%s",
				err == -EPROTO ? "it was started with another version of stasis, whose recorder this one cannot read" :
						 "its memory slots, interrupt routes and event descriptors can only be recorded as they are set, and the "
						 "target runs without the recorder");
	else
		stasis_action(s, d->fd, "goes with its virtual machine");
}

static void check_descriptor(struct stasis_session *s, const struct kvm_copy *c, const struct stasis_descriptor *d)
{
	const struct kvm_object *o = object_by_fd(c, d->fd);

	if (!strcmp(d->what, "KVM")) {
		stasis_action(s, d->fd, "opened again");
	} else if (!o && d->fd == d->base) {
		const struct stasis_descriptor *all;
		size_t n = stasis_descriptors(s, &all);
		for (size_t i = 0; i < n; i++)
			o = o ? o : all[i].base == d->fd ? object_by_fd(c, all[i].fd) : NULL;
		if (!o)
			stasis_obstacle(s, d->fd, NULL, "start the emulator itself with `stasis run`", "the recorder has not seen it being made");
		else
			stasis_action(s, d->fd, "made anew");
	} else if (o && o->kind == KVM_OBJECT_DEVICE) {
		stasis_obstacle(s, d->fd, NULL, "unplug the device from the guest first (QEMU: device_del), plug it in again after the restart",
				"in-kernel device of type %u (%s) has state that cannot be saved", o->id, d->link);
	} else if (o && o->kind == KVM_OBJECT_VM) {
		check_machine(s, c, o);
	} else {
		stasis_action(s, d->fd, o && o->kind == KVM_OBJECT_STATS ? "made anew" : "saved and restored");
	}
}

/* What this host's KVM is like: while the target runs, since it takes a moment. */
static int read_host(struct stasis_session *s, struct kvm_state *k)
{
	const struct stasis_descriptor *d;
	size_t n = stasis_descriptors(s, &d);
	int fd = -1;

	for (size_t i = 0; i < n && fd < 0; i++)
		if (!strcmp(d[i].what, "KVM"))
			fd = stasis_descriptor_copy(s, d[i].fd);
	if (fd < 0)
		fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return stasis_fail(s, -errno, "/dev/kvm cannot be opened: %s; run as root, or as a member of the group kvm", strerror(errno));
	int err = kvm_host_read(fd, &k->host), size = ioctl(fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	k->has_host = !err;
	k->run_size = size > 0 ? (size_t)size : 0;
	if (!err && size <= 0)
		err = -errno;
	if (!err && (err = kvm_msrs_list(s, fd, &k->msrs))) {
		close(fd);
		return err;
	}
	close(fd);
	return err ? stasis_fail(s, err, "/dev/kvm cannot be asked: %s", strerror(-err)) : 0;
}

int kvm_check(struct stasis_session *s, void *state)
{
	struct kvm_state *k = state;
	const struct stasis_descriptor *d;
	size_t n = stasis_descriptors(s, &d);
	uint64_t size;
	int err = stasis_recorded(s, &k->journal, &size);

	if (err) {
		for (size_t i = 0; i < n; i++)
			check_unrecorded(s, &d[i], err);
		return 0;
	}
	if ((err = kvm_copy_read(s, k->journal, &k->copy)))
		return stasis_fail(s, err, "the recorder's journal of KVM cannot be read: %s; start the target anew with `stasis run`", strerror(-err));
	if (stasis_recorder_broken(s))
		stasis_obstacle(s, -1, "recorder", "start the target anew with `stasis run`",
				"the journal of KVM is not complete: it ran full, or a descriptor came from elsewhere");
	for (size_t i = 0; i < n; i++)
		check_descriptor(s, &k->copy, &d[i]);
	for (uint32_t i = 0; i < k->copy.head.n_entries; i++)
		if (k->copy.entries[i].live)
			check_entry(s, &k->copy, &k->copy.entries[i]);
	return k->has_host ? 0 : read_host(s, k);
}
