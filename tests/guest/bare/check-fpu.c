// SPDX-License-Identifier: LGPL-2.1-or-later
/* x87, SSE and AVX state: all registers hold values of this CPU and turn from one turn to the next. The rest of the guest is
 * compiled without any of them, so nobody else changes them. */
#include "bare.h"

#define AREA_SIZE 4096u
#define XMM_OFFSET 160u
#define HEADER_OFFSET 512u
#define XCR0_WANTED 0xe7u /* x87, SSE, AVX and the three parts of AVX-512 */

static struct fpu {
	uint8_t set[AREA_SIZE] __attribute__((aligned(64))); /* what was put in, as XSAVE (or FXSAVE) writes it */
	uint8_t now[AREA_SIZE] __attribute__((aligned(64)));
	uint64_t xcr0; /* 0: no XSAVE */
	struct part {
		uint32_t offset, size;
	} parts[8];
} fpus[ABI_MAX_CPUS] __attribute__((aligned(64)));

static uint64_t xgetbv(void)
{
	uint32_t low, high;

	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return low | (uint64_t)high << 32;
}

static void write_cr0(uint64_t value)
{
	__asm__ volatile("movq %0, %%cr0" : : "r"(value) : "memory");
}

static void probe(struct cpu *cpu)
{
	struct fpu *f = &fpus[cpu->id];
	uint32_t r[4];

	cpuid(1, 0, r);
	if (machine.emulator || machine.nested_tcg || !(r[2] >> 26 & 1))
		return;
	cpu->cr4 |= 1u << 18; /* OSXSAVE; control_turn() keeps it */
	__asm__ volatile("movq %0, %%cr4" : : "r"(cpu->cr4) : "memory");
	cpuid(0xd, 0, r);
	f->xcr0 = r[0] & XCR0_WANTED;
	if ((f->xcr0 & 0xe0) != 0xe0 || cpu->id) /* the second CPU has less, so that the two differ */
		f->xcr0 &= 7;
	__asm__ volatile("xsetbv" : : "a"((uint32_t)f->xcr0), "d"(0), "c"(0));
	for (unsigned i = 2; i < 8; i++) {
		if (!(f->xcr0 >> i & 1))
			continue;
		cpuid(0xd, i, r);
		if (r[1] + r[0] > AREA_SIZE)
			continue;
		f->parts[i].offset = r[1];
		f->parts[i].size = r[0];
	}
}

static void fill(uint8_t *to, size_t size, uint64_t seed)
{
	for (size_t i = 0; i < size; i += 8) {
		uint64_t word = abi_word(seed, i);

		memcpy(to + i, &word, 8);
	}
}

static void make_image(struct cpu *cpu)
{
	struct fpu *f = &fpus[cpu->id];
	uint64_t w = cpu->word;
	uint16_t control[4];

	memset(f->set, 0, HEADER_OFFSET + 64);
	/* control word: all exceptions masked, rounding, precision (1 is reserved); status: top of stack and conditions; tags:
	 * some */
	control[0] = (uint16_t)(0x7f | (w & 0xc00) | (w & 0x1000 ? 0x300 : 0x200));
	control[1] = (uint16_t)(w >> 16 & 0x7f00);
	control[2] = (uint16_t)(w >> 32 & 0xff);
	control[3] = 0;
	memcpy(f->set, control, 8);
	/* SSE control: all masked, rounding, flush to zero, exceptions that have been */
	*(uint32_t *)(void *)(f->set + 24) = 0x1f80 | (w >> 40 & 0xe03f);
	for (unsigned i = 0; i < 8; i++) {
		uint64_t mantissa = abi_word(w, 100 + i) | 1ull << 63;
		uint16_t exponent = (uint16_t)(0x3000 + abi_word(w, 200 + i) % 0x1fff);

		memcpy(f->set + 32 + 16 * i, &mantissa, 8);
		memcpy(f->set + 40 + 16 * i, &exponent, 2);
	}
	fill(f->set + XMM_OFFSET, 256, w);
	for (unsigned i = 2; i < 8; i++)
		fill(f->set + f->parts[i].offset, f->parts[i].size, w + i);
	memcpy(f->set + HEADER_OFFSET, &f->xcr0, 8);
}

static void load(struct fpu *f)
{
	uint32_t low = (uint32_t)f->xcr0;

	if (f->xcr0)
		__asm__ volatile("xrstorq (%0)" : : "r"(f->set), "a"(low), "d"(0) : "memory");
	else
		__asm__ volatile("fxrstorq (%0)" : : "r"(f->set) : "memory");
}

