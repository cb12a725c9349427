// SPDX-License-Identifier: LGPL-2.1-or-later
/* The processor the guest sees against the one that the new host's KVM offers: vendor, feature bits, performance counters,
 * address width and XSAVE state. Only what the guest has counts, and only where the old host really had it. */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "kvm/compare-part.h"
#include "kvm/features.h"

/* One register of a leaf as the guest sees it, and as the two hosts offer it. `was` is all ones when it was not recorded. */
struct three {
	uint32_t guest, was, is;
};

static struct three three_get(const struct kvm_compare *c, uint32_t leaf, uint32_t index, enum kvm_reg reg)
{
	const struct kvm_guest *g = c->guest;
	struct three r = { .was = ~0u };

	r.guest = kvm_features_get(g->cpuid, g->n_cpuid, leaf, index, reg);
	r.is = kvm_features_get(c->is->cpuid, c->is->n_cpuid, leaf, index, reg);
	if (c->was->n_cpuid)
		r.was = kvm_features_get(c->was->cpuid, c->was->n_cpuid, leaf, index, reg);
	return r;
}

/* KVM's own leaves are elsewhere in a guest that also sees Hyper-V's. */
static struct three three_paravirt(const struct kvm_compare *c)
{
	const struct kvm_guest *g = c->guest;
	uint32_t base = kvm_features_base(g->cpuid, g->n_cpuid);
	struct three r = three_get(c, 0x40000001, 0, KVM_EAX);

	r.guest = base ? kvm_features_get(g->cpuid, g->n_cpuid, base + 1, 0, KVM_EAX) : 0;
	return r;
}

/* The vendor in twelve characters; empty when there is no leaf 0. What is not printable becomes a question mark. */
static void vendor_get(const struct kvm_cpuid_entry2 *cpuid, size_t n, char ret_name[13])
{
	const struct kvm_cpuid_entry2 *e = kvm_features_find(cpuid, n, 0, 0);

	memset(ret_name, 0, 13);
	if (!e)
		return;
	memcpy(ret_name, (const uint32_t[]){ e->ebx, e->edx, e->ecx }, 12);
	for (int i = 0; i < 12; i++)
		if (ret_name[i] < ' ' || ret_name[i] > '~')
			ret_name[i] = '?';
}

/* Vendors whose processors are virtualised alike: Hygon's are AMD's, Zhaoxin's go by two names. */
static bool vendor_alike(const char *a, const char *b)
{
	static const char *const same[][2] = { { "HygonGenuine", "AuthenticAMD" }, { "  Shanghai  ", "CentaurHauls" } };

	for (size_t i = 0; i < ARRAY_SIZE(same); i++) {
		a = strcmp(a, same[i][0]) ? a : same[i][1];
		b = strcmp(b, same[i][0]) ? b : same[i][1];
	}
	return !strcmp(a, b);
}

/* A guest whose vendor was not the old host's either goes on where the new host is like the old one. */
static void compare_vendor(struct kvm_compare *c)
{
	char guest[13], was[13], is[13];

	vendor_get(c->guest->cpuid, c->guest->n_cpuid, guest);
	vendor_get(c->was->cpuid, c->was->n_cpuid, was);
	vendor_get(c->is->cpuid, c->is->n_cpuid, is);
	if (!*guest || vendor_alike(guest, is) || vendor_alike(was, is))
		return;
	kvm_compare_tell(
	        c, KVM_DIFF_REFUSE, "restart on a host with a processor of the same vendor",
	        "the guest's processor is by %s and this host's by %s; their system calls, MSRs and virtualisation differ",
	        guest, is);
}

