// SPDX-License-Identifier: LGPL-2.1-or-later
/* Hosts' KVMs compared: each rule in both directions with made-up hosts, several differences at once, and hostile lists. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kvm/compare.h"
#include "kvm/features.h"
#include "kvm/names.h"

#define IDX KVM_CPUID_FLAG_SIGNIFCANT_INDEX

enum { L0, L1, L7, L71, LA, LD, LD2, LKVM, LKVMF, LX1, LX8, LXA, N_LEAVES };

/* A whole made-up host, and a guest made from it. */
struct made {
	struct kvm_cpuid_entry2 cpuid[N_LEAVES];
	uint32_t msrs[8];
	struct kvm_cap_value caps[8];
	struct kvm_msr_entry saved[4], features[2];
	struct kvm_host host;
	struct kvm_guest guest;
};

static void made_init(struct made *m)
{
	*m = (struct made){
		.cpuid = { [L0] = { 0, .eax = 0xd, .ebx = 0x756e6547, .edx = 0x49656e69, .ecx = 0x6c65746e }, /* GenuineIntel */
			   [L1] = { 1, .ecx = 1u << 28 | 1u << 12 | 1u << 5 | 1u << 15, .edx = 1u << 25 },
			   [L7] = { 7, 0, IDX, .ebx = 1u << 5 | 1u << 2 | 1u << 6, .ecx = 1u << 16, .edx = 1u << 29 },
			   [L71] = { 7, 1, IDX, .eax = 1u << 4 },
			   [LA] = { 0xa, .eax = 0x0802, .edx = 3 },
			   [LD] = { 0xd, 0, IDX, .eax = 7 },
			   [LD2] = { 0xd, 2, IDX, .eax = 256, .ebx = 576 },
			   [LKVM] = { 0x40000000, .ebx = 0x4b4d564b, .ecx = 0x564b4d56, .edx = 0x4d },
			   [LKVMF] = { 0x40000001, .eax = 1u << 5 | 1u << 3 },
			   [LX1] = { 0x80000001, .ecx = 1u << 5, .edx = 1u << 29 },
			   [LX8] = { 0x80000008, .eax = 46 },
			   [LXA] = { 0x8000000a, .edx = 1 << 0 | 1 << 3 } },
		.msrs = { 0x174, 0xc0000103, 0xda0, 0x10a, 0x480, 0x8b },
		.caps = { { KVM_CAP_NR_VCPUS, 8 },
			  { KVM_CAP_MAX_VCPUS, 288 },
			  { KVM_CAP_MAX_VCPU_ID, 1024 },
			  { KVM_CAP_NR_MEMSLOTS, 509 },
			  { KVM_CAP_SPLIT_IRQCHIP, 1 },
			  { KVM_CAP_X86_DISABLE_EXITS, 6 },
			  { KVM_CAP_NESTED_STATE, 4096 },
			  { KVM_CAP_TSC_DEADLINE_TIMER, 1 } },
		.saved = { { .index = 0x174, .data = 0x10 }, { .index = 0xda0, .data = 0 }, { .index = 0x10a, .data = 9 } },
		.features = { { .index = 0x10a, .data = 0xff }, { .index = 0x48c, .data = 0xf } },
	};
	m->host = (struct kvm_host){ 12, m->cpuid, N_LEAVES, m->msrs, 6, m->features, 2, m->caps, 8, .tsc_khz = 2400000,
				     .xsave_size = 4096 };
	m->guest = (struct kvm_guest){ m->cpuid, N_LEAVES, m->saved, 3, m->caps + 4, 1, .tsc_khz = 2400000, .n_vcpus = 4,
				       .max_vcpu_id = 3, .n_memslots = 12, .xcr0 = 7, .xsave_used_size = 832 };
}

/* All that was said, in lines "refuse: TEXT; REMEDY". */
struct said {
	char all[1 << 18];
	size_t size, adapted, refused;
};

static void hear(void *ctx, enum kvm_severity severity, const char *remedy, const char *text)
{
	struct said *s = ctx;

	assert_true(strlen(text) > 10);
	assert_true(remedy || severity == KVM_DIFF_ADAPTED);
	s->adapted += severity == KVM_DIFF_ADAPTED;
	s->refused += severity == KVM_DIFF_REFUSE;
	s->size += snprintf(s->all + s->size, sizeof(s->all) - s->size, "%s: %s; %s\n",
			    severity == KVM_DIFF_REFUSE ? "refuse" : "adapt", text, remedy ? remedy : "");
	assert_true(s->size < sizeof(s->all));
}

