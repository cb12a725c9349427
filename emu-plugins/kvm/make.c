// SPDX-License-Identifier: LGPL-2.1-or-later
/* Stage 1: makes machines and virtual CPUs anew in the process that is to have them, in the order in which the VMM made them.
 *
 * Order. Everything that the recorder has of the time before and between the making of virtual CPUs is done again in the recorded
 * order, which worked once: capabilities, addresses, interrupt controllers, virtual CPUs, what they were set up with. The permission
 * to use large FPU states comes before the first machine (Documentation/arch/x86/xstate.rst). Test: kvm-linux-two-generations. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kvm.h"
#include "requests.h"

#define ARCH_GET_XCOMP_GUEST_PERM 0x1024
#define ARCH_REQ_XCOMP_GUEST_PERM 0x1025

/* One thing to be made or done, by its place in the order of old. */
struct step {
	uint64_t seq;
	const struct kvm_rec_machine *machine;
	const struct kvm_rec_vcpu *vcpu;
	const struct kvm_rec_stats *stats;
	const struct kvm_rec_entry *entry;
};

struct maker {
	struct stasis_session *s;
	const struct kvm_state *k;
	int kvm;    /* /dev/kvm */
	int *fds;   /* by object: our own copy of what was made; -1 */
	size_t n_fds;
};

static int step_by_seq(const void *a, const void *b)
{
	const struct step *x = a, *y = b;

	return (x->seq > y->seq) - (x->seq < y->seq);
}

/* Keeps a copy to work with and gives the descriptor to the target. */
static int keep(struct maker *m, uint32_t object, int fd, int made)
{
	int copy = fcntl(made, F_DUPFD_CLOEXEC, 0);

	if (copy < 0) {
		close(made);
		return stasis_fail(m->s, -errno, "fd %d: no descriptor is free: %s; raise the limit (ulimit -n)", fd, strerror(errno));
	}
	m->fds[object] = copy;
	return stasis_give(m->s, fd, made);
}

static int make_machine(struct maker *m, const struct kvm_rec_machine *rec)
{
	int err = stasis_fault(m->s, "create-vm");
	int fd = err ? -1 : ioctl(m->kvm, KVM_CREATE_VM, (unsigned long)rec->type);

	if (fd < 0)
		return err ? err : stasis_fail(m->s, -errno, "fd %d: a virtual machine (type %u) cannot be made: %s%s", rec->fd, rec->type, strerror(errno),
					       errno == EBUSY ? "; another hypervisor has the processor's virtualisation, end it" :
					       errno == ENOMEM ? "; this host has too little memory" : "");
	return keep(m, rec->object, rec->fd, fd);
}

/* What VMM and kernel had said to each other, as it was: an exit that the VMM is still looking at, coalesced writes not yet taken. */
static int fill_run_page(struct maker *m, const struct kvm_rec_vcpu *rec, int fd)
{
	int size = ioctl(m->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);

	if (size < 0 || rec->run.size > (size_t)size)
		return stasis_fail(m->s, -ENOTSUP, "virtual CPU %u (fd %d): its shared pages have %d bytes here, they had %zu; use the kernel it came from",
				   rec->id, rec->fd, size, rec->run.size);
	void *run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (run == MAP_FAILED)
		return stasis_fail(m->s, -errno, "virtual CPU %u (fd %d): its shared pages cannot be mapped: %s", rec->id, rec->fd, strerror(errno));
	memcpy(run, rec->run.data, rec->run.size);
	munmap(run, (size_t)size);
	return 0;
}

static int make_vcpu(struct maker *m, const struct kvm_rec_vcpu *rec)
{
	int err = stasis_fault(m->s, "create-vcpu");
	int fd = err ? -1 : ioctl(m->fds[rec->machine], KVM_CREATE_VCPU, (unsigned long)rec->id);

	if (fd < 0)
		return err ? err : stasis_fail(m->s, -errno, "fd %d: virtual CPU %u cannot be made: %s", rec->fd, rec->id, strerror(errno));
	if ((err = fill_run_page(m, rec, fd))) {
		close(fd);
		return err;
	}
	return keep(m, rec->object, rec->fd, fd);
}

static int make_stats(struct maker *m, const struct kvm_rec_stats *rec)
{
	int fd = ioctl(m->fds[rec->parent], KVM_GET_STATS_FD, 0);

	if (fd < 0)
		return stasis_fail(m->s, -errno, "fd %d: KVM statistics cannot be had: %s; use a kernel of 5.14 or later", rec->fd, strerror(errno));
	return keep(m, rec->object, rec->fd, fd);
}

/* The filter's bitmaps follow it; point it at them. */
static int set_msr_filter(struct maker *m, const struct kvm_rec_entry *e)
{
	struct kvm_msr_filter filter;
	size_t at = sizeof(filter);

	if (e->data.size < sizeof(filter))
		return -EBADMSG;
	memcpy(&filter, e->data.data, sizeof(filter));
	for (size_t i = 0; i < KVM_MSR_FILTER_MAX_RANGES; i++) {
		size_t bytes = (filter.ranges[i].nmsrs + 7) / 8;
		if (!bytes)
			continue;
		if (bytes > e->data.size - at)
			return -EBADMSG;
		filter.ranges[i].bitmap = (uint8_t *)e->data.data + at;
		at += bytes;
	}
	return ioctl(m->fds[e->object], KVM_X86_SET_MSR_FILTER, &filter) < 0 ? -errno : 0;
}

