// SPDX-License-Identifier: LGPL-2.1-or-later
/* Gives one virtual CPU its state back, by calls made in the process that owns it.
 *
 * Order, and why (arch/x86/kvm/x86.c of the kernel; tests in brackets). CPUID before everything: it decides which registers and
 * bits exist [bare guests, control registers]. TSC frequency before anything that counts in it. IA32_FEATURE_CONTROL before
 * other MSRs. Special registers before nested state (EFER.SVME must be set), before general ones, before the LAPIC (its address
 * and mode are in APIC_BASE) [bare guests, LAPIC]. XCR0 before the FPU state that it makes room for [FPU]. The other MSRs when
 * guest memory is there, for the paravirtual ones write into it [kvm-linux-two-generations]. Events after the general
 * registers, whose setting clears pending exceptions, and after the LAPIC [NMI pending]. MP_STATE after the LAPIC, debug
 * registers at the end. TSC and its deadline are for clock.c. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "kvm.h"
#include "kvm/names.h"

#define EFER_SVME (1ull << 12)

static int vcpu_fail(struct stasis_session *s, const struct kvm_rec_vcpu *v, const char *what, int err)
{
	return stasis_fail(s, err, "virtual CPU %u (fd %d): %s is refused by this host's KVM: %s", v->id, v->fd, what,
	                   strerror(-err));
}

static int put_cpuid(struct stasis_calls *c, const struct kvm_rec_vcpu *v)
{
	size_t size = sizeof(struct kvm_cpuid2) + v->cpuid.size;
	struct kvm_cpuid2 *cpuid = calloc(1, size);

	if (!cpuid)
		return -ENOMEM;
	cpuid->nent = (uint32_t)(v->cpuid.size / sizeof(struct kvm_cpuid_entry2));
	memcpy(cpuid->entries, v->cpuid.data, v->cpuid.size);
	kvm_calls_ioctl(c, 0, v->fd, KVM_SET_CPUID2, cpuid, size, NULL);
	free(cpuid);
	return 0;
}

static const struct kvm_msr_entry *msrs_of(const struct kvm_rec_vcpu *v, size_t *ret_n)
{
	*ret_n = v->msrs.size / sizeof(struct kvm_msr_entry);
	return v->msrs.data;
}

/* What cannot be written but reads as it did is as it was: some can only be read. */
static int check_refused(struct stasis_session *s, const struct kvm_rec_vcpu *v, const struct kvm_msr_entry *refused, size_t n)
{
	struct stasis_calls *c;
	char name[64];
	int err = 0;

	for (size_t i = 0; i < n && !err; i++) {
		size_t call;
		if ((err = stasis_calls_create(s, 1, &c)))
			return err;
		uint64_t at = kvm_calls_msr(c, v->fd, KVM_GET_MSRS, refused[i].index, 0, &call);
		err = stasis_calls_run(c, NULL);
		const struct kvm_one_msr *now = stasis_calls_at(c, at);
		uint64_t is = !err && stasis_calls_result(c, call) == 1 ? now->entry.data : 0;
		if (!err && is != refused[i].data)
			err = stasis_fail(s, -ENOTSUP,
			                  "virtual CPU %u (fd %d): %s cannot be set to %#llx on this host (it is %#llx); use a "
			                  "host and kernel "
			                  "like the one it came from",
			                  v->id, v->fd, kvm_names_msr(refused[i].index, name, sizeof(name)), refused[i].data,
			                  (unsigned long long)is);
		stasis_calls_destroy(c);
	}
	return err;
}

static int put_msrs(struct stasis_session *s, const struct kvm_rec_vcpu *v, bool first)
{
	struct stasis_calls *c;
	size_t n, n_calls = 0, n_refused = 0;
	const struct kvm_msr_entry *all = msrs_of(v, &n);
	struct kvm_msr_entry *refused = calloc(n + 1, sizeof(*refused));
	size_t *calls = calloc(n + 1, sizeof(*calls)), *which = calloc(n + 1, sizeof(*which));
	int err = refused && calls && which ? stasis_calls_create(s, n + 1, &c) : -ENOMEM;

	if (!err) {
		for (size_t i = 0; i < n; i++) {
			if (kvm_msr_is_first(all[i].index) != first || kvm_msr_is_apart(all[i].index) ||
			    kvm_msr_is_idle(&all[i]))
				continue;
			which[n_calls] = i;
			kvm_calls_msr(c, v->fd, KVM_SET_MSRS, all[i].index, all[i].data, &calls[n_calls++]);
		}
		if (n_calls && (err = stasis_calls_run(c, NULL)))
			vcpu_fail(s, v, "an MSR", err);
		for (size_t i = 0; i < n_calls && !err; i++)
			if (stasis_calls_result(c, calls[i]) != 1)
				refused[n_refused++] = all[which[i]];
		stasis_calls_destroy(c);
	}
	if (!err)
		err = check_refused(s, v, refused, n_refused);
	free(refused);
	free(calls);
	free(which);
	return err;
}

/* Runs what was added, and names what failed. */
static int run(struct stasis_session *s, struct stasis_calls *c, const struct kvm_rec_vcpu *v, const char *const *names,
               size_t n_names)
{
	size_t failed = 0;
	int err = stasis_calls_run(c, &failed);

	return err ? vcpu_fail(s, v, failed < n_names ? names[failed] : "its state", err) : 0;
}