static const struct said *compare(const struct made *a, const struct made *b)
{
	static struct said s;
	int r;

	s = (struct said){ 0 };
	r = kvm_compare(&a->host, &b->host, &a->guest, hear, &s);
	assert_int_equal(r, s.refused ? -EOPNOTSUPP : 0);
	return &s;
}

static void assert_said(const struct said *s, size_t adapted, size_t refused, const char *what)
{
	if (s->adapted != adapted || s->refused != refused || !strstr(s->all, what))
		fail_msg("wanted %zu+%zu with \"%s\", heard %zu+%zu:\n%s", adapted, refused, what, s->adapted, s->refused,
		         s->all);
}

/* Both hosts afresh, changed by the caller before the next compare(). */
static struct made was, is;

static int afresh(void **state)
{
	(void)state;
	made_init(&was);
	made_init(&is);
	return 0;
}

static void same_host_has_no_differences(void **state)
{
	(void)state;
	assert_said(compare(&was, &is), 0, 0, "");
}

static void more_host_has_no_differences(void **state)
{
	(void)state;
	for (int i = L1; i < N_LEAVES; i++) {
		if (i == LD2 || i == LKVM)
			continue;
		is.cpuid[i].ebx = is.cpuid[i].ecx = is.cpuid[i].edx = ~0u;
		is.cpuid[i].eax |= i == LX8 || i == LA ? 0 : ~0u;
	}
	is.host.xsave_size = 11008;
	assert_said(compare(&was, &is), 0, 0, "");
}

static void other_api_is_refused_alone(void **state)
{
	(void)state;
	is.host = (struct kvm_host){ .api_version = 11 };
	assert_said(compare(&was, &is), 0, 1, "API version 11");
}

static void lost_capability_is_refused_by_name(void **state)
{
	struct kvm_cap_value needs[] = { { KVM_CAP_SPLIT_IRQCHIP, 0 }, { KVM_CAP_SPLIT_IRQCHIP, 0 }, { 4711, 1 },
					 { KVM_CAP_X86_DISABLE_EXITS, 3 }, { KVM_CAP_NR_VCPUS, 99 } };

	(void)state;
	was.guest.caps = needs;
	was.guest.n_caps = 1;
	is.caps[4].number = 0xffff;
	assert_said(compare(&was, &is), 0, 1, "KVM_CAP_SPLIT_IRQCHIP, which the guest needs, is not there");
	was.guest.n_caps = 5;
	assert_said(compare(&was, &is), 0, 3, "KVM capability 4711,");
	assert_said(compare(&was, &is), 0, 3,
	            "KVM_CAP_X86_DISABLE_EXITS has the flags 0x6 on this host, and the guest uses 0x3");
	is.guest.n_caps = 0;
	assert_said(compare(&is, &was), 0, 0, "");
}

static void nested_state_needs_its_capability(void **state)
{
	(void)state;
	is.caps[6].value = 0;
	assert_said(compare(&was, &is), 0, 0, "");
	was.guest.nested = true;
	assert_said(compare(&was, &is), 0, 1, "KVM_CAP_NESTED_STATE");
}

static void limits_are_kept(void **state)
{
	(void)state;
	was.guest.n_vcpus = 289;
	was.guest.max_vcpu_id = 1024;
	was.guest.n_memslots = 510;
	assert_said(compare(&was, &is), 0, 3, "289 vCPUs, and this host allows 288");
	assert_said(compare(&was, &is), 0, 3, "id 1024, and this host allows ids below 1024");
	assert_said(compare(&was, &is), 0, 3, "510 memory slots, and this host allows 509");
	was.guest.n_vcpus--;
	was.guest.max_vcpu_id--;
	was.guest.n_memslots--;
	assert_said(compare(&was, &is), 0, 0, "");
	is.host.n_caps = 0; /* api.rst: 4 vCPUs are possible; what the guest needs is gone as well */
	assert_said(compare(&was, &is), 0, 4, "this host allows 4 (");
}

