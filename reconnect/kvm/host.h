/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the KVM of a host can do, in the flat arrays that an image stores. It is read at the checkpoint and again at the
 * restart, and then compared (compare.h). */
#ifndef STASIS_RECONNECT_KVM_HOST_H
#define STASIS_RECONNECT_KVM_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/kvm.h>

struct kvm_cap_value {
	uint32_t number; /* KVM_CAP_* */
	int32_t value;
};

struct kvm_host {
	int api_version;                /* KVM_GET_API_VERSION */
	struct kvm_cpuid_entry2 *cpuid; /* KVM_GET_SUPPORTED_CPUID */
	size_t n_cpuid;
	uint32_t *msrs; /* KVM_GET_MSR_INDEX_LIST */
	size_t n_msrs;
	struct kvm_msr_entry *features; /* KVM_GET_MSRS of /dev/kvm: the most that "feature MSRs" may say; none = not known */
	size_t n_features;
	struct kvm_cap_value *caps; /* KVM_CHECK_EXTENSION of /dev/kvm, where not zero */
	size_t n_caps;
	uint64_t xcomp_supported; /* KVM_X86_XCOMP_GUEST_SUPP: XCR0, also what permission is needed for; 0 = not known */
	uint32_t tsc_khz;         /* kHz; 0 = not known */
	uint32_t xsave_size;      /* bytes of KVM_GET_XSAVE2; 4096 where KVM has only KVM_GET_XSAVE */
	bool tsc_scaling;         /* KVM_CAP_TSC_CONTROL */
};

/* Asks an open /dev/kvm. The frequency of the TSC is that of a vCPU in a virtual machine made for it, closed again before this
 * returns. KVM filters CPUID leaf 0xD and the XSAVE size by the XCR0 components this process may use, so a restart asks for the
 * permission of its guest first (source: arch/x86/kvm/cpuid.c and x86.c, xstate_get_guest_group_perm()). The arrays are the
 * caller's: kvm_host_finish(). Returns 0, -ENOMEM, -ENODEV when the descriptor is not /dev/kvm, or what KVM answered. */
int kvm_host_read(int kvm_fd, struct kvm_host *ret_host);

/* The value of a capability, 0 = it is not there. */
int kvm_host_cap(const struct kvm_host *host, uint32_t number);

/* Frees the arrays. Not for a struct whose arrays point into an image. */
void kvm_host_finish(struct kvm_host *host);

#endif
