// SPDX-License-Identifier: LGPL-2.1-or-later
/* Model-specific registers that a guest sets and a VMM must keep: those of system calls, PAT, MTRRs, machine checks, and some
 * that only have to stay as they were found. Only such as every KVM and QEMU has, as there may be no exceptions to catch. */
#include "bare.h"

#define MTRR_TYPES 5u
#define ADDRESS_BITS 0xfffffffffull /* fewer than any processor has */

enum kind {
	FREE,     /* any value under the mask */
	ADDRESS,  /* canonical */
	TYPES,    /* a memory type in each byte */
	BASE,     /* an address in pages and a memory type */
	MASK,     /* an address mask in pages, not valid */
	DEFAULT,  /* MTRRs on or off, write back by default */
	PAT,      /* the types of page tables; the first stays write back */
	CONSTANT, /* as it was found */
	SCE,      /* one bit beside bits that stay */
};

struct entry {
	const char *name;
	uint32_t msr;
	enum kind kind;
	uint64_t mask;
};

static const struct entry entries[] = {
	{ "efer", 0xc0000080, SCE, 1 },
	{ "star", 0xc0000081, FREE, ~0ull },
	{ "lstar", 0xc0000082, ADDRESS, 0 },
	{ "cstar", 0xc0000083, ADDRESS, 0 },
	{ "fmask", 0xc0000084, FREE, 0xffffffff },
	{ "kernel-gs-base", 0xc0000102, ADDRESS, 0 },
	{ "sysenter-cs", 0x174, FREE, 0xffff },
	{ "sysenter-esp", 0x175, FREE, 0xffffffff }, /* AMD's processors keep 32 bits */
	{ "sysenter-eip", 0x176, FREE, 0xffffffff },
	{ "pat", 0x277, PAT, 0 },
	{ "mtrr-fix64k", 0x250, TYPES, 0 },
	{ "mtrr-fix16k-8", 0x258, TYPES, 0 },
	{ "mtrr-fix16k-a", 0x259, TYPES, 0 },
	{ "mtrr-fix4k-c0", 0x268, TYPES, 0 },
	{ "mtrr-fix4k-c8", 0x269, TYPES, 0 },
	{ "mtrr-fix4k-d0", 0x26a, TYPES, 0 },
	{ "mtrr-fix4k-d8", 0x26b, TYPES, 0 },
	{ "mtrr-fix4k-e0", 0x26c, TYPES, 0 },
	{ "mtrr-fix4k-e8", 0x26d, TYPES, 0 },
	{ "mtrr-fix4k-f0", 0x26e, TYPES, 0 },
	{ "mtrr-fix4k-f8", 0x26f, TYPES, 0 },
	{ "mtrr-base0", 0x200, BASE, 0 },
	{ "mtrr-mask0", 0x201, MASK, 0 },
	{ "mtrr-base3", 0x206, BASE, 0 },
	{ "mtrr-mask3", 0x207, MASK, 0 },
	{ "mtrr-base7", 0x20e, BASE, 0 },
	{ "mtrr-mask7", 0x20f, MASK, 0 },
	{ "mtrr-default", 0x2ff, DEFAULT, 0 },
	{ "mtrr-cap", 0xfe, CONSTANT, 0 },
	{ "misc-enable", 0x1a0, SCE, 1 }, /* fast strings */
	{ "apic-base", 0x1b, CONSTANT, 0 },
	{ "tsc-aux", 0xc0000103, FREE, 0xffffffff },
	{ "tsc-adjust", 0x3b, CONSTANT, 0 },
	{ "mcg-cap", 0x179, CONSTANT, 0 },
	{ "mcg-status", 0x17a, FREE, 7 },
	{ "mc0-addr", 0x402, FREE, ~0ull },
	{ "mc0-misc", 0x403, FREE, ~0ull },
	{ "mc1-addr", 0x406, FREE, ~0ull },
};
#define N_ENTRIES (sizeof(entries) / sizeof(*entries))

static uint64_t values[ABI_MAX_CPUS][N_ENTRIES];
static bool present[N_ENTRIES];

/* Tells from CPUID what can be read without an exception. */
static void probe(void)
{
	bool aux, adjust = false, mca, lapic;
	uint32_t r[4];

	cpuid(1, 0, r);
	mca = r[3] >> 14 & r[3] >> 7 & 1;
	lapic = r[3] >> 9 & 1;
	cpuid(0x80000001, 0, r);
	aux = r[3] >> 27 & 1;
	cpuid(0, 0, r);
	if (r[0] >= 7) {
		cpuid(7, 0, r);
		adjust = r[1] >> 1 & 1;
	}
	for (unsigned i = 0; i < N_ENTRIES; i++) {
		uint32_t msr = entries[i].msr;

		present[i] = msr == 0xc0000103 ? aux : msr == 0x3b ? adjust : msr == 0x1b ? lapic : true;
		if (msr == 0x179 || msr == 0x17a || msr >> 4 == 0x40)
			present[i] = mca && (msr >> 4 != 0x40 || (rdmsr(0x179) & 0xff) >= 2);
	}
}

/* Eight bytes of the types 0, 1, 4, 5, 6. */
static uint64_t types(uint64_t word)
{
	static const uint8_t valid[MTRR_TYPES] = { 0, 1, 4, 5, 6 };
	uint64_t value = 0;

	for (unsigned i = 0; i < 64; i += 8)
		value |= (uint64_t)valid[(word >> i & 0xff) % MTRR_TYPES] << i;
	return value;
}

static uint64_t new_value(const struct entry *entry, uint64_t word, uint64_t old)
{
	switch (entry->kind) {
	case FREE:
		return word & entry->mask;
	case ADDRESS:
		return (uint64_t)((int64_t)(word << 16) >> 16);
	case TYPES:
		return types(word);
	case BASE:
		return (word & ADDRESS_BITS & ~0xfffull) | (types(word) & 0xff);
	case MASK:
		return word & ADDRESS_BITS & ~0xfffull;
	case DEFAULT:
		return 6 | (word & 0xc00);
	case PAT:
		return (types(word) & ~0xffull) | 6;
	case SCE:
		return (old & ~entry->mask) | (word & entry->mask);
	default:
		return old;
	}
}

static void set(struct cpu *cpu)
{
	for (unsigned i = 0; i < N_ENTRIES; i++) {
		uint64_t *value = &values[cpu->id][i];

		if (!present[i] || entries[i].kind == CONSTANT)
			continue;
		*value = new_value(&entries[i], abi_word(cpu->word, 300 + i), *value);
		wrmsr(entries[i].msr, *value);
	}
}

void msr_begin(struct cpu *cpu)
{
	if (!cpu->id)
		probe();
	for (unsigned i = 0; i < N_ENTRIES; i++)
		if (present[i])
			values[cpu->id][i] = rdmsr(entries[i].msr);
	set(cpu);
}

void msr_turn(struct cpu *cpu)
{
	for (unsigned i = 0; i < N_ENTRIES; i++)
		if (present[i])
			expect(cpu, entries[i].name, values[cpu->id][i], rdmsr(entries[i].msr));
	if (cpu->turn % 8 == 0) /* page tables are flushed by some of these */
		set(cpu);
}
