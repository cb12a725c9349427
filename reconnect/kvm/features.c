// SPDX-License-Identifier: LGPL-2.1-or-later
/* The feature words of CPUID with the names of their bits, and how to look words up. Sources: Intel SDM volume 2A and AMD APM
 * volume 3, CPUID; names as in arch/x86/include/asm/cpufeatures.h; Documentation/virt/kvm/x86/cpuid.rst. */
#include "kvm/features.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

#define BIT(n) (1u << (n))

static const struct kvm_feature_word words[] = {
	{ .name = "1 ECX", .leaf = 1, .reg = KVM_ECX,
	  /* tsc_deadline_timer is a capability (kernels before 6.14 do not list it here), osxsave is state */
	  .ignore = BIT(24) | BIT(27) | BIT(31),
	  .bit = { "sse3", "pclmulqdq", "dtes64", "monitor", "ds_cpl", "vmx", "smx", "est", "tm2", "ssse3", "cid", "sdbg",
		   "fma",
		   "cx16", "xtpr", "pdcm", [17] = "pcid", "dca", "sse4_1", "sse4_2", "x2apic", "movbe", "popcnt",
		   "tsc_deadline_timer", "aes", "xsave", "osxsave", "avx", "f16c", "rdrand", "hypervisor" } },
	{ .name = "1 EDX", .leaf = 1, .reg = KVM_EDX, .ignore = BIT(28), .harmless = BIT(27), /* ht: vCPU layout; ss: caches */
	  .bit = { "fpu", "vme", "de", "pse", "tsc", "msr", "pae", "mce", "cx8", "apic", [11] = "sep", "mtrr", "pge", "mca",
		   "cmov",
		   "pat", "pse36", "pn", "clflush", [21] = "ds", "acpi", "mmx", "fxsr", "sse", "sse2", "ss", "ht", "tm", "ia64",
		   "pbe" } },
	{ .name = "7.0 EBX", .leaf = 7, .reg = KVM_EBX, .harmless = BIT(6) | BIT(13),
	  .bit = { "fsgsbase", "tsc_adjust", "sgx", "bmi1", "hle", "avx2", "fdp_excptn_only", "smep", "bmi2", "erms", "invpcid",
		   "rtm", "cqm", "zero_fcs_fds", "mpx", "rdt_a", "avx512f", "avx512dq", "rdseed", "adx", "smap", "avx512ifma",
		   "pcommit", "clflushopt", "clwb", "intel_pt", "avx512pf", "avx512er", "avx512cd", "sha_ni", "avx512bw",
		   "avx512vl" } },
	{ .name = "7.0 ECX", .leaf = 7, .reg = KVM_ECX, .ignore = BIT(4) | 0x1fu << 17, /* ospke is state, 17-21 a number */
	  .bit = { "prefetchwt1", "avx512vbmi", "umip", "pku", "ospke", "waitpkg", "avx512_vbmi2", "shstk", "gfni", "vaes",
		   "vpclmulqdq", "avx512_vnni", "avx512_bitalg", "tme", "avx512_vpopcntdq", [16] = "la57", [22] = "rdpid", "kl",
		   "bus_lock_detect", "cldemote", [27] = "movdiri", "movdir64b", "enqcmd", "sgx_lc", "pks" } },
	{ .name = "7.0 EDX", .leaf = 7, .reg = KVM_EDX,
	  .bit = { [1] = "sgx_keys", "avx512_4vnniw", "avx512_4fmaps", "fsrm", "uintr", [8] = "avx512_vp2intersect",
		   "srbds_ctrl",
		   "md_clear", "rtm_always_abort", [13] = "tsx_force_abort", "serialize", "hybrid", "tsxldtrk",
		   [18] = "pconfig",
		   "arch_lbr", "ibt", [22] = "amx_bf16", "avx512_fp16", "amx_tile", "amx_int8", "spec_ctrl", "intel_stibp",
		   "flush_l1d", "arch_capabilities", "core_capabilities", "spec_ctrl_ssbd" } },
	{ .name = "7.1 EAX", .leaf = 7, .index = 1, .reg = KVM_EAX,
	  .bit = { "sha512", "sm3", "sm4", [4] = "avx_vnni", "avx512_bf16", [7] = "cmpccxadd", "arch_perfmon_ext",
		   [10] = "fzrm",
		   "fsrs", "fsrc", [17] = "fred", "lkgs", "wrmsrns", [21] = "amx_fp16", "hreset", "avx_ifma", [26] = "lam",
		   "msrlist" } },
	{ .name = "7.1 EDX", .leaf = 7, .index = 1, .reg = KVM_EDX,
	  .bit = { [4] = "avx_vnni_int8", "avx_ne_convert", [8] = "amx_complex", [10] = "avx_vnni_int16", [14] = "prefetchiti",
		   [18] = "cet_sss", "avx10" } },
	{ .name = "7.2 EDX", .leaf = 7, .index = 2, .reg = KVM_EDX,
	  .bit = { "intel_psfd", "ipred_ctrl", "rrsba_ctrl", "ddpd_u", "bhi_ctrl", "mcdt_no" } },
	{ .name = "0xd.1 EAX", .leaf = 0xd, .index = 1, .reg = KVM_EAX,
	  .bit = { "xsaveopt", "xsavec", "xgetbv1", "xsaves", "xfd" } },
	{ .name = "0xd.1 ECX", .leaf = 0xd, .index = 1, .reg = KVM_ECX, /* XSAVES components, the low half of IA32_XSS */
	  .bit = { [8] = "xss_pt", [10] = "xss_pasid", "xss_cet_user", "xss_cet_kernel", "xss_hdc", "xss_uintr", "xss_lbr",
		   "xss_hwp" } },
	{ .name = "0x80000001 ECX", .leaf = 0x80000001, .reg = KVM_ECX, .ignore = BIT(1), /* cmp_legacy: vCPU layout */
	  .bit = { "lahf_lm", "cmp_legacy", "svm", "extapic", "cr8_legacy", "abm", "sse4a", "misalignsse", "3dnowprefetch",
		   "osvw",
		   "ibs", "xop", "skinit", "wdt", [15] = "lwp", "fma4", "tce", [19] = "nodeid_msr", [21] = "tbm", "topoext",
		   "perfctr_core", "perfctr_nb", [26] = "bpext", "ptsc", "perfctr_llc", "mwaitx" } },
	{ .name = "0x80000001 EDX", .leaf = 0x80000001, .reg = KVM_EDX, .ignore = 0x0183f3ff, /* AMD: leaf 1 again */
	  .bit = { [11] = "syscall", [19] = "mp", "nx", [22] = "mmxext", [25] = "fxsr_opt", "pdpe1gb", "rdtscp", [29] = "lm",
		   "3dnowext", "3dnow" } },
	{ .name = "0x80000007 EDX", .leaf = 0x80000007, .reg = KVM_EDX,
	  .bit = { "ts", "fid", "vid", "ttp", "tm", "stc", "100mhzsteps", "hwpstate", "invtsc", "cpb" } },
	{ .name = "0x80000008 EBX", .leaf = 0x80000008, .reg = KVM_EBX,
	  .bit = { "clzero", "irperf", "xsaveerptr", [4] = "rdpru", [9] = "wbnoinvd", [12] = "amd_ibpb", [14] = "amd_ibrs",
		   "amd_stibp", "ibrs_always_on", "stibp_always_on", [19] = "ibrs_same_mode", [21] = "efer_lmsle_no",
		   [23] = "amd_ppin", "amd_ssbd", "virt_ssbd", "amd_ssb_no", "cppc", "amd_psfd", "btc_no", "ibpb_ret" } },
	{ .name = "0x8000000a EDX", .leaf = 0x8000000a, .reg = KVM_EDX, /* what svm can do: compared when the guest has svm */
	  .bit = { "npt", "lbrv", "svm_lock", "nrip_save", "tsc_scale", "vmcb_clean", "flushbyasid", "decodeassists",
		   [10] = "pausefilter", [12] = "pfthreshold", "avic", [15] = "v_vmsave_vmload", "vgif", [18] = "x2avic",
		   [20] = "v_spec_ctrl", [25] = "vnmi", [28] = "svme_addr_chk" } },
	{ .name = "0x80000021 EAX", .leaf = 0x80000021, .reg = KVM_EAX,
	  .bit = { "no_nested_data_bp", "wrmsr_xx_base_ns", "lfence_rdtsc", "smm_page_cfg_lock", [6] = "null_sel_clr_base",
		   "upper_addr_ignore", "autoibrs", "no_smm_ctl_msr", [27] = "sbpb", "ibpb_brtype", "srso_no" } },
	{ .name = "0x40000001 EAX", .leaf = 0x40000001, .reg = KVM_EAX, .by_kernel = true,
	  .bit = { "kvm_clocksource", "kvm_nopiodelay", "kvm_mmu", "kvm_clocksource2", "kvm_asyncpf", "kvm_steal_time",
		   "kvm_pv_eoi",
		   "kvm_pv_unhalt", [9] = "kvm_pv_tlb_flush", "kvm_asyncpf_vmexit", "kvm_pv_ipi", "kvm_poll_control",
		   "kvm_pv_sched_yield", "kvm_asyncpf_int", "kvm_msi_ext_dest_id", "kvm_hc_map_gpa_range",
		   "kvm_migration_control", [24] = "kvmclock_stable_bit" } },
};