static void tell_feature(struct kvm_compare *c, const struct kvm_feature_word *word, unsigned bit)
{
	enum kvm_severity severity = word->harmless & 1u << bit ? KVM_DIFF_ADAPTED : KVM_DIFF_REFUSE;
	const char *name = word->bit[bit];
	char full[80], remedy[256];

	kvm_features_name(word, bit, full, sizeof(full));
	if (word->by_kernel)
		snprintf(remedy, sizeof(remedy),
		         "restart on a host whose kernel offers %s to guests, or start the guest with it off",
		         name ? name : full);
	else if ((word->leaf == 1 && word->reg == KVM_ECX && bit == 5) ||
	         (word->leaf == 0x80000001 && word->reg == KVM_ECX && bit == 2))
		snprintf(remedy, sizeof(remedy),
		         "load %s with nested=1 on this host, or start the guest with a CPU model that lacks %s",
		         bit == 5 ? "kvm_intel" : "kvm_amd", name);
	else
		snprintf(remedy, sizeof(remedy),
		         "restart on a host whose processor has %s, or start the guest with a CPU model that lacks it",
		         name ? name : full);
	kvm_compare_tell(c, severity, severity == KVM_DIFF_REFUSE ? remedy : NULL,
	                 "the guest has %s, which KVM on this host does not offer", full);
}

static void compare_words(struct kvm_compare *c)
{
	const struct kvm_guest *g = c->guest;
	bool svm = kvm_features_get(g->cpuid, g->n_cpuid, 0x80000001, 0, KVM_ECX) & 1u << 2;
	const struct kvm_feature_word *word;

	for (size_t i = 0; (word = kvm_features_word(i)); i++) {
		struct three r = word->by_kernel ? three_paravirt(c) : three_get(c, word->leaf, word->index, word->reg);
		uint32_t lost = r.guest & r.was & ~r.is & ~word->ignore;

		if (word->leaf == 0x8000000a && !svm)
			continue;
		if (word->leaf == 1 && word->reg == KVM_ECX && r.guest & 1u << 24 &&
		    !kvm_host_cap(c->is, KVM_CAP_TSC_DEADLINE_TIMER))
			lost |= 1u << 24;
		for (unsigned bit = 0; bit < 32; bit++)
			if (lost & 1u << bit)
				tell_feature(c, word, bit);
	}
}

/* A number in a register that must not be smaller than the guest was told. True when it is smaller and was not before. */
static bool number_less(struct three r, unsigned shift, uint32_t mask, uint32_t *ret_guest, uint32_t *ret_is)
{
	*ret_guest = r.guest >> shift & mask;
	*ret_is = r.is >> shift & mask;
	return *ret_guest > *ret_is && *ret_guest <= (r.was >> shift & mask);
}

/* Source: Intel SDM volume 2A, CPUID leaf 0xA; AMD APM volume 3, leaf 0x80000008. */
static void compare_numbers(struct kvm_compare *c)
{
	static const struct {
		const char *name;
		enum kvm_reg reg;
		unsigned shift;
		uint32_t mask;
	} pmu[] = {
		{ "performance monitoring of version", KVM_EAX, 0, 0xff },
		{ "general performance counters numbering", KVM_EAX, 8, 0xff },
		{ "fixed performance counters numbering", KVM_EDX, 0, 0x1f },
	};
	uint32_t guest, is;

	for (size_t i = 0; i < ARRAY_SIZE(pmu); i++)
		if (number_less(three_get(c, 0xa, 0, pmu[i].reg), pmu[i].shift, pmu[i].mask, &guest, &is))
			kvm_compare_tell(
			        c, KVM_DIFF_REFUSE,
			        "restart on a host that has them, or start the guest without them (QEMU: -cpu ...,pmu=off)",
			        "the guest has %s %u, and KVM on this host offers %u (CPUID 0xa)", pmu[i].name, guest, is);
	if (number_less(three_get(c, 0x80000008, 0, KVM_EAX), 0, 0xff, &guest, &is))
		kvm_compare_tell(c, KVM_DIFF_ADAPTED,
		                 "start the guest with fewer physical address bits (QEMU: -cpu ...,phys-bits=N) if it has "
		                 "memory or devices above",
		                 "the guest was told of %u physical address bits, and this host has %u", guest, is);
}