static void lost_features_are_refused_by_name(void **state)
{
	(void)state;
	is.cpuid[L1].ecx &= ~(1u << 28 | 1u << 5);
	is.cpuid[L7].ebx = 0;
	is.cpuid[L7].ecx = 0;
	is.cpuid[L71].function = 99;
	is.cpuid[LKVMF].eax = 1u << 3;
	is.cpuid[LX1].ecx = 0;
	assert_said(compare(&was, &is), 1, 8, "the guest has avx2 (CPUID 7.0 EBX bit 5)");
	const struct said *s = compare(&was, &is);
	for (size_t i = 0; i < 9; i++) {
		static const char *const each[] = { "avx (CPUID 1 ECX bit 28)",
			                            "load kvm_intel with nested=1",
			                            "sgx (CPUID 7.0 EBX bit 2)",
			                            "la57 (CPUID 7.0 ECX bit 16)",
			                            "avx_vnni (CPUID 7.1 EAX bit 4)",
			                            "kvm_steal_time (CPUID 0x40000001 EAX bit 5)",
			                            "abm (CPUID 0x80000001 ECX bit 5)",
			                            "adapt: the guest has fdp_excptn_only",
			                            "a host whose processor has avx2, or start" };
		assert_non_null(strstr(s->all, each[i]));
	}
	assert_said(compare(&is, &was), 0, 0, "");
}

static void features_the_guest_or_the_old_host_lacks_do_not_matter(void **state)
{
	struct kvm_cpuid_entry2 sees[N_LEAVES];

	(void)state;
	is.cpuid[L7].ebx = 1u << 2 | 1u << 6; /* no avx2 */
	memcpy(sees, was.cpuid, sizeof(sees));
	was.guest.cpuid = sees;
	sees[L7].ebx &= ~(1u << 5);
	assert_said(compare(&was, &is), 0, 0, "");
	sees[L7].ebx |= 1u << 5;
	assert_said(compare(&was, &is), 0, 1, "avx2");
	was.cpuid[L7].ebx &= ~(1u << 5);
	assert_said(compare(&was, &is), 0, 0, "");
	was.host.n_cpuid = 0; /* not recorded: what the guest has counts */
	assert_said(compare(&was, &is), 0, 1, "avx2");
}

static void state_topology_and_svm_details_are_no_features(void **state)
{
	(void)state;
	was.cpuid[L1].ecx |= 1u << 27 | 1u << 31 | 1u << 24;
	was.cpuid[L1].edx |= 1u << 28;
	was.cpuid[L7].ecx |= 1u << 4 | 1u << 17;
	is.cpuid[LXA].edx = 0;
	assert_said(compare(&was, &is), 0, 0, "");
	was.cpuid[LX1].ecx |= 1u << 2;
	assert_said(compare(&was, &is), 0, 3, "nrip_save (CPUID 0x8000000a EDX bit 3)");
	assert_said(compare(&was, &is), 0, 3, "load kvm_amd with nested=1");
	is.caps[7].value = 0;
	assert_said(compare(&was, &is), 0, 4, "tsc_deadline_timer (CPUID 1 ECX bit 24)");
}

static void unnamed_bits_are_numbered(void **state)
{
	(void)state;
	was.cpuid[L71].eax |= 1u << 31;
	assert_said(compare(&was, &is), 0, 1, "the guest has CPUID 7.1 EAX bit 31, which");
}

static void paravirtual_features_are_found_behind_hyperv(void **state)
{
	struct kvm_cpuid_entry2 sees[N_LEAVES];

	(void)state;
	memcpy(sees, was.cpuid, sizeof(sees));
	sees[LKVM].function += 0x100;
	sees[LKVMF].function += 0x100;
	was.guest.cpuid = sees;
	is.cpuid[LKVMF].eax = 0;
	assert_said(compare(&was, &is), 0, 2, "kvm_clocksource2");
	sees[LKVM].ebx++; /* no KVM leaves at all */
	assert_said(compare(&was, &is), 0, 0, "");
}

static void vendor_set(struct kvm_cpuid_entry2 *e, const char *name)
{
	memcpy(&e->ebx, name, 4);
	memcpy(&e->edx, name + 4, 4);
	memcpy(&e->ecx, name + 8, 4);
}