const struct kvm_feature_word *kvm_features_word(size_t i)
{
	return i < ARRAY_SIZE(words) ? &words[i] : NULL;
}

const char *kvm_features_name(const struct kvm_feature_word *word, unsigned bit, char *buf, size_t size)
{
	if (word->bit[bit])
		snprintf(buf, size, "%s (CPUID %s bit %u)", word->bit[bit], word->name, bit);
	else
		snprintf(buf, size, "CPUID %s bit %u", word->name, bit);
	return buf;
}

const struct kvm_cpuid_entry2 *kvm_features_find(const struct kvm_cpuid_entry2 *cpuid, size_t n, uint32_t leaf, uint32_t index)
{
	for (size_t i = 0; i < n; i++) {
		bool indexed = cpuid[i].flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX;

		if (cpuid[i].function == leaf && (!indexed || cpuid[i].index == index))
			return indexed || !index ? &cpuid[i] : NULL;
	}
	return NULL;
}

uint32_t kvm_features_get(const struct kvm_cpuid_entry2 *cpuid, size_t n, uint32_t leaf, uint32_t index, enum kvm_reg reg)
{
	const struct kvm_cpuid_entry2 *e = kvm_features_find(cpuid, n, leaf, index);

	if (!e)
		return 0;
	return reg == KVM_EAX ? e->eax : reg == KVM_EBX ? e->ebx : reg == KVM_ECX ? e->ecx : e->edx;
}

uint32_t kvm_features_base(const struct kvm_cpuid_entry2 *cpuid, size_t n)
{
	static const char signature[12] = "KVMKVMKVM\0\0";

	for (uint32_t base = 0x40000000; base < 0x40010000; base += 0x100) {
		const struct kvm_cpuid_entry2 *e = kvm_features_find(cpuid, n, base, 0);

		if (e && !memcmp((const uint32_t[]){ e->ebx, e->ecx, e->edx }, signature, sizeof(signature)))
			return base;
	}
	return 0;
}