void kvm_compare_cpu(struct kvm_compare *c)
{
	if (!c->guest->n_cpuid)
		return;
	if (!kvm_features_find(c->is->cpuid, c->is->n_cpuid, 0, 0)) {
		kvm_compare_tell(c, KVM_DIFF_REFUSE, "restart on a host where KVM works",
		                 "KVM on this host does not say what processor it offers");
		return;
	}
	compare_vendor(c);
	compare_words(c);
	compare_numbers(c);
}

static uint64_t xcr0_offered(const struct kvm_host *h)
{
	return 1 | kvm_features_get(h->cpuid, h->n_cpuid, 0xd, 0, KVM_EAX) |
	       (uint64_t)kvm_features_get(h->cpuid, h->n_cpuid, 0xd, 0, KVM_EDX) << 32;
}

static const char *component_name(unsigned i, char *buf, size_t size)
{
	static const char *const names[] = {
		"x87", "SSE", "AVX", "MPX bndregs", "MPX bndcsr", "AVX-512 opmask", "AVX-512 zmm_hi256", "AVX-512 hi16_zmm",
		[9] = "PKRU", [17] = "AMX tilecfg", "AMX tiledata", "APX",
	};

	if (i < ARRAY_SIZE(names) && names[i])
		snprintf(buf, size, "XCR0 bit %u (%s)", i, names[i]);
	else
		snprintf(buf, size, "XCR0 bit %u", i);
	return buf;
}

/* KVM_GET_XSAVE puts each component where CPUID 0xD of that host has it. Source: asm/kvm.h, struct kvm_xsave. */
static void compare_component(struct kvm_compare *c, unsigned i, bool offered)
{
	const struct kvm_cpuid_entry2 *was = kvm_features_find(c->was->cpuid, c->was->n_cpuid, 0xd, i);
	const struct kvm_cpuid_entry2 *is = kvm_features_find(c->is->cpuid, c->is->n_cpuid, 0xd, i);
	char name[48];

	component_name(i, name, sizeof(name));
	if (!offered)
		kvm_compare_tell(
		        c, KVM_DIFF_REFUSE,
		        "restart on a host whose processor has that state, or start the guest with a CPU model that lacks it",
		        "the guest uses %s, which KVM on this host does not offer", name);
	else if (i >= 2 && was && is && (was->eax != is->eax || was->ebx != is->ebx))
		kvm_compare_tell(c, KVM_DIFF_REFUSE,
		                 "restart on a host with a processor of the same family, or start the guest without that state",
		                 "the guest uses %s, which has %u bytes at %u of the XSAVE area on this host and had %u at %u",
		                 name, is->eax, is->ebx, was->eax, was->ebx);
}

void kvm_compare_xsave(struct kvm_compare *c)
{
	uint64_t offered = xcr0_offered(c->is), granted = offered;
	uint32_t size = c->is->xsave_size ? c->is->xsave_size : sizeof(struct kvm_xsave);

	offered |= c->is->xcomp_supported;
	for (unsigned i = 0; i < 63; i++)
		if (c->guest->xcr0 & 1ull << i)
			compare_component(c, i, offered & 1ull << i);
	if (c->guest->xcr0 & offered & ~granted) /* the area grows with the permission that the restart asks for */
		return;
	if (c->guest->xsave_used_size > size)
		kvm_compare_tell(c, KVM_DIFF_REFUSE,
		                 "restart on a host whose processor has the same register state, or start the guest with a "
		                 "smaller CPU model",
		                 "the guest uses %u bytes of XSAVE state, and KVM on this host takes %u (KVM_CAP_XSAVE2)",
		                 c->guest->xsave_used_size, size);
	else if (c->guest->xsave_used_size && c->was->xsave_size > size)
		kvm_compare_tell(c, KVM_DIFF_ADAPTED, NULL,
		                 "the XSAVE area had %u bytes and has %u on this host; the guest uses the first %u of them",
		                 c->was->xsave_size, size, c->guest->xsave_used_size);
}
