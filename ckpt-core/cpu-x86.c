// SPDX-License-Identifier: LGPL-2.1-or-later
/* The processor as a program sees it: the CPUID leaves from which libraries choose their code for good, and XCR0. A restart needs
 * every feature that was there (inventory H, trap 7). Source: Intel SDM volume 2A, CPUID. */
#include "cpu.h"

#include <cpuid.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

static const struct {
	uint32_t leaf, subleaf;
} leaves[] = { { 1, 0 }, { 7, 0 }, { 7, 1 }, { 0xd, 0 }, { 0xd, 1 }, { 0x80000001, 0 }, { 0x80000008, 0 } };

/* Feature bits that programs choose by, with the names of /proc/cpuinfo. Bits that differ from moment to moment or concern only
 * kernels (APIC, OSXSAVE, hypervisor ...) are left out. */
static const struct {
	uint32_t leaf, subleaf;
	uint8_t reg, bit; /* reg 0-3: eax ebx ecx edx */
	const char *name;
} features[] = {
	{ 1, 0, 3, 15, "cmov" }, { 1, 0, 3, 23, "mmx" }, { 1, 0, 3, 24, "fxsr" }, { 1, 0, 3, 25, "sse" }, { 1, 0, 3, 26, "sse2" },
	{ 1, 0, 2, 0, "sse3" }, { 1, 0, 2, 1, "pclmulqdq" }, { 1, 0, 2, 9, "ssse3" }, { 1, 0, 2, 12, "fma" }, { 1, 0, 2, 13, "cx16" },
	{ 1, 0, 2, 19, "sse4_1" }, { 1, 0, 2, 20, "sse4_2" }, { 1, 0, 2, 22, "movbe" }, { 1, 0, 2, 23, "popcnt" }, { 1, 0, 2, 25, "aes" },
	{ 1, 0, 2, 26, "xsave" }, { 1, 0, 2, 28, "avx" }, { 1, 0, 2, 29, "f16c" }, { 1, 0, 2, 30, "rdrand" },
	{ 7, 0, 1, 0, "fsgsbase" }, { 7, 0, 1, 3, "bmi1" }, { 7, 0, 1, 4, "hle" }, { 7, 0, 1, 5, "avx2" }, { 7, 0, 1, 8, "bmi2" },
	{ 7, 0, 1, 9, "erms" }, { 7, 0, 1, 11, "rtm" }, { 7, 0, 1, 16, "avx512f" }, { 7, 0, 1, 17, "avx512dq" }, { 7, 0, 1, 18, "rdseed" },
	{ 7, 0, 1, 19, "adx" }, { 7, 0, 1, 21, "avx512ifma" }, { 7, 0, 1, 23, "clflushopt" }, { 7, 0, 1, 24, "clwb" },
	{ 7, 0, 1, 28, "avx512cd" }, { 7, 0, 1, 29, "sha_ni" }, { 7, 0, 1, 30, "avx512bw" }, { 7, 0, 1, 31, "avx512vl" },
	{ 7, 0, 2, 1, "avx512vbmi" }, { 7, 0, 2, 4, "ospke" }, { 7, 0, 2, 5, "waitpkg" }, { 7, 0, 2, 6, "avx512_vbmi2" },
	{ 7, 0, 2, 8, "gfni" }, { 7, 0, 2, 9, "vaes" }, { 7, 0, 2, 10, "vpclmulqdq" }, { 7, 0, 2, 11, "avx512_vnni" },
	{ 7, 0, 2, 12, "avx512_bitalg" }, { 7, 0, 2, 14, "avx512_vpopcntdq" }, { 7, 0, 2, 22, "rdpid" }, { 7, 0, 2, 27, "movdiri" },
	{ 7, 0, 2, 28, "movdir64b" }, { 7, 0, 3, 4, "fsrm" }, { 7, 0, 3, 8, "avx512_vp2intersect" }, { 7, 0, 3, 22, "amx_bf16" },
	{ 7, 0, 3, 23, "avx512_fp16" }, { 7, 0, 3, 24, "amx_tile" }, { 7, 0, 3, 25, "amx_int8" },
	{ 7, 1, 0, 4, "avx_vnni" }, { 7, 1, 0, 5, "avx512_bf16" }, { 7, 1, 0, 23, "avx_ifma" },
	{ 0xd, 1, 0, 0, "xsaveopt" }, { 0xd, 1, 0, 1, "xsavec" }, { 0xd, 1, 0, 2, "xgetbv1" },
	{ 0x80000001, 0, 2, 0, "lahf_lm" }, { 0x80000001, 0, 2, 5, "abm" }, { 0x80000001, 0, 2, 6, "sse4a" }, { 0x80000001, 0, 2, 8, "3dnowprefetch" },
	{ 0x80000001, 0, 2, 11, "xop" }, { 0x80000001, 0, 2, 16, "fma4" }, { 0x80000001, 0, 2, 21, "tbm" },
	{ 0x80000001, 0, 3, 27, "rdtscp" }, { 0x80000008, 0, 1, 0, "clzero" },
};

int cpu_capture(struct img_bytes *ret_cpuid, uint64_t *ret_xcr0)
{
	struct cpu_leaf *all = calloc(ARRAY_SIZE(leaves), sizeof(*all));
	uint32_t lo = 0, hi = 0;

	if (!all)
		return -ENOMEM;
	for (size_t i = 0; i < ARRAY_SIZE(leaves); i++) {
		all[i].leaf = leaves[i].leaf;
		all[i].subleaf = leaves[i].subleaf;
		__get_cpuid_count(leaves[i].leaf, leaves[i].subleaf, &all[i].reg[0], &all[i].reg[1], &all[i].reg[2], &all[i].reg[3]);
	}
	if (all[0].reg[2] & 1u << 27) /* OSXSAVE */
		__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	*ret_cpuid = (struct img_bytes){ all, ARRAY_SIZE(leaves) * sizeof(*all) };
	*ret_xcr0 = (uint64_t)hi << 32 | lo;
	return 0;
}

static const struct cpu_leaf *cpu_find(const struct img_bytes *cpuid, uint32_t leaf, uint32_t subleaf)
{
	const struct cpu_leaf *all = cpuid->data;

	for (size_t i = 0; i < cpuid->size / sizeof(*all); i++)
		if (all[i].leaf == leaf && all[i].subleaf == subleaf)
			return &all[i];
	return NULL;
}

int cpu_missing(const struct img_bytes *then, uint64_t then_xcr0, const struct img_bytes *now, uint64_t now_xcr0, char **ret_names)
{
	char *names = NULL;
	size_t size;
	FILE *out = open_memstream(&names, &size);

	if (!out)
		return -ENOMEM;
	for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
		const struct cpu_leaf *a = cpu_find(then, features[i].leaf, features[i].subleaf);
		const struct cpu_leaf *b = cpu_find(now, features[i].leaf, features[i].subleaf);
		uint32_t bit = 1u << features[i].bit;
		if (a && a->reg[features[i].reg] & bit && !(b && b->reg[features[i].reg] & bit))
			fprintf(out, " %s", features[i].name);
	}
	if (then_xcr0 & ~now_xcr0)
		fprintf(out, " xcr0:%#lx", then_xcr0 & ~now_xcr0);
	fclose(out);
	*ret_names = names;
	return 0;
}