static void other_vendor_is_refused(void **state)
{
	struct kvm_cpuid_entry2 sees[N_LEAVES];

	(void)state;
	vendor_set(&is.cpuid[L0], "AuthenticAMD");
	assert_said(compare(&was, &is), 0, 1, "by GenuineIntel and this host's by AuthenticAMD");
	assert_said(compare(&is, &was), 0, 1, "by AuthenticAMD and this host's by GenuineIntel");
	vendor_set(&was.cpuid[L0], "HygonGenuine");
	assert_said(compare(&was, &is), 0, 0, "");
	assert_said(compare(&is, &was), 0, 0, "");
	memcpy(sees, was.cpuid, sizeof(sees)); /* a guest of another vendor than either host */
	vendor_set(&sees[L0], "Genu\x1b\n\0Intel");
	was.guest.cpuid = sees;
	assert_said(compare(&was, &is), 0, 0, "");
	vendor_set(&was.cpuid[L0], "GenuineIntel");
	assert_said(compare(&was, &is), 0, 1, "by Genu???Intel and");
	is.host.n_cpuid = 0;
	assert_said(compare(&was, &is), 0, 3, "does not say what processor");
}

static void fewer_counters_and_address_bits(void **state)
{
	(void)state;
	is.cpuid[LA].eax = 0x0401;
	is.cpuid[LA].edx = 0;
	is.cpuid[LX8].eax = 39;
	assert_said(compare(&was, &is), 1, 3, "general performance counters numbering 8, and KVM on this host offers 4");
	assert_said(compare(&was, &is), 1, 3, "adapt: the guest was told of 46 physical address bits, and this host has 39");
	assert_said(compare(&is, &was), 0, 0, "");
}

static void register_state_must_be_there_and_in_its_place(void **state)
{
	(void)state;
	was.guest.xcr0 = 7 | 1 << 9 | 1ull << 62;
	assert_said(compare(&was, &is), 0, 2, "XCR0 bit 9 (PKRU)");
	assert_said(compare(&was, &is), 0, 2, "XCR0 bit 62, which");
	was.guest.xcr0 = 7;
	is.cpuid[LD2].ebx = 512;
	assert_said(compare(&was, &is), 0, 1,
	            "XCR0 bit 2 (AVX), which has 256 bytes at 512 of the XSAVE area on this host and had 256 at 576");
	is.cpuid[LD].function = 99;
	assert_said(compare(&was, &is), 0, 2, "XCR0 bit 1 (SSE)");
}

static void larger_xsave_area_is_refused_unless_unused(void **state)
{
	(void)state;
	was.host.xsave_size = was.guest.xsave_used_size = 11008;
	assert_said(compare(&was, &is), 0, 1, "uses 11008 bytes of XSAVE state, and KVM on this host takes 4096");
	was.guest.xsave_used_size = 2696;
	assert_said(compare(&was, &is), 1, 0, "the guest uses the first 2696 of them");
	assert_said(compare(&is, &was), 0, 0, "");
	was.guest.xsave_used_size = 11008; /* AMX, for which this process has not asked yet */
	was.guest.xcr0 |= 3 << 17;
	is.host.xcomp_supported = 3 << 17;
	assert_said(compare(&was, &is), 0, 0, "");
	is.host.xcomp_supported = 0;
	assert_said(compare(&was, &is), 0, 3, "XCR0 bit 18 (AMX tiledata)");
}

static void lost_msrs_are_refused_by_name(void **state)
{
	struct kvm_msr_entry saved[] = {
		{ .index = 0x174, .data = 0x10 }, { .index = 0x174, .data = 0x11 }, { .index = 0xc0000103, .data = 0 },
		{ .index = 0xda0, .data = 1 },	  { .index = 0x480, .data = 1 },    { .index = 0x8b, .data = 1 },
		{ .index = 0x401, .data = 1 },
	};

	(void)state;
	was.guest.msrs = saved;
	was.guest.n_msrs = 7;
	is.host.n_msrs = 1;
	is.msrs[0] = 0xffff;
	assert_said(compare(&was, &is), 0, 3, "MSR 0x174 (IA32_SYSENTER_CS) is in use (value 0x10)");
	assert_said(compare(&was, &is), 0, 3, "MSR 0xda0 (IA32_XSS)");
	assert_said(compare(&was, &is), 0, 3, "MSR 0x480 (IA32_VMX_BASIC)");
	was.cpuid[L1].ecx &= ~(1u << 5); /* a guest without vmx cannot see it, and microcode revisions only inform */
	assert_said(compare(&was, &is), 0, 2, "IA32_XSS");
	was.host.n_msrs = 0; /* not recorded: then also what KVM may take without listing it */
	assert_said(compare(&was, &is), 0, 3, "MSR 0x401 (IA32_MC_BANK_1)");
}

