// SPDX-License-Identifier: LGPL-2.1-or-later
/* MSRs that say what a processor can do (VMX capabilities, IA32_PERF_CAPABILITIES, IA32_ARCH_CAPABILITIES): the guest's values
 * against the most that the new host's KVM allows. KVM refuses to set the first two beyond that; the third it takes without a
 * word. */
#include "base/cleanup.h"
#include "kvm/compare-part.h"
#include "kvm/features.h"
#include "kvm/names.h"

/* How a guest's value fits a host's. Source: arch/x86/kvm/vmx/nested.c, vmx_set_vmx_msr(), and vmx/vmx.c, vmx_set_msr(). */
enum rule {
	SUBSET,   /* no bit that the host lacks */
	CONTROLS, /* low half: bits that must be one, no fewer than the host's; high half: that may be, no more than its */
	FIXED0,   /* bits that must be one: no fewer than the host's */
	FORMAT,   /* bits 0-5 as the host's or zero, the others a subset */
	NEWS,     /* a subset, of those bits that are good news */
};

static const struct {
	uint32_t first, n;
	enum rule rule;
	enum kvm_severity severity;
	uint32_t leaf; /* the guest's CPUID bit without which it cannot see the MSR */
	enum kvm_reg reg;
	uint32_t mask;
} rules[] = {
	{ 0x481, 4, CONTROLS, KVM_DIFF_REFUSE, 1, KVM_ECX, 1u << 5 },
	{ 0x48b, 1, CONTROLS, KVM_DIFF_REFUSE, 1, KVM_ECX, 1u << 5 },
	{ 0x48d, 4, CONTROLS, KVM_DIFF_REFUSE, 1, KVM_ECX, 1u << 5 },
	{ 0x486, 1, FIXED0, KVM_DIFF_REFUSE, 1, KVM_ECX, 1u << 5 },
	{ 0x488, 1, FIXED0, KVM_DIFF_REFUSE, 1, KVM_ECX, 1u << 5 },
	{ 0x48c, 1, SUBSET, KVM_DIFF_REFUSE, 1, KVM_ECX, 1u << 5 },
	{ 0x491, 1, SUBSET, KVM_DIFF_REFUSE, 1, KVM_ECX, 1u << 5 },
	{ 0x345, 1, FORMAT, KVM_DIFF_REFUSE, 1, KVM_ECX, 1u << 15 },
	{ 0x10a, 1, NEWS, KVM_DIFF_ADAPTED, 7, KVM_EDX, 1u << 29 },
};

static const struct kvm_msr_entry *entry_find(const struct kvm_msr_entry *msrs, size_t n, uint32_t index)
{
	for (size_t i = 0; i < n; i++)
		if (msrs[i].index == index)
			return &msrs[i];
	return NULL;
}

/* The bits in which the guest's value is more than the host's; 0 = it fits. */
static uint64_t excess(enum rule rule, uint64_t guest, uint64_t host)
{
	uint64_t low = 0xffffffff;

	switch (rule) {
	case SUBSET:
		return guest & ~host;
	case CONTROLS:
		return (guest & ~host & ~low) | (host & ~guest & low);
	case FIXED0:
		return host & ~guest;
	case NEWS: /* bits 2 and 19, RSBA and RRSBA, warn of a weakness: one that is not here harms nobody */
		return guest & ~host & ~(1ull << 2 | 1ull << 19);
	case FORMAT:
		return (guest & ~host & ~0x3full) | (guest & 0x3f ? (guest ^ host) & 0x3f : 0);
	}
	return 0;
}

static void compare_feature(struct kvm_compare *c, size_t i, uint32_t index)
{
	const struct kvm_guest *g = c->guest;
	const struct kvm_msr_entry *guest = entry_find(g->msrs, g->n_msrs, index);
	const struct kvm_msr_entry *host = entry_find(c->is->features, c->is->n_features, index);
	const struct kvm_msr_entry *was = entry_find(c->was->features, c->was->n_features, index);
	uint64_t bits;
	char name[64];

	if (!guest || !host || !(kvm_features_get(g->cpuid, g->n_cpuid, rules[i].leaf, 0, rules[i].reg) & rules[i].mask))
		return;
	bits = excess(rules[i].rule, guest->data, host->data);
	if (was) /* what the old host had no more than this one is the VMM's own doing */
		bits &= ~excess(rules[i].rule, guest->data, was->data);
	if (!bits)
		return;
	kvm_names_msr(index, name, sizeof(name));
	if (rules[i].severity == KVM_DIFF_ADAPTED)
		kvm_compare_tell(c, KVM_DIFF_ADAPTED,
		                 "restart the guest's system, so that it chooses its protections for this processor",
		                 "the guest read %#llx from %s, and on this host the bits %#llx are not true: it may leave out "
		                 "protections that this processor needs",
		                 (unsigned long long)guest->data, name, (unsigned long long)bits);
	else
		kvm_compare_tell(c, KVM_DIFF_REFUSE,
		                 "restart on a host whose processor and kernel can do the same, or start the guest with a "
		                 "smaller CPU model",
		                 "the guest has %#llx in %s, and KVM on this host allows %#llx (they disagree in %#llx)",
		                 (unsigned long long)guest->data, name, (unsigned long long)host->data,
		                 (unsigned long long)bits);
}

void kvm_compare_features(struct kvm_compare *c)
{
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
		for (uint32_t n = 0; n < rules[i].n; n++)
			compare_feature(c, i, rules[i].first + n);
}
