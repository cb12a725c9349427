/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The words of CPUID that hold feature bits, with the bits' usual names. Only what a guest could rely on is compared. */
#ifndef STASIS_RECONNECT_KVM_FEATURES_H
#define STASIS_RECONNECT_KVM_FEATURES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/kvm.h>

enum kvm_reg { KVM_EAX, KVM_EBX, KVM_ECX, KVM_EDX };

struct kvm_feature_word {
	const char *name; /* "7.0 EBX" */
	uint32_t leaf, index;
	enum kvm_reg reg;
	uint32_t ignore;   /* bits that are no features: sizes, topology, state, duplicates, what KVM gives without saying so */
	uint32_t harmless; /* bits whose absence changes nothing that works: worth saying, no reason to refuse */
	bool by_kernel;    /* KVM's own features, which no processor has */
	const char *bit[32]; /* names as in /proc/cpuinfo; NULL = none */
};

/* The words, one by one; NULL behind the last. */
const struct kvm_feature_word *kvm_features_word(size_t i);

/* "avx2 (CPUID 7.0 EBX bit 5)" or "CPUID 7.0 EBX bit 2" into buf, which it returns. 80 bytes suffice. */
const char *kvm_features_name(const struct kvm_feature_word *word, unsigned bit, char *buf, size_t size);

/* The first entry for a leaf, as KVM looks it up (source: arch/x86/kvm/cpuid.c, cpuid_entry2_find()); NULL = none. */
const struct kvm_cpuid_entry2 *kvm_features_find(const struct kvm_cpuid_entry2 *cpuid, size_t n, uint32_t leaf, uint32_t index);

/* One register of a leaf; 0 when the leaf is not there. */
uint32_t kvm_features_get(const struct kvm_cpuid_entry2 *cpuid, size_t n, uint32_t leaf, uint32_t index, enum kvm_reg reg);

/* Where KVM's own leaves begin: 0x40000000, or one of the next blocks when Hyper-V's leaves are in front; 0 = not there. */
uint32_t kvm_features_base(const struct kvm_cpuid_entry2 *cpuid, size_t n);

#endif