static void msrs_as_kvm_sets_them_do_not_matter(void **state)
{
	struct kvm_msr_entry saved[] = { { .index = 0x9e, .data = 0x30000 },
					 { .index = 0x40000022, .data = 2096013000 },
					 { .index = 0xc0000104, .data = 1ull << 32 },
					 { .index = 0x38f, .data = 3 } };

	(void)state;
	was.guest.msrs = saved;
	was.guest.n_msrs = 4;
	was.host.n_msrs = 0;
	was.cpuid[LA].eax = 0;
	assert_said(compare(&was, &is), 0, 0, "");
	saved[0].data = 0x7f000000;
	saved[2].data = 1;
	was.cpuid[LA].eax = 2;
	was.cpuid[LXA].function = 0x40000003; /* Hyper-V's features */
	was.cpuid[LXA].eax = 0x60;
	assert_said(compare(&was, &is), 0, 4, "MSR 0x9e (IA32_SMBASE)");
	assert_said(compare(&was, &is), 0, 4, "MSR 0x40000022 (HV_X64_MSR_TSC_FREQUENCY)");
	assert_said(compare(&was, &is), 0, 4, "MSR 0xc0000104 (AMD64_TSC_RATIO)");
	assert_said(compare(&was, &is), 0, 4, "MSR 0x38f (CORE_PERF_GLOBAL_CTRL)");
}

static void feature_msrs_must_not_promise_too_much(void **state)
{
	struct kvm_msr_entry saved[] = { { .index = 0x10a, .data = 9 },
		                         { .index = 0x48c, .data = 0xf },
		                         { .index = 0x48d, .data = 0xf00000016 } };
	struct kvm_msr_entry has[] = { { .index = 0x10a, .data = 8 },
		                       { .index = 0x48c, .data = 0x7 },
		                       { .index = 0x48d, .data = 0x700000017 } };

	(void)state;
	was.guest.msrs = saved;
	was.guest.n_msrs = 3;
	was.host.n_features = 1;
	is.host.features = has;
	is.host.n_features = 3;
	assert_said(compare(&was, &is), 1, 2,
	            "the guest read 0x9 from MSR 0x10a (IA32_ARCH_CAPABILITIES), and on this host the bits 0x1");
	assert_said(compare(&was, &is), 1, 2, "has 0xf in MSR 0x48c (IA32_VMX_EPT_VPID_CAP), and KVM on this host allows 0x7");
	assert_said(compare(&was, &is), 1, 2, "(they disagree in 0x800000001)");
	has[0] = saved[0], has[1] = saved[1], has[2] = saved[2];
	assert_said(compare(&was, &is), 0, 0, "");
}

static void tsc_is_equal_scaled_caught_up_or_refused(void **state)
{
	(void)state;
	was.guest.tsc_khz = 2400000 + 600; /* 250 ppm */
	assert_said(compare(&was, &is), 0, 0, "");
	was.guest.tsc_khz = 2400000 - 600;
	assert_said(compare(&was, &is), 0, 0, "");
	was.guest.tsc_khz = 2400000 - 601;
	assert_said(compare(&was, &is), 0, 1, "2399.399 MHz, this host's at 2400.000 MHz, and KVM cannot slow it down");
	was.guest.tsc_khz = 2400000 + 601;
	assert_said(compare(&was, &is), 1, 0, "KVM moves it forward");
	is.host.tsc_scaling = true;
	assert_said(compare(&was, &is), 1, 0, "the processor scales it");
	was.guest.tsc_khz = 1000000;
	assert_said(compare(&was, &is), 1, 0, "1000.000 MHz and this host's at 2400.000 MHz; the processor scales it");
	was.guest.tsc_khz = 0;
	assert_said(compare(&was, &is), 0, 0, "");
	is.host.tsc_khz = 0;
	assert_said(compare(&was, &is), 1, 0, "not known");
	was.host.tsc_khz = 0;
	assert_said(compare(&was, &is), 0, 0, "");
}

static void differences_are_told_all_at_once(void **state)
{
	(void)state;
	is.caps[4].number = 0xffff;
	is.cpuid[L7].ebx = 0;
	is.msrs[0] = 0xffff;
	is.host.tsc_khz = 3000000;
	was.guest.n_vcpus = 1000;
	assert_said(compare(&was, &is), 1, 6, "");
}

