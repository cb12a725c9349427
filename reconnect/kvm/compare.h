/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Compares the KVM that a guest had with the KVM it is to get. Every difference that matters to this guest is named, all of
 * them in one go: what is adapted to, and what it cannot be restarted with. */
#ifndef STASIS_RECONNECT_KVM_COMPARE_H
#define STASIS_RECONNECT_KVM_COMPARE_H

#include "kvm/host.h"

/* No list may be longer than this (the kernel's are of some hundreds), but saved MSRs may be of many vCPUs; and no more
 * differences than this are told. */
enum { KVM_COMPARE_LIST_MAX = 4096, KVM_COMPARE_MSRS_MAX = 1 << 20, KVM_COMPARE_TOLD_MAX = 500 };

enum kvm_severity {
	KVM_DIFF_ADAPTED, /* the restart goes on, in another way than before */
	KVM_DIFF_REFUSE,  /* the guest would not work here */
};

/* What the guest has and uses. Arrays are the caller's, may come from an image, must be aligned, and are only read. A number
 * that is zero is not known, and not compared. */
struct kvm_guest {
	const struct kvm_cpuid_entry2 *cpuid; /* KVM_GET_CPUID2 of one vCPU */
	size_t n_cpuid;
	const struct kvm_msr_entry *msrs; /* saved MSRs: of one vCPU, or of all one behind the other */
	size_t n_msrs;
	const struct kvm_cap_value *caps; /* capabilities enabled or needed; value: flags of KVM_ENABLE_CAP, 0 = just needed */
	size_t n_caps;
	uint32_t tsc_khz; /* kHz, KVM_GET_TSC_KHZ of a vCPU; 0 = that of the old host */
	bool nested;      /* there is nested state to restore */
	uint32_t n_vcpus;
	uint32_t max_vcpu_id; /* the highest KVM_CREATE_VCPU id */
	uint32_t n_memslots;  /* the highest slot number in use, plus one */
	uint64_t xcr0;
	uint32_t xsave_used_size; /* bytes of the saved XSAVE area up to the end of its last component in use */
};

/* Calls difference() for each, with `text`, a sentence that names the object, and a `remedy` (NULL when none is needed), both
 * valid during the call only. Returns 0 when the guest can be restarted, -EOPNOTSUPP when something was refused, and -EINVAL,
 * with nothing said, when a list is impossible (too long, or NULL with a length): a damaged image. */
int kvm_compare(const struct kvm_host *was, const struct kvm_host *is, const struct kvm_guest *guest,
                void (*difference)(void *ctx, enum kvm_severity severity, const char *remedy, const char *text), void *ctx);

#endif