static void store(struct fpu *f)
{
	uint32_t low = (uint32_t)f->xcr0;

	if (f->xcr0)
		__asm__ volatile("xsaveq (%0)" : : "r"(f->now), "a"(low), "d"(0) : "memory");
	else
		__asm__ volatile("fxsaveq (%0)" : : "r"(f->now) : "memory");
}

/* XMM and MMX registers by plain moves. */
#define MOVE_XMM(n, op_load)                                                                            \
	do {                                                                                            \
		if (op_load)                                                                            \
			__asm__ volatile("movups (%0), %%xmm" #n : : "r"(area + 16 * n) : "memory");    \
		else                                                                                    \
			__asm__ volatile("movups %%xmm" #n ", (%0)" : : "r"(area + 16 * n) : "memory"); \
	} while (0)
#define MOVE_MMX(n, op_load)                                                                              \
	do {                                                                                              \
		if (op_load)                                                                              \
			__asm__ volatile("movq (%0), %%mm" #n : : "r"(area + 256 + 8 * n) : "memory");    \
		else                                                                                      \
			__asm__ volatile("movq %%mm" #n ", (%0)" : : "r"(area + 256 + 8 * n) : "memory"); \
	} while (0)

static void move(uint8_t *area, bool in)
{
	MOVE_XMM(0, in);
	MOVE_XMM(1, in);
	MOVE_XMM(2, in);
	MOVE_XMM(3, in);
	MOVE_XMM(4, in);
	MOVE_XMM(5, in);
	MOVE_XMM(6, in);
	MOVE_XMM(7, in);
	MOVE_XMM(8, in);
	MOVE_XMM(9, in);
	MOVE_XMM(10, in);
	MOVE_XMM(11, in);
	MOVE_XMM(12, in);
	MOVE_XMM(13, in);
	MOVE_XMM(14, in);
	MOVE_XMM(15, in);
	MOVE_MMX(0, in);
	MOVE_MMX(1, in);
	MOVE_MMX(2, in);
	MOVE_MMX(3, in);
	MOVE_MMX(4, in);
	MOVE_MMX(5, in);
	MOVE_MMX(6, in);
	MOVE_MMX(7, in);
}

static void compare(struct cpu *cpu, const char *what, size_t offset, size_t size)
{
	const struct fpu *f = &fpus[cpu->id];

	for (size_t i = 0; i < size; i += 8) {
		size_t part = size - i < 8 ? size - i : 8;
		uint64_t set = 0, now = 0;

		memcpy(&set, f->set + offset + i, part);
		memcpy(&now, f->now + offset + i, part);
		expect(cpu, what, set, now);
	}
}

static void check(struct cpu *cpu)
{
	static const char *const names[8] = { "", "", "ymm", "", "", "opmask", "zmm-high", "zmm16-31" };
	struct fpu *f = &fpus[cpu->id];

	compare(cpu, "fpu-control", 0, 2);
	compare(cpu, "fpu-status", 2, 2);
	compare(cpu, "fpu-tags", 4, 1);
	compare(cpu, "mxcsr", 24, 4);
	for (size_t i = 0; i < 8; i++)
		compare(cpu, "st", 32 + 16 * i, 10);
	compare(cpu, "xmm", XMM_OFFSET, 256);
	for (unsigned i = 2; i < 8; i++)
		compare(cpu, names[i], f->parts[i].offset, f->parts[i].size);
	if (!f->xcr0)
		return;
	compare(cpu, "xstate", HEADER_OFFSET, 8);
	expect(cpu, "xcr0", f->xcr0, xgetbv());
}

void fpu_begin(struct cpu *cpu)
{
	struct fpu *f = &fpus[cpu->id];

	write_cr0(cpu->cr0 & ~8ull);
	__asm__ volatile("fninit");
	probe(cpu);
	if (machine.emulator) {
		fill(f->set, 320, cpu->word);
		move(f->set, true);
	} else {
		make_image(cpu);
		load(f);
	}
	write_cr0(cpu->cr0);
}

void fpu_turn(struct cpu *cpu)
{
	struct fpu *f = &fpus[cpu->id];

	write_cr0(cpu->cr0 & ~8ull); /* TS */
	if (machine.emulator) {
		move(f->now, false);
		compare(cpu, "xmm", 0, 256);
		compare(cpu, "mm", 256, 64);
		fill(f->set, 320, cpu->word);
		move(f->set, true);
	} else {
		store(f);
		check(cpu);
		make_image(cpu);
		load(f);
	}
	write_cr0(cpu->cr0);
}
