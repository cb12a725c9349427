// SPDX-License-Identifier: LGPL-2.1-or-later
/* Capabilities, limits, MSRs and the TSC of the new host against what the guest needs. The processor is in compare-cpu.c. */
#include "kvm/compare.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "kvm/compare-part.h"
#include "kvm/features.h"
#include "kvm/names.h"

enum { TSC_TOLERANCE_PPM = 250 }; /* source: arch/x86/kvm/x86.c, tsc_tolerance_ppm */

/* MSRs that hold something in every guest, because KVM gives them a value before the guest begins. They matter when a bit of
 * the guest's CPUID says so (mask 0: never), or, with `reset`, when the value is another. Sources: arch/x86/kvm/x86.c,
 * hyperv.c, vmx/nested.c, vmx/pmu_intel.c, vmx/vmx.c, svm/svm.c. */
static const struct {
	uint32_t first, n, leaf;
	enum kvm_reg reg;
	uint32_t mask;
	uint64_t reset;
} conditional_msrs[] = {
	{ 0x34, 1 },                        /* SMI_COUNT counts */
	{ 0x8b, 1 },                        /* IA32_UCODE_REV informs */
	{ 0x9e, 1, .reset = 0x30000 },      /* IA32_SMBASE: no SMM without CONFIG_KVM_SMM */
	{ 0xce, 1 },                        /* PLATFORM_INFO informs */
	{ 0xcf, 1, 7, KVM_EDX, 1u << 30 },  /* IA32_CORE_CAPS: core_capabilities */
	{ 0xe1, 1, 7, KVM_ECX, 1u << 5 },   /* IA32_UMWAIT_CONTROL: waitpkg */
	{ 0x10a, 1, 7, KVM_EDX, 1u << 29 }, /* IA32_ARCH_CAPABILITIES: arch_capabilities */
	{ 0x1fc, 1 },                       /* IA32_POWER_CTL is only stored */
	{ 0x345, 1, 1, KVM_ECX, 1u << 15 }, /* IA32_PERF_CAPABILITIES: pdcm */
	{ 0xc1, 8, 0xa, KVM_EAX, 0xff },    /* performance counters: their version */
	{ 0x186, 8, 0xa, KVM_EAX, 0xff },   /* ... what they count */
	{ 0x309, 4, 0xa, KVM_EAX, 0xff },   /* ... the fixed ones */
	{ 0x38d, 4, 0xa, KVM_EAX, 0xff },   /* ... their control */
	{ 0x4c1, 8, 0xa, KVM_EAX, 0xff },   /* ... written in full width */
	{ 0x480, 18, 1, KVM_ECX, 1u << 5 }, /* IA32_VMX_*: vmx */
	{ 0x560, 2, 7, KVM_EBX, 1u << 25 }, /* IA32_RTIT_OUTPUT_*: intel_pt */
	{ 0x570, 3, 7, KVM_EBX, 1u << 25 }, /* IA32_RTIT_* */
	{ 0x580, 8, 7, KVM_EBX, 1u << 25 }, /* IA32_RTIT_ADDR_* */
	{ 0x40000000, 0x200, 0x40000003, KVM_EAX, ~0u }, /* HV_X64_MSR_*: Hyper-V's features; not without CONFIG_KVM_HYPERV */
	{ 0x4b564d05, 1, .reset = 1 },                   /* KVM_POLL_CONTROL */
	{ 0xc0000104, 1, .reset = 1ull << 32 },          /* AMD64_TSC_RATIO: not listed before Linux 5.16 */
};

void kvm_compare_tell(struct kvm_compare *c, enum kvm_severity severity, const char *remedy, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	c->refused |= severity == KVM_DIFF_REFUSE;
	if (c->told > KVM_COMPARE_TOLD_MAX)
		return;
	if (c->told++ == KVM_COMPARE_TOLD_MAX) {
		c->difference(c->ctx, severity, remedy ? "see the differences above" : NULL,
		              "there are more differences, which are not listed");
		return;
	}
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	c->difference(c->ctx, severity, remedy, text);
}

/* Capabilities whose value is a set of flags, so that the flags the VMM enabled can be asked for. Source: api.rst. */
static bool cap_has_flags(uint32_t number)
{
	return number == KVM_CAP_X86_DISABLE_EXITS || number == KVM_CAP_X86_BUS_LOCK_EXIT || number == KVM_CAP_EXIT_HYPERCALL ||
	       number == KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 || number == KVM_CAP_PMU_CAPABILITY ||
	       number == KVM_CAP_DISABLE_QUIRKS2;
}