static int put_base(struct stasis_session *s, const struct kvm_rec_vcpu *v)
{
	const char *names[4] = { 0 };
	struct stasis_calls *c;
	size_t n = 0;
	int err = stasis_calls_create(s, 8, &c);

	if (err)
		return err;
	if (v->cpuid.size) {
		err = put_cpuid(c, v);
		names[n++] = "KVM_SET_CPUID2";
	}
	if (v->tsc_khz) {
		stasis_calls_add(c, 0, SYS_ioctl, (uint64_t)v->fd, KVM_SET_TSC_KHZ, v->tsc_khz, 0);
		names[n++] = "KVM_SET_TSC_KHZ";
	}
	if (!err)
		err = run(s, c, v, names, n);
	stasis_calls_destroy(c);
	return err;
}

struct piece {
	uint64_t request;
	const struct img_bytes *data;
};

static int put_pieces(struct stasis_session *s, const struct kvm_rec_vcpu *v, const struct piece *pieces, size_t n)
{
	const char *names[8];
	struct stasis_calls *c;
	size_t n_names = 0;
	char buf[32];
	int err = stasis_calls_create(s, n, &c);

	if (err)
		return err;
	for (size_t i = 0; i < n; i++) {
		if (!pieces[i].data->size)
			continue;
		names[n_names++] = kvm_request_name(pieces[i].request, buf);
		kvm_calls_ioctl(c, 0, v->fd, pieces[i].request, pieces[i].data->data, pieces[i].data->size, NULL);
	}
	err = run(s, c, v, names, n_names);
	stasis_calls_destroy(c);
	return err;
}

#define CAP_X86_APIC_BUS_CYCLES_NS 237 /* Linux 6.11 */

static uint64_t bus_cycle_ns(const struct kvm_state *k, const struct kvm_rec_vcpu *v)
{
	for (size_t i = 0; i < k->n_entries; i++) {
		struct kvm_enable_cap cap;
		if (k->entries[i].object != v->machine || k->entries[i].request != KVM_ENABLE_CAP ||
		    k->entries[i].data.size < sizeof(cap))
			continue;
		memcpy(&cap, k->entries[i].data.data, sizeof(cap));
		if (cap.cap == CAP_X86_APIC_BUS_CYCLES_NS && cap.args[0])
			return cap.args[0];
	}
	return 1; /* APIC_BUS_CYCLE_NS_DEFAULT, arch/x86/kvm/lapic.h */
}

static int put_lapic(struct stasis_session *s, const struct kvm_state *k, const struct kvm_rec_vcpu *v)
{
	struct kvm_lapic_state lapic;
	struct img_bytes data = { &lapic, sizeof(lapic) };
	int64_t now = 0;

	if (v->lapic.size != sizeof(lapic))
		return 0;
	int err = kvm_clock_now(s, &now);
	if (err)
		return vcpu_fail(s, v, "the time", err);
	memcpy(&lapic, v->lapic.data, sizeof(lapic));
	kvm_lapic_advance(&lapic, now - v->lapic_ns, bus_cycle_ns(k, v));
	return put_pieces(s, v, &(struct piece){ KVM_SET_LAPIC, &data }, 1);
}

/* Nested state. Where EFER.SVME is clear, KVM takes nothing but the global interrupt flag being set (svm_set_nested_state in
 * arch/x86/kvm/svm/nested.c), which is so without SVM. It reads the flag from the processor's VMCB, though, where an emulated
 * processor (QEMU 7.2) was seen to lose it. */
static int put_nested(struct stasis_session *s, const struct kvm_rec_vcpu *v)
{
	struct kvm_nested_state head;
	struct kvm_sregs2 sregs = { 0 };
	struct img_bytes data = v->nested;

	if (data.size < sizeof(head) || v->sregs.size < sizeof(sregs))
		return 0;
	memcpy(&head, data.data, sizeof(head));
	memcpy(&sregs, v->sregs.data, sizeof(sregs));
	if (head.format == KVM_STATE_NESTED_FORMAT_SVM && !(sregs.efer & EFER_SVME) && !head.flags) {
		stasis_debug(s, "virtual CPU %u (fd %d): its global interrupt flag was lost; it is set", v->id, v->fd);
		head.flags = KVM_STATE_NESTED_GIF_SET;
		data = (struct img_bytes){ &head, sizeof(head) };
	}
	return put_pieces(s, v, &(struct piece){ KVM_SET_NESTED_STATE, &data }, 1);
}

int kvm_vcpu_late(struct stasis_session *s, const struct kvm_state *k, const struct kvm_rec_vcpu *v)
{
	const struct piece sregs = { KVM_SET_SREGS2, &v->sregs };
	const struct piece registers[] = { { KVM_SET_REGS, &v->regs },
		                           { KVM_SET_XCRS, &v->xcrs },
		                           { KVM_SET_XSAVE, &v->xsave } };
	const struct piece last[] = {
		{ KVM_SET_VCPU_EVENTS, &v->events },
		{ KVM_SET_MP_STATE, &v->mp_state },
		{ KVM_SET_DEBUGREGS, &v->debugregs },
	};
	int err = put_base(s, v);

	if (err || (err = put_msrs(s, v, true)) || (err = put_pieces(s, v, &sregs, 1)) || (err = put_nested(s, v)) ||
	    (err = put_pieces(s, v, registers, KVM_N_OF(registers))) || (err = put_lapic(s, k, v)) ||
	    (err = put_msrs(s, v, false)))
		return err;
	return put_pieces(s, v, last, KVM_N_OF(last));
}
