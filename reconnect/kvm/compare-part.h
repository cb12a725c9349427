/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The parts of kvm_compare(), and how they say what they find. Nobody else includes this. */
#ifndef STASIS_RECONNECT_KVM_COMPARE_PART_H
#define STASIS_RECONNECT_KVM_COMPARE_PART_H

#include "kvm/compare.h"

struct kvm_compare {
	const struct kvm_host *was, *is;
	const struct kvm_guest *guest;
	void (*difference)(void *ctx, enum kvm_severity severity, const char *remedy, const char *text);
	void *ctx;
	size_t told;
	bool refused;
};

/* Says one difference. Beyond KVM_COMPARE_TOLD_MAX it only counts, after having said so once. */
__attribute__((format(printf, 4, 5))) void kvm_compare_tell(struct kvm_compare *c, enum kvm_severity severity,
                                                            const char *remedy, const char *fmt, ...);

/* The processor: vendor, feature bits, performance counters, address width (compare-cpu.c). */
void kvm_compare_cpu(struct kvm_compare *c);

/* XCR0 components, where they lie in the XSAVE area, and its size (compare-cpu.c). */
void kvm_compare_xsave(struct kvm_compare *c);

/* Feature MSRs, which say what the processor can do for the guest's own guests, and its performance counters
 * (compare-features.c). */
void kvm_compare_features(struct kvm_compare *c);

#endif