static void compare_cap(struct kvm_compare *c, const struct kvm_cap_value *cap)
{
	static const char remedy[] = "restart on a host with a newer kernel, or start the emulator without what uses it";
	uint32_t value = kvm_host_cap(c->is, cap->number);
	const char *known = kvm_names_cap(cap->number);
	char name[64];

	snprintf(name, sizeof(name), "KVM capability %u", cap->number);
	if (!value)
		kvm_compare_tell(c, KVM_DIFF_REFUSE, remedy, "%s, which the guest needs, is not there on this host",
		                 known ? known : name);
	else if (cap_has_flags(cap->number) && (uint32_t)cap->value & ~value)
		kvm_compare_tell(c, KVM_DIFF_REFUSE, remedy, "%s has the flags %#x on this host, and the guest uses %#x",
		                 known ? known : name, value, (uint32_t)cap->value);
}

static void compare_caps(struct kvm_compare *c)
{
	static const char nested[] =
	        "restart on a host with a newer kernel, or end the guests inside this guest before the checkpoint";
	const struct kvm_guest *g = c->guest;

	for (size_t i = 0; i < g->n_caps && c->told <= KVM_COMPARE_TOLD_MAX; i++) {
		bool again = false;

		for (size_t j = 0; j < i && !again; j++)
			again = g->caps[j].number == g->caps[i].number && g->caps[j].value == g->caps[i].value;
		if (!again)
			compare_cap(c, &g->caps[i]);
	}
	if (g->nested && !kvm_host_cap(c->is, KVM_CAP_NESTED_STATE))
		kvm_compare_tell(c, KVM_DIFF_REFUSE, nested,
		                 "the guest runs guests of its own, and KVM_CAP_NESTED_STATE is not there on this host");
}

/* The defaults are those of api.rst: no MAX_VCPUS means NR_VCPUS, no NR_VCPUS means 4, no NR_MEMSLOTS means 32. */
static void compare_limits(struct kvm_compare *c)
{
	static const char remedy[] = "restart on a host whose kernel allows that many, or start the guest with fewer";
	uint32_t nr = kvm_host_cap(c->is, KVM_CAP_NR_VCPUS);
	uint32_t vcpus = kvm_host_cap(c->is, KVM_CAP_MAX_VCPUS);
	uint32_t ids = kvm_host_cap(c->is, KVM_CAP_MAX_VCPU_ID);
	uint32_t slots = kvm_host_cap(c->is, KVM_CAP_NR_MEMSLOTS);

	vcpus = vcpus ? vcpus : nr ? nr : 4;
	ids = ids ? ids : vcpus;
	slots = slots ? slots : 32;
	if (c->guest->n_vcpus > vcpus)
		kvm_compare_tell(c, KVM_DIFF_REFUSE, remedy,
		                 "the guest has %u vCPUs, and this host allows %u (KVM_CAP_MAX_VCPUS)", c->guest->n_vcpus,
		                 vcpus);
	if (c->guest->max_vcpu_id >= ids)
		kvm_compare_tell(c, KVM_DIFF_REFUSE, remedy,
		                 "the guest has a vCPU with id %u, and this host allows ids below %u (KVM_CAP_MAX_VCPU_ID)",
		                 c->guest->max_vcpu_id, ids);
	if (c->guest->n_memslots > slots)
		kvm_compare_tell(c, KVM_DIFF_REFUSE, remedy,
		                 "the guest has %u memory slots, and this host allows %u (KVM_CAP_NR_MEMSLOTS)",
		                 c->guest->n_memslots, slots);
}

static bool listed(const uint32_t *msrs, size_t n, uint32_t index)
{
	for (size_t i = 0; i < n; i++)
		if (msrs[i] == index)
			return true;
	return false;
}

/* Whether the guest can tell that the MSR is not there. */
static bool msr_matters(const struct kvm_guest *g, const struct kvm_msr_entry *m)
{
	for (size_t i = 0; i < ARRAY_SIZE(conditional_msrs); i++) {
		if (m->index < conditional_msrs[i].first || m->index - conditional_msrs[i].first >= conditional_msrs[i].n)
			continue;
		if (conditional_msrs[i].reset)
			return m->data != conditional_msrs[i].reset;
		return conditional_msrs[i].mask &
		       kvm_features_get(g->cpuid, g->n_cpuid, conditional_msrs[i].leaf, 0, conditional_msrs[i].reg);
	}
	return true;
}