static int repeat(struct maker *m, const struct kvm_rec_entry *e)
{
	const struct kvm_request *r = kvm_request_find(e->request);
	char name[32];
	int err;

	if (e->request == KVM_X86_SET_MSR_FILTER) {
		err = set_msr_filter(m, e);
	} else if (r->shape == KVM_ARG_VALUE) {
		uint64_t value = 0;
		memcpy(&value, e->data.data, e->data.size < sizeof(value) ? e->data.size : sizeof(value));
		err = ioctl(m->fds[e->object], e->request, value) < 0 ? -errno : 0;
	} else {
		err = ioctl(m->fds[e->object], e->request, e->data.data) < 0 ? -errno : 0;
	}
	if (!err)
		return 0;
	uint32_t cap = 0;
	if (e->request == KVM_ENABLE_CAP && e->data.size >= sizeof(cap))
		memcpy(&cap, e->data.data, sizeof(cap));
	return stasis_fail(m->s, err, "%s%s%.0u%s: %s; use a kernel that has it", kvm_request_name(e->request, name), cap ? " of capability " : "", cap,
			   " is refused by this host's KVM", strerror(-err));
}

static int take(struct maker *m, const struct step *step)
{
	if (step->machine)
		return make_machine(m, step->machine);
	if (step->vcpu)
		return make_vcpu(m, step->vcpu);
	if (step->stats)
		return make_stats(m, step->stats);
	return repeat(m, step->entry);
}

static int all_steps(struct maker *m)
{
	const struct kvm_state *k = m->k;
	struct step *steps = calloc(k->n_machines + k->n_vcpus + k->n_stats + k->n_entries + 1, sizeof(*steps));
	size_t n = 0;
	int err = steps ? 0 : -ENOMEM;

	for (size_t i = 0; steps && i < k->n_machines; i++)
		steps[n++] = (struct step){ .seq = k->machines[i].seq, .machine = &k->machines[i] };
	for (size_t i = 0; steps && i < k->n_vcpus; i++)
		steps[n++] = (struct step){ .seq = k->vcpus[i].seq, .vcpu = &k->vcpus[i] };
	for (size_t i = 0; steps && i < k->n_stats; i++)
		steps[n++] = (struct step){ .seq = k->stats[i].seq, .stats = &k->stats[i] };
	for (size_t i = 0; steps && i < k->n_entries; i++) {
		const struct kvm_request *r = kvm_request_find(k->entries[i].request);
		if (r && r->class == KVM_REQUEST_CONFIG)
			steps[n++] = (struct step){ .seq = k->entries[i].seq, .entry = &k->entries[i] };
	}
	if (steps)
		qsort(steps, n, sizeof(*steps), step_by_seq);
	for (size_t i = 0; i < n && !err; i++)
		err = take(m, &steps[i]);
	free(steps);
	return err;
}

/* Every descriptor of /dev/kvm that the target has, and one to work with. */
static int open_kvm(struct maker *m)
{
	const char *path = stasis_mapped(m->s, "kvm", "/dev/kvm");
	const struct stasis_descriptor *d;
	size_t n = stasis_descriptors(m->s, &d);
	int err = 0;

	path = path ? path : "/dev/kvm";
	if ((m->kvm = open(path, O_RDWR | O_CLOEXEC)) < 0)
		return stasis_fail(m->s, -errno, "%s: %s; the virtual machine needs it", path, strerror(errno));
	for (size_t i = 0; i < n && !err; i++) {
		if (strcmp(d[i].what, "KVM") || d[i].fd != d[i].base)
			continue;
		int fd = open(path, O_RDWR | O_CLOEXEC);
		err = fd < 0 ? stasis_fail(m->s, -errno, "fd %d: %s: %s", d[i].fd, path, strerror(errno)) : stasis_give(m->s, d[i].fd, fd);
	}
	return err;
}

/* Each component has to be asked for by itself. */
static int permit_xfeatures(struct maker *m)
{
	for (size_t i = 0; i < m->k->n_machines; i++) {
		uint64_t want = m->k->machines[i].guest_xfeatures, have = 0;
		syscall(SYS_arch_prctl, ARCH_GET_XCOMP_GUEST_PERM, &have);
		for (unsigned bit = 2; bit < 63; bit++)
			if (want & ~have & 1ull << bit && syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_GUEST_PERM, bit) < 0)
				return stasis_fail(m->s, -errno, "the guest's FPU state component %u is not to be had here: %s", bit, strerror(errno));
	}
	return 0;
}

static size_t count_objects(const struct kvm_state *k)
{
	size_t n = 0;

	for (size_t i = 0; i < k->n_machines; i++)
		n = k->machines[i].object >= n ? k->machines[i].object + 1 : n;
	for (size_t i = 0; i < k->n_vcpus; i++)
		n = k->vcpus[i].object >= n ? k->vcpus[i].object + 1 : n;
	for (size_t i = 0; i < k->n_stats; i++)
		n = k->stats[i].object >= n ? k->stats[i].object + 1 : n;
	return n;
}

int kvm_restore(struct stasis_session *s, void *state)
{
	struct maker m = { .s = s, .k = state, .kvm = -1 };
	int err;

	m.n_fds = count_objects(m.k);
	if (!(m.fds = malloc((m.n_fds + 1) * sizeof(int))))
		return -ENOMEM;
	for (size_t i = 0; i < m.n_fds; i++)
		m.fds[i] = -1;
	if (!(err = open_kvm(&m)) && !(err = permit_xfeatures(&m)))
		err = all_steps(&m);
	for (size_t i = 0; i < m.n_fds; i++)
		if (m.fds[i] >= 0)
			close(m.fds[i]);
	if (m.kvm >= 0)
		close(m.kvm);
	free(m.fds);
	return err;
}
