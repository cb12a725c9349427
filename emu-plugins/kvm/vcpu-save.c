// SPDX-License-Identifier: LGPL-2.1-or-later
/* One virtual CPU, read by one batch of calls.
 *
 * Order. MP_STATE first: reading it lets a pending INIT or SIPI take effect (kvm_apic_accept_events), which changes registers. The
 * TSC deadline before the LAPIC: a timer that goes off between the two then is there twice, at worst (the same bit of the IRR), and
 * never lost. VCPU_EVENTS last: other readers may turn pending things into injected ones. Tests: bare guests ap-in-init-again,
 * lapic-timer; kvm-linux-twenty-generations. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "kvm.h"

#define CPUID_MAX 256

/* A part that is asked for with one ioctl and goes into the record as it is. */
struct part {
	uint64_t request;
	size_t size;
	struct img_bytes *to;
	bool may_lack; /* an older kernel, no LAPIC in the kernel, ... */
	uint64_t at;
	size_t call;
};

static int take_parts(struct stasis_session *s, struct stasis_calls *c, const struct kvm_object *o, struct part *parts, size_t n)
{
	char name[32];

	for (size_t i = 0; i < n; i++) {
		struct part *p = &parts[i];
		int64_t result = p->request ? stasis_calls_result(c, p->call) : 0;
		if (!p->request || (result < 0 && p->may_lack))
			continue;
		if (result < 0)
			return stasis_fail(s, (int)result, "virtual CPU %u (fd %d): %s: %s", o->id, o->fd, kvm_request_name(p->request, name),
					   strerror((int)-result));
		int err = kvm_bytes_from(c, p->at, p->size, p->to);
		if (err)
			return err;
	}
	return 0;
}

/* The kernel says how many entries it wants, and in older versions not how many it gave: the rest stays zero. */
static int take_cpuid(struct stasis_calls *c, uint64_t at, struct kvm_rec_vcpu *ret)
{
	const struct kvm_cpuid2 *cpuid = stasis_calls_at(c, at);
	const struct kvm_cpuid_entry2 zero = { 0 };
	size_t n = cpuid->nent < CPUID_MAX ? cpuid->nent : CPUID_MAX;

	while (n && !memcmp(&cpuid->entries[n - 1], &zero, sizeof(zero)))
		n--;
	return n ? kvm_bytes_copy(cpuid->entries, n * sizeof(zero), &ret->cpuid) : 0;
}

struct msr_call {
	uint64_t at; /* struct kvm_one_msr */
	size_t call;
};

/* One call per MSR: what does not exist fails alone. */
static struct msr_call *add_msrs(struct stasis_calls *c, int fd, const struct kvm_msr_numbers *msrs, unsigned banks, size_t *ret_n)
{
	struct msr_call *calls = calloc(msrs->n + 1, sizeof(*calls));

	*ret_n = 0;
	for (size_t i = 0; calls && i < msrs->n; i++) {
		struct msr_call *m = &calls[*ret_n];
		if (kvm_msr_is_no_bank(msrs->items[i], banks))
			continue;
		m->at = kvm_calls_msr(c, fd, KVM_GET_MSRS, msrs->items[i], 0, &m->call);
		(*ret_n)++;
	}
	return calls;
}

static int take_msrs(struct stasis_calls *c, const struct msr_call *calls, size_t n, struct kvm_rec_vcpu *ret)
{
	struct kvm_msr_entry *list = calloc(n + 1, sizeof(*list));
	size_t n_read = 0;

	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		if (stasis_calls_result(c, calls[i].call) == 1)
			list[n_read++] = ((const struct kvm_one_msr *)stasis_calls_at(c, calls[i].at))->entry;
	int err = n_read ? kvm_bytes_copy(list, n_read * sizeof(*list), &ret->msrs) : 0;
	free(list);
	return err;
}

static int save_run_page(struct stasis_session *s, const struct kvm_object *o, size_t size, struct kvm_rec_vcpu *ret)
{
	int copy = stasis_descriptor_copy(s, o->fd);
	void *run = copy < 0 ? MAP_FAILED : mmap(NULL, size, PROT_READ, MAP_SHARED, copy, 0);

	if (copy >= 0)
		close(copy);
	if (run == MAP_FAILED)
		return stasis_fail(s, -EIO, "virtual CPU %u (fd %d): its shared pages cannot be mapped", o->id, o->fd);
	int err = kvm_bytes_copy(run, size, &ret->run);
	munmap(run, size);
	return err;
}

