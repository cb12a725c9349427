// SPDX-License-Identifier: LGPL-2.1-or-later
/* What an image needs of this host's KVM: whether there is one, and whether the guest can live with it. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kvm.h"
#include "kvm/compare.h"

struct telling {
	struct stasis_session *s;
	int fd; /* of the machine */
};

static void tell(void *ctx, enum kvm_severity severity, const char *remedy, const char *text)
{
	struct telling *t = ctx;

	if (severity == KVM_DIFF_REFUSE)
		stasis_obstacle(t->s, t->fd, NULL, remedy ? remedy : "restart on a host like the one it came from", "%s", text);
	else
		stasis_warn(t->s, "%s", text);
}

static void host_of_record(const struct kvm_rec_host *rec, struct kvm_host *ret)
{
	*ret = (struct kvm_host){
		.api_version = rec->api_version,
		.cpuid = rec->cpuid.data,
		.n_cpuid = rec->cpuid.size / sizeof(struct kvm_cpuid_entry2),
		.msrs = rec->msrs.data,
		.n_msrs = rec->msrs.size / sizeof(uint32_t),
		.features = rec->features.data,
		.n_features = rec->features.size / sizeof(struct kvm_msr_entry),
		.caps = rec->caps.data,
		.n_caps = rec->caps.size / sizeof(struct kvm_cap_value),
		.xcomp_supported = rec->xcomp_supported,
		.tsc_khz = rec->tsc_khz,
		.xsave_size = rec->xsave_size,
		.tsc_scaling = rec->tsc_scaling,
	};
}

/* The capabilities that the VMM has enabled on this machine or its virtual CPUs. */
static size_t caps_of(const struct kvm_state *k, struct kvm_cap_value *ret, size_t room)
{
	size_t n = 0;

	for (size_t i = 0; i < k->n_entries && n < room; i++) {
		struct kvm_enable_cap cap;
		if (k->entries[i].request != KVM_ENABLE_CAP || k->entries[i].data.size < sizeof(cap))
			continue;
		memcpy(&cap, k->entries[i].data.data, sizeof(cap));
		ret[n++] = (struct kvm_cap_value){ cap.cap, (int32_t)cap.args[0] };
	}
	return n;
}

static uint32_t slots_of(const struct kvm_state *k, uint32_t object)
{
	uint32_t n = 0;

	for (size_t i = 0; i < k->n_entries; i++) {
		const struct kvm_userspace_memory_region *slot = k->entries[i].data.data;
		if (k->entries[i].object == object && k->entries[i].request == KVM_SET_USER_MEMORY_REGION && (slot->slot & 0xffff) >= n)
			n = (slot->slot & 0xffff) + 1;
	}
	return n;
}

/* XSAVE header: the components that are not in their initial state (Intel SDM 1, 13.4.2). */
#define XSTATE_BV 512

static void guest_of_vcpu(const struct kvm_rec_vcpu *v, struct kvm_guest *g)
{
	g->cpuid = v->cpuid.data;
	g->n_cpuid = v->cpuid.size / sizeof(struct kvm_cpuid_entry2);
	g->msrs = v->msrs.data;
	g->n_msrs = v->msrs.size / sizeof(struct kvm_msr_entry);
	g->tsc_khz = v->tsc_khz;
	g->nested = v->nested.size > sizeof(struct kvm_nested_state);
	if (v->xcrs.size == sizeof(struct kvm_xcrs))
		g->xcr0 = ((const struct kvm_xcrs *)v->xcrs.data)->xcrs[0].value;
}

static int compare_machine(struct stasis_session *s, const struct kvm_state *k, const struct kvm_host *is, const struct kvm_rec_machine *m)
{
	struct kvm_cap_value caps[64];
	struct kvm_guest guest = { .caps = caps, .n_caps = caps_of(k, caps, KVM_N_OF(caps)), .n_memslots = slots_of(k, m->object) };
	struct telling t = { s, m->fd };
	struct kvm_host was;
	bool first = true;

	host_of_record(&k->hosts[0], &was);
	for (size_t i = 0; i < k->n_vcpus; i++) {
		const struct kvm_rec_vcpu *v = &k->vcpus[i];
		if (v->machine != m->object)
			continue;
		guest.n_vcpus++;
		if (v->id > guest.max_vcpu_id)
			guest.max_vcpu_id = v->id;
		if (first)
			guest_of_vcpu(v, &guest);
		first = false;
	}
	int err = kvm_compare(&was, is, &guest, tell, &t);
	if (err == -EINVAL)
		return stasis_damaged(s, "they make no sense");
	if (!err)
		stasis_action(s, m->fd, "made anew, with %u virtual CPUs", guest.n_vcpus);
	return 0;
}

static void refuse_device(struct stasis_session *s, const char *path, int err)
{
	const struct stasis_descriptor *d;
	size_t n = stasis_descriptors(s, &d);
	const char *remedy = err == -EACCES || err == -EPERM ?
				     "run as root, or as a member of the device's group (usually kvm)" :
				     "load the kernel's module (modprobe kvm_intel or kvm_amd) and enable virtualisation in the firmware, or --map kvm:/dev/kvm=PATH";
	int fd = -1;

	for (size_t i = 0; i < n; i++)
		if (fd < 0 && !strcmp(d[i].what, "KVM"))
			fd = d[i].fd;
	stasis_obstacle(s, fd, path, remedy, "%s: %s", path, strerror(-err));
}

int kvm_plan(struct stasis_session *s, void *state)
{
	const char *path = stasis_mapped(s, "kvm", "/dev/kvm");
	struct kvm_state *k = state;
	struct kvm_host is;
	int err = kvm_load(s, k);

	if (err)
		return err;
	path = path ? path : "/dev/kvm";
	int fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0 || stasis_fault(s, "open")) {
		refuse_device(s, path, fd < 0 ? -errno : -EIO);
		if (fd >= 0)
			close(fd);
		return 0;
	}
	err = kvm_host_read(fd, &is);
	close(fd);
	if (err) {
		stasis_obstacle(s, -1, path, "restart on a host with KVM", "it cannot be asked what it can do: %s", strerror(-err));
		return 0;
	}
	for (size_t i = 0; i < k->n_machines && !err; i++)
		err = compare_machine(s, k, &is, &k->machines[i]);
	kvm_host_finish(&is);
	return err;
}