/* What the old KVM took without listing it (machine check banks; MTRRs in old kernels), the new one takes as well. */
static void compare_msrs(struct kvm_compare *c)
{
	uint32_t missing[KVM_COMPARE_TOLD_MAX];
	size_t n = 0;
	char name[64];

	if (!c->is->n_msrs)
		return;
	for (size_t i = 0; i < c->guest->n_msrs && n < ARRAY_SIZE(missing); i++) {
		const struct kvm_msr_entry *m = &c->guest->msrs[i];

		if (!m->data || listed(c->is->msrs, c->is->n_msrs, m->index) || listed(missing, n, m->index))
			continue;
		if (c->was->n_msrs && !listed(c->was->msrs, c->was->n_msrs, m->index))
			continue;
		if (!msr_matters(c->guest, m))
			continue;
		missing[n++] = m->index;
		kvm_compare_tell(c, KVM_DIFF_REFUSE,
		                 "restart on a host whose processor and kernel have it, or start the guest with a CPU model "
		                 "that lacks it",
		                 "%s is in use (value %#llx), and KVM on this host does not have it",
		                 kvm_names_msr(m->index, name, sizeof(name)), (unsigned long long)m->data);
	}
}

/* Without scaling KVM accepts only a frequency above the host's: it then moves the guest's TSC forward at each exit
 * ("catch-up"); one below is -EINVAL. Source: arch/x86/kvm/x86.c, set_tsc_khz() and kvm_set_tsc_khz(). */
static void compare_tsc(struct kvm_compare *c)
{
	uint64_t guest = c->guest->tsc_khz ? c->guest->tsc_khz : c->was->tsc_khz;
	uint64_t host = c->is->tsc_khz;
	double guest_mhz = guest / 1000.0, host_mhz = host / 1000.0;

	if (!guest)
		return;
	if (!host)
		kvm_compare_tell(c, KVM_DIFF_ADAPTED, NULL,
		                 "the guest's TSC runs at %.3f MHz, and how fast this host's runs is not known (unstable TSC)",
		                 guest_mhz);
	else if (guest >= host * (1000000 - TSC_TOLERANCE_PPM) / 1000000 &&
	         guest <= host * (1000000 + TSC_TOLERANCE_PPM) / 1000000)
		return;
	else if (c->is->tsc_scaling)
		kvm_compare_tell(c, KVM_DIFF_ADAPTED, NULL,
		                 "the guest's TSC runs at %.3f MHz and this host's at %.3f MHz; the processor scales it",
		                 guest_mhz, host_mhz);
	else if (guest > host)
		kvm_compare_tell(
		        c, KVM_DIFF_ADAPTED,
		        "restart on a host whose TSC is as fast or whose processor can scale it, where the guest depends on "
		        "exact time",
		        "the guest's TSC runs at %.3f MHz and this host's at %.3f MHz with no way to scale it; KVM moves it "
		        "forward at every exit, and the guest sees small jumps",
		        guest_mhz, host_mhz);
	else
		kvm_compare_tell(c, KVM_DIFF_REFUSE,
		                 "restart on a host whose TSC is no faster than the guest's or whose processor can scale it "
		                 "(tsc_scaling)",
		                 "the guest's TSC runs at %.3f MHz, this host's at %.3f MHz, and KVM cannot slow it down",
		                 guest_mhz, host_mhz);
}

static bool list_ok(const void *data, size_t n)
{
	return n <= KVM_COMPARE_LIST_MAX && (data || !n);
}

static bool guest_ok(const struct kvm_guest *g)
{
	return list_ok(g->cpuid, g->n_cpuid) && list_ok(g->caps, g->n_caps) && list_ok(g->msrs, g->n_msrs ? 1 : 0) &&
	       g->n_msrs <= KVM_COMPARE_MSRS_MAX;
}

static bool lists_ok(const struct kvm_host *h)
{
	return list_ok(h->cpuid, h->n_cpuid) && list_ok(h->msrs, h->n_msrs) && list_ok(h->features, h->n_features) &&
	       list_ok(h->caps, h->n_caps);
}

int kvm_compare(const struct kvm_host *was, const struct kvm_host *is, const struct kvm_guest *guest,
                void (*difference)(void *ctx, enum kvm_severity severity, const char *remedy, const char *text), void *ctx)
{
	struct kvm_compare c = { .was = was, .is = is, .guest = guest, .difference = difference, .ctx = ctx };

	if (!lists_ok(was) || !lists_ok(is) || !guest_ok(guest))
		return -EINVAL;
	if (is->api_version != KVM_API_VERSION) { /* nothing else can be asked of such a KVM */
		kvm_compare_tell(&c, KVM_DIFF_REFUSE, "restart on a host with Linux 5.15 or newer",
		                 "/dev/kvm has API version %d on this host; it must be %d", is->api_version, KVM_API_VERSION);
		return -EOPNOTSUPP;
	}
	compare_caps(&c);
	compare_limits(&c);
	kvm_compare_cpu(&c);
	kvm_compare_xsave(&c);
	kvm_compare_features(&c);
	compare_msrs(&c);
	compare_tsc(&c);
	return c.refused ? -EOPNOTSUPP : 0;
}