/* Where the answers of one batch will be. */
struct asked {
	struct part parts[6], last[2];
	struct msr_call *msrs;
	size_t n_msrs;
	size_t khz, cpuid, nested, offset, deadline; /* calls */
	uint64_t cpuid_at, nested_at, offset_at, deadline_at, now_at;
};

#define NESTED_MAX 16384

static uint64_t put_header(struct stasis_calls *c, const void *header, size_t size, size_t room)
{
	uint64_t at = stasis_calls_put(c, NULL, room);

	memcpy(stasis_calls_at(c, at), header, size);
	return at;
}

static void ask_parts(struct stasis_calls *c, int fd, struct part *parts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		parts[i].at = kvm_calls_ioctl(c, STASIS_MAY_FAIL, fd, parts[i].request, NULL, parts[i].size, &parts[i].call);
}

static int ask(struct stasis_calls *c, int fd, const struct kvm_msr_numbers *msrs, unsigned banks, struct asked *a)
{
	const struct kvm_nested_state nested = { .size = NESTED_MAX };
	const struct kvm_cpuid2 cpuid = { .nent = CPUID_MAX };

	ask_parts(c, fd, a->parts, KVM_N_OF(a->parts));
	a->cpuid_at = put_header(c, &cpuid, sizeof(cpuid), sizeof(cpuid) + CPUID_MAX * sizeof(struct kvm_cpuid_entry2));
	a->cpuid = stasis_calls_add(c, STASIS_MAY_FAIL, SYS_ioctl, (uint64_t)fd, KVM_GET_CPUID2, a->cpuid_at, 0);
	a->khz = stasis_calls_add(c, STASIS_MAY_FAIL, SYS_ioctl, (uint64_t)fd, KVM_GET_TSC_KHZ, 0, 0);
	a->nested_at = put_header(c, &nested, sizeof(nested), NESTED_MAX);
	a->nested = stasis_calls_add(c, STASIS_MAY_FAIL, SYS_ioctl, (uint64_t)fd, KVM_GET_NESTED_STATE, a->nested_at, 0);
	if (!(a->msrs = add_msrs(c, fd, msrs, banks, &a->n_msrs)))
		return -ENOMEM;
	a->offset_at = stasis_calls_put(c, NULL, sizeof(int64_t));
	struct kvm_device_attr attr = { .group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET, .addr = a->offset_at };
	kvm_calls_ioctl(c, STASIS_MAY_FAIL, fd, KVM_GET_DEVICE_ATTR, &attr, sizeof(attr), &a->offset);
	a->deadline_at = kvm_calls_msr(c, fd, KVM_GET_MSRS, KVM_MSR_IA32_TSC_DEADLINE, 0, &a->deadline);
	a->now_at = stasis_calls_put(c, NULL, sizeof(struct timespec));
	stasis_calls_add(c, 0, SYS_clock_gettime, CLOCK_MONOTONIC, a->now_at, 0, 0);
	ask_parts(c, fd, a->last, KVM_N_OF(a->last));
	return 0;
}

static int take(struct stasis_session *s, struct stasis_calls *c, const struct kvm_object *o, struct asked *a, struct kvm_rec_vcpu *ret)
{
	const struct kvm_nested_state *nested = stasis_calls_at(c, a->nested_at);
	int64_t khz = stasis_calls_result(c, a->khz);
	int err;

	if ((err = take_parts(s, c, o, a->parts, KVM_N_OF(a->parts))) || (err = take_parts(s, c, o, a->last, KVM_N_OF(a->last))) ||
	    (err = take_msrs(c, a->msrs, a->n_msrs, ret)))
		return err;
	if (!stasis_calls_result(c, a->cpuid) && (err = take_cpuid(c, a->cpuid_at, ret)))
		return err;
	if (!stasis_calls_result(c, a->nested) && nested->size >= sizeof(*nested) && nested->size <= NESTED_MAX &&
	    (err = kvm_bytes_copy(nested, nested->size, &ret->nested)))
		return err;
	const struct timespec *now = stasis_calls_at(c, a->now_at);
	ret->lapic_ns = now->tv_sec * 1000000000ll + now->tv_nsec;
	ret->tsc_khz = khz > 0 ? (uint32_t)khz : 0;
	ret->has_tsc_offset = stasis_calls_result(c, a->offset) == 0;
	memcpy(&ret->tsc_offset, stasis_calls_at(c, a->offset_at), sizeof(ret->tsc_offset));
	if (stasis_calls_result(c, a->deadline) == 1)
		ret->tsc_deadline = ((const struct kvm_one_msr *)stasis_calls_at(c, a->deadline_at))->entry.data;
	return 0;
}