static void impossible_lists_are_invalid_and_empty_ones_fine(void **state)
{
	struct made none = { .host.api_version = 12 };
	struct said s = { 0 };

	(void)state;
	assert_said(compare(&none, &none), 0, 0, "");
	assert_said(compare(&none, &is), 0, 0, "");
	was.guest.n_cpuid = KVM_COMPARE_LIST_MAX + 1;
	assert_int_equal(kvm_compare(&was.host, &is.host, &was.guest, hear, &s), -EINVAL);
	was.guest.n_cpuid = 0;
	was.guest.n_msrs = SIZE_MAX;
	assert_int_equal(kvm_compare(&was.host, &is.host, &was.guest, hear, &s), -EINVAL);
	was.guest.n_msrs = 1;
	was.guest.msrs = NULL;
	assert_int_equal(kvm_compare(&was.host, &is.host, &was.guest, hear, &s), -EINVAL);
	was.guest.n_msrs = 0;
	was.host.msrs = NULL;
	assert_int_equal(kvm_compare(&was.host, &is.host, &was.guest, hear, &s), -EINVAL);
	assert_int_equal(s.size, 0);
}

static void differences_without_end_are_cut_off(void **state)
{
	enum { N = 3000 };
	struct kvm_cap_value *caps = calloc(N, sizeof(*caps));
	struct kvm_msr_entry *saved = calloc(N, sizeof(*saved));
	const struct said *s;

	(void)state;
	for (uint32_t i = 0; i < N; i++) {
		caps[i].number = 1000 + i;
		saved[i] = (struct kvm_msr_entry){ .index = 0x10000 + i, .data = 1 };
	}
	was.guest.caps = caps;
	was.guest.n_caps = N;
	was.guest.msrs = saved;
	was.guest.n_msrs = N;
	was.host.n_msrs = 0;
	s = compare(&was, &is);
	assert_int_equal(s->refused, KVM_COMPARE_TOLD_MAX + 1);
	assert_non_null(strstr(s->all, "there are more differences"));
	free(caps);
	free(saved);
}

/* Random bytes, with real leaf numbers now and then so that the rules have something to chew on. */
static void *noise(unsigned *seed, size_t n, size_t size)
{
	uint8_t *p = malloc(n * size + 1);

	assert_non_null(p);
	for (size_t i = 0; i < n * size; i++)
		p[i] = rand_r(seed) >> 8;
	return p;
}

static struct kvm_cpuid_entry2 *noise_cpuid(unsigned *seed, size_t n)
{
	static const uint32_t leaves[] = { 0, 1, 7, 0xa, 0xd, 0x40000000, 0x40000001, 0x80000001, 0x80000008, 0x8000000a };
	struct kvm_cpuid_entry2 *e = noise(seed, n, sizeof(*e));

	for (size_t i = 0; i < n; i++) {
		if (rand_r(seed) % 4)
			e[i].function = leaves[rand_r(seed) % 10];
		e[i].index %= 70;
	}
	return e;
}

static void noise_host(struct kvm_host *h, unsigned *seed)
{
	h->api_version = rand_r(seed) % 16 ? 12 : rand_r(seed);
	h->n_cpuid = rand_r(seed) % 40;
	h->cpuid = noise_cpuid(seed, h->n_cpuid);
	h->n_msrs = rand_r(seed) % 40;
	h->msrs = noise(seed, h->n_msrs, sizeof(*h->msrs));
	h->n_features = rand_r(seed) % 10;
	h->features = noise(seed, h->n_features, sizeof(*h->features));
	h->n_caps = rand_r(seed) % 40;
	h->caps = noise(seed, h->n_caps, sizeof(*h->caps));
	for (size_t i = 0; i < h->n_caps; i++)
		h->caps[i].number %= 256;
	h->tsc_khz = rand_r(seed) % 3 ? rand_r(seed) : 0;
	h->xsave_size = rand_r(seed) % 20000;
	h->xcomp_supported = (uint64_t)rand_r(seed) << rand_r(seed) % 40;
}

