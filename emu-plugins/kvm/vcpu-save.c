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
static struct msr_call *add_msrs(struct stasis_calls *c, int fd, const struct kvm_msr_numbers *msrs)
{
	struct msr_call *calls = calloc(msrs->n + 1, sizeof(*calls));

	for (size_t i = 0; calls && i < msrs->n; i++)
		calls[i].at = kvm_calls_msr(c, fd, KVM_GET_MSRS, msrs->items[i], 0, &calls[i].call);
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

int kvm_vcpu_save(struct stasis_session *s, const struct kvm_object *o, const struct kvm_state *k, struct kvm_rec_vcpu *ret)
{
	const struct kvm_msr_numbers *msrs = &k->msrs;
	size_t xsave_size = k->host.xsave_size;
	struct kvm_nested_state nested = { .size = 16384 };
	struct part parts[] = {
		{ KVM_GET_MP_STATE, sizeof(struct kvm_mp_state), &ret->mp_state, false, 0, 0 },
		{ KVM_GET_REGS, sizeof(struct kvm_regs), &ret->regs, false, 0, 0 },
		{ KVM_GET_SREGS2, sizeof(struct kvm_sregs2), &ret->sregs, true, 0, 0 },
		{ KVM_GET_DEBUGREGS, sizeof(struct kvm_debugregs), &ret->debugregs, true, 0, 0 },
		{ xsave_size > 4096 ? KVM_GET_XSAVE2 : KVM_GET_XSAVE, xsave_size, &ret->xsave, false, 0, 0 },
		{ KVM_GET_XCRS, sizeof(struct kvm_xcrs), &ret->xcrs, true, 0, 0 },
	};
	struct part last[] = {
		{ KVM_GET_LAPIC, sizeof(struct kvm_lapic_state), &ret->lapic, true, 0, 0 },
		{ KVM_GET_VCPU_EVENTS, sizeof(struct kvm_vcpu_events), &ret->events, false, 0, 0 },
	};
	struct stasis_calls *c;
	size_t khz, offset, tsc_call, cpuid, nest, dl_call, failed = 0;
	int err = stasis_calls_create(s, msrs->n + 32, &c);

	if (err)
		return stasis_fail(s, err, "no room for calls in the target");
	for (size_t i = 0; i < KVM_N_OF(parts); i++)
		parts[i].at = kvm_calls_ioctl(c, STASIS_MAY_FAIL, o->fd, parts[i].request, NULL, parts[i].size, &parts[i].call);
	struct kvm_cpuid2 head = { .nent = CPUID_MAX };
	uint64_t cpuid_at = stasis_calls_put(c, NULL, sizeof(head) + CPUID_MAX * sizeof(struct kvm_cpuid_entry2));
	memcpy(stasis_calls_at(c, cpuid_at), &head, sizeof(head));
	cpuid = stasis_calls_add(c, STASIS_MAY_FAIL, SYS_ioctl, (uint64_t)o->fd, KVM_GET_CPUID2, cpuid_at, 0);
	khz = stasis_calls_add(c, STASIS_MAY_FAIL, SYS_ioctl, (uint64_t)o->fd, KVM_GET_TSC_KHZ, 0, 0);
	uint64_t nested_at = stasis_calls_put(c, NULL, nested.size);
	memcpy(stasis_calls_at(c, nested_at), &nested, sizeof(nested));
	nest = stasis_calls_add(c, STASIS_MAY_FAIL, SYS_ioctl, (uint64_t)o->fd, KVM_GET_NESTED_STATE, nested_at, 0);
	struct msr_call *msr_calls = add_msrs(c, o->fd, msrs);
	uint64_t value_at = stasis_calls_put(c, NULL, 8);
	struct kvm_device_attr attr = { .group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET, .addr = value_at };
	kvm_calls_ioctl(c, STASIS_MAY_FAIL, o->fd, KVM_GET_DEVICE_ATTR, &attr, sizeof(attr), &offset);
	uint64_t now_at = stasis_calls_put(c, NULL, sizeof(struct timespec));
	stasis_calls_add(c, 0, SYS_clock_gettime, CLOCK_MONOTONIC, now_at, 0, 0);
	uint64_t tsc_at = kvm_calls_msr(c, o->fd, KVM_GET_MSRS, KVM_MSR_IA32_TSC, 0, &tsc_call);
	uint64_t dl_at = kvm_calls_msr(c, o->fd, KVM_GET_MSRS, KVM_MSR_IA32_TSC_DEADLINE, 0, &dl_call);
	for (size_t i = 0; i < KVM_N_OF(last); i++)
		last[i].at = kvm_calls_ioctl(c, STASIS_MAY_FAIL, o->fd, last[i].request, NULL, last[i].size, &last[i].call);
	if (!msr_calls)
		err = -ENOMEM;
	else if ((err = stasis_calls_run(c, &failed)))
		err = stasis_fail(s, err, "virtual CPU %u (fd %d): its state cannot be read: %s", o->id, o->fd, strerror(-err));
	if (!err && !(err = take_parts(s, c, o, parts, KVM_N_OF(parts))) && !(err = take_parts(s, c, o, last, KVM_N_OF(last))) &&
	    !(err = stasis_calls_result(c, cpuid) < 0 ? 0 : take_cpuid(c, cpuid_at, ret)) && !(err = take_msrs(c, msr_calls, msrs->n, ret))) {
		const struct timespec *now = stasis_calls_at(c, now_at);
		int64_t f = stasis_calls_result(c, khz);
		ret->sregs2 = ret->sregs.size;
		ret->tsc_khz = f > 0 ? (uint32_t)f : 0;
		ret->has_tsc_offset = stasis_calls_result(c, offset) == 0;
		memcpy(&ret->tsc_offset, stasis_calls_at(c, value_at), 8);
		ret->tsc_ns = now->tv_sec * 1000000000ll + now->tv_nsec;
		ret->tsc = ((const struct kvm_one_msr *)stasis_calls_at(c, tsc_at))->entry.data;
		if (stasis_calls_result(c, dl_call) == 1)
			ret->tsc_deadline = ((const struct kvm_one_msr *)stasis_calls_at(c, dl_at))->entry.data;
		const struct kvm_nested_state *ns = stasis_calls_at(c, nested_at);
		if (stasis_calls_result(c, nest) == 0 && ns->size >= sizeof(*ns) && ns->size <= nested.size)
			err = kvm_bytes_copy(ns, ns->size, &ret->nested);
	}
	free(msr_calls);
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