int kvm_vcpu_save(struct stasis_session *s, const struct kvm_object *o, const struct kvm_state *k, unsigned mce_banks,
		  struct kvm_rec_vcpu *ret)
{
	size_t xsave_size = k->host.xsave_size;
	struct asked a = {
		.parts = {
			{ KVM_GET_MP_STATE, sizeof(struct kvm_mp_state), &ret->mp_state, false, 0, 0 },
			{ KVM_GET_REGS, sizeof(struct kvm_regs), &ret->regs, false, 0, 0 },
			{ KVM_GET_SREGS2, sizeof(struct kvm_sregs2), &ret->sregs, false, 0, 0 },
			{ KVM_GET_DEBUGREGS, sizeof(struct kvm_debugregs), &ret->debugregs, true, 0, 0 },
			{ xsave_size > 4096 ? KVM_GET_XSAVE2 : KVM_GET_XSAVE, xsave_size, &ret->xsave, false, 0, 0 },
			{ KVM_GET_XCRS, sizeof(struct kvm_xcrs), &ret->xcrs, true, 0, 0 },
		},
		.last = {
			{ KVM_GET_LAPIC, sizeof(struct kvm_lapic_state), &ret->lapic, true, 0, 0 },
			{ KVM_GET_VCPU_EVENTS, sizeof(struct kvm_vcpu_events), &ret->events, false, 0, 0 },
		},
	};
	struct stasis_calls *c;
	int err = stasis_calls_create(s, k->msrs.n + 32, &c);

	if (err)
		return stasis_fail(s, err, "virtual CPU %u (fd %d): no room for calls in the target", o->id, o->fd);
	if (!(err = ask(c, o->fd, &k->msrs, mce_banks, &a)) && (err = stasis_calls_run(c, NULL)))
		stasis_fail(s, err, "virtual CPU %u (fd %d): its state cannot be read: %s", o->id, o->fd, strerror(-err));
	if (!err)
		err = take(s, c, o, &a, ret);
	free(a.msrs);
	stasis_calls_destroy(c);
	return err ? err : save_run_page(s, o, k->run_size, ret);
}

/* The part of a LAPIC that interrupts from outside change: in-service, trigger-mode and request registers. */
#define LAPIC_ISR 0x100
#define LAPIC_IRR_END 0x280

int kvm_vcpu_save_lapic(struct stasis_session *s, struct kvm_rec_vcpu *v, bool *ret_changed)
{
	struct stasis_calls *c;
	int err;

	if (!v->lapic.size)
		return 0;
	if ((err = stasis_calls_create(s, 1, &c)))
		return err;
	uint64_t at = kvm_calls_ioctl(c, 0, v->fd, KVM_GET_LAPIC, NULL, sizeof(struct kvm_lapic_state), NULL);
	err = stasis_calls_run(c, NULL);
	uint8_t *now = stasis_calls_at(c, at);
	if (!err && memcmp(now + LAPIC_ISR, (uint8_t *)v->lapic.data + LAPIC_ISR, LAPIC_IRR_END - LAPIC_ISR)) {
		*ret_changed = true;
		memcpy((uint8_t *)v->lapic.data + LAPIC_ISR, now + LAPIC_ISR, LAPIC_IRR_END - LAPIC_ISR);
	}
	stasis_calls_destroy(c);
	return err ? stasis_fail(s, err, "virtual CPU %u (fd %d): KVM_GET_LAPIC: %s", v->id, v->fd, strerror(-err)) : 0;
}