static void noise_is_survived(void **state)
{
	static struct said s;
	unsigned seed = 1;

	(void)state;
	for (int round = 0; round < 3000; round++) {
		struct kvm_host a = { 0 }, b = { 0 };
		struct kvm_guest g = { .n_cpuid = rand_r(&seed) % 40,
			               .n_msrs = rand_r(&seed) % 40,
			               .n_caps = rand_r(&seed) % 40 };

		noise_host(&a, &seed);
		noise_host(&b, &seed);
		void *cpuid = noise_cpuid(&seed, g.n_cpuid), *caps = noise(&seed, g.n_caps, sizeof(*g.caps));
		struct kvm_msr_entry *saved = noise(&seed, g.n_msrs, sizeof(*saved));
		for (size_t i = 0; i < g.n_msrs; i++)
			saved[i].index %= 0x1000;
		g.cpuid = cpuid, g.msrs = saved, g.caps = caps;
		g.tsc_khz = rand_r(&seed), g.nested = rand_r(&seed) & 1, g.n_vcpus = rand_r(&seed),
		g.n_memslots = rand_r(&seed);
		g.max_vcpu_id = rand_r(&seed), g.xcr0 = (uint64_t)rand_r(&seed) << 33 | rand_r(&seed),
		g.xsave_used_size = rand_r(&seed);
		s = (struct said){ 0 };
		int r = kvm_compare(&a, &b, &g, hear, &s);
		assert_int_equal(r, s.refused ? -EOPNOTSUPP : 0);
		free(cpuid), free(saved), free(caps);
		kvm_host_finish(&a);
		kvm_host_finish(&b);
	}
}

static void names_are_found(void **state)
{
	char buf[64], full[80];
	const struct kvm_feature_word *word;

	(void)state;
	assert_string_equal(kvm_names_cap(KVM_CAP_IRQCHIP), "KVM_CAP_IRQCHIP");
	assert_string_equal(kvm_names_cap(KVM_CAP_XSAVE2), "KVM_CAP_XSAVE2");
	assert_string_equal(kvm_names_cap(KVM_CAP_DIRTY_LOG_RING_ACQ_REL), "KVM_CAP_DIRTY_LOG_RING_ACQ_REL");
	assert_null(kvm_names_cap(5));
	assert_null(kvm_names_cap(UINT32_MAX));
	assert_string_equal(kvm_names_msr(0x4b564d01, buf, sizeof(buf)), "MSR 0x4b564d01 (KVM_SYSTEM_TIME_NEW)");
	assert_string_equal(kvm_names_msr(0xc3, buf, sizeof(buf)), "MSR 0xc3 (IA32_PERFCTR2)");
	assert_string_equal(kvm_names_msr(UINT32_MAX, buf, sizeof(buf)), "MSR 0xffffffff");
	for (uint32_t i = 0; i < 0x10000; i++)
		assert_true(strlen(kvm_names_msr(0xc0000000 + i, buf, sizeof(buf))) < sizeof(buf) - 1);
	for (size_t i = 0; (word = kvm_features_word(i)); i++)
		for (unsigned bit = 0; bit < 32; bit++)
			assert_true(strlen(kvm_features_name(word, bit, full, sizeof(full))) < sizeof(full) - 1);
}

#define T(f) cmocka_unit_test_setup(f, afresh)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(same_host_has_no_differences),
		T(more_host_has_no_differences),
		T(other_api_is_refused_alone),
		T(lost_capability_is_refused_by_name),
		T(nested_state_needs_its_capability),
		T(limits_are_kept),
		T(lost_features_are_refused_by_name),
		T(features_the_guest_or_the_old_host_lacks_do_not_matter),
		T(state_topology_and_svm_details_are_no_features),
		T(unnamed_bits_are_numbered),
		T(paravirtual_features_are_found_behind_hyperv),
		T(other_vendor_is_refused),
		T(fewer_counters_and_address_bits),
		T(register_state_must_be_there_and_in_its_place),
		T(larger_xsave_area_is_refused_unless_unused),
		T(lost_msrs_are_refused_by_name),
		T(msrs_as_kvm_sets_them_do_not_matter),
		T(feature_msrs_must_not_promise_too_much),
		T(tsc_is_equal_scaled_caught_up_or_refused),
		T(differences_are_told_all_at_once),
		T(impossible_lists_are_invalid_and_empty_ones_fine),
		T(differences_without_end_are_cut_off),
		T(noise_is_survived),
		T(names_are_found),
	};

	return cmocka_run_group_tests_name("reconnect-kvm", tests, NULL, NULL);
}
