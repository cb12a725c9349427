// SPDX-License-Identifier: LGPL-2.1-or-later
/* General registers, flags, segment registers with their hidden bases, and the descriptor tables. The registers of a CPU hold
 * values of this CPU and turn for the time of a delay loop, which is where most checkpoints find it. */
#include "bare.h"

#define FLAGS_ALWAYS 2u
#define FLAGS_IF (1u << 9)
#define FLAGS_HELD 0x243cd5u /* ID AC IOPL OF DF SF ZF AF PF CF */
#define MSR_FS_BASE 0xc0000100u
#define MSR_GS_BASE 0xc0000101u

static struct hold holds[ABI_MAX_CPUS];
static uint8_t tss[ABI_MAX_CPUS][104] __attribute__((aligned(128)));
static uint64_t ldt[4];
static struct segments {
	uint16_t ds, es, fs, gs, ss, cs, tr, ldt;
	uint64_t fs_base, gs_base;
} segments[ABI_MAX_CPUS];
static uint64_t words[ABI_MAX_CPUS][32]; /* each holds its own address: the bases point to them */

struct __attribute__((packed)) table {
	uint16_t limit;
	uint64_t base;
};

static void set_system_descriptor(unsigned selector, uint64_t base, uint32_t limit, unsigned type)
{
	boot_gdt[selector / 8] = (limit & 0xffff) | (base & 0xffffff) << 16 | (uint64_t)type << 40 | (base >> 24 & 0xff) << 56;
	boot_gdt[selector / 8 + 1] = base >> 32;
}

static void read_segments(struct segments *s)
{
	__asm__ volatile("movw %%ds, %0" : "=r"(s->ds));
	__asm__ volatile("movw %%es, %0" : "=r"(s->es));
	__asm__ volatile("movw %%fs, %0" : "=r"(s->fs));
	__asm__ volatile("movw %%gs, %0" : "=r"(s->gs));
	__asm__ volatile("movw %%ss, %0" : "=r"(s->ss));
	__asm__ volatile("movw %%cs, %0" : "=r"(s->cs));
	__asm__ volatile("movq %%fs:0, %0" : "=r"(s->fs_base)); /* by the hidden base */
	__asm__ volatile("movq %%gs:0, %0" : "=r"(s->gs_base));
}

/* New selectors and bases. Only their low part comes with the selector; the whole base is in a model-specific register. */
static void set_segments(struct cpu *cpu)
{
	struct segments *s = &segments[cpu->id];
	uint64_t w = cpu->word;

	s->ds = (uint16_t)(0x50 + (w & 3) * 8);
	s->es = (uint16_t)(0x50 + (w >> 2 & 3) * 8);
	s->fs = (uint16_t)(0x50 + (w >> 4 & 3) * 8 + (w >> 6 & 3)); /* with a requested privilege level */
	s->gs = w >> 8 & 1 ? 0 : (uint16_t)(0x50 + (w >> 9 & 3) * 8);
	if ((boot_gdt[s->fs / 8] >> 45 & 3) == 0) /* the descriptor's level allows no other */
		s->fs &= 0xfff8;
	s->fs_base = (uint64_t)&words[cpu->id][w >> 16 & 31];
	s->gs_base = (uint64_t)&words[cpu->id][w >> 24 & 31];
	__asm__ volatile("movw %0, %%ds" : : "r"(s->ds) : "memory");
	__asm__ volatile("movw %0, %%es" : : "r"(s->es) : "memory");
	__asm__ volatile("movw %0, %%fs" : : "r"(s->fs) : "memory");
	__asm__ volatile("movw %0, %%gs" : : "r"(s->gs) : "memory");
	wrmsr(MSR_FS_BASE, s->fs_base);
	wrmsr(MSR_GS_BASE, s->gs_base);
}

static void check_segments(struct cpu *cpu)
{
	const struct segments *s = &segments[cpu->id];
	struct segments now;

	read_segments(&now);
	expect(cpu, "ds", s->ds, now.ds);
	expect(cpu, "es", s->es, now.es);
	expect(cpu, "fs", s->fs, now.fs);
	expect(cpu, "gs", s->gs, now.gs);
	expect(cpu, "ss", s->ss, now.ss);
	expect(cpu, "cs", s->cs, now.cs);
	expect(cpu, "fs-base", s->fs_base, now.fs_base);
	expect(cpu, "gs-base", s->gs_base, now.gs_base);
	expect(cpu, "fs-base-msr", s->fs_base, rdmsr(MSR_FS_BASE));
	expect(cpu, "gs-base-msr", s->gs_base, rdmsr(MSR_GS_BASE));
}

static void check_tables(struct cpu *cpu)
{
	struct table gdt, idt;
	uint16_t tr, ldtr;

	__asm__ volatile("sgdt %0" : "=m"(gdt));
	expect(cpu, "gdt-base", (uint64_t)boot_gdt, gdt.base);
	expect(cpu, "gdt-limit", (uint64_t)boot_gdt_end - (uint64_t)boot_gdt - 1, gdt.limit);
	if (machine.emulator) { /* not all of these can be emulated */
		__asm__ volatile("sidt %0" : "=m"(idt));
		expect(cpu, "idt-base", 0x123456700ull + cpu->id * 0x1000, idt.base);
		expect(cpu, "idt-limit", 0x7f7 + cpu->id * 8, idt.limit);
		return;
	}
	__asm__ volatile("str %0" : "=r"(tr));
	__asm__ volatile("sldt %0" : "=r"(ldtr));
	expect(cpu, "tr", 0x20 + cpu->id * 0x10, tr);
	expect(cpu, "ldt", 0x40, ldtr);
}

void registers_begin(struct cpu *cpu)
{
	unsigned selector = 0x20 + cpu->id * 0x10;
	struct table idt = { .limit = (uint16_t)(0x7f7 + cpu->id * 8), .base = 0x123456700ull + cpu->id * 0x1000 };

	for (unsigned i = 0; i < 32; i++)
		words[cpu->id][i] = (uint64_t)&words[cpu->id][i];
	set_system_descriptor(selector, (uint64_t)tss[cpu->id], 103, 0x89);
	if (!cpu->id)
		set_system_descriptor(0x40, (uint64_t)ldt, 31, 0x82);
	__asm__ volatile("ltr %0" : : "r"((uint16_t)selector));
	__asm__ volatile("lldt %0" : : "r"((uint16_t)0x40));
	if (machine.emulator)
		__asm__ volatile("lidt %0" : : "m"(idt));
	read_segments(&segments[cpu->id]);
	set_segments(cpu);
}

void registers_turn(struct cpu *cpu)
{
	static const char *const names[14] = {
		"rax", "rbx", "rdx", "rsi", "rdi", "rbp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
	};
	struct hold *h = &holds[cpu->id];

	check_segments(cpu);
	set_segments(cpu);
	check_tables(cpu);
	for (unsigned i = 0; i < 14; i++)
		h->in[i] = abi_word(cpu->word, i);
	h->loops = machine.loops + (cpu->word & 0xff);
	h->flags = (cpu->word & FLAGS_HELD) | FLAGS_ALWAYS | (cpu->irq ? FLAGS_IF : 0);
	hold_registers(h);
	for (unsigned i = 0; i < 14; i++)
		expect(cpu, names[i], h->in[i], h->out[i]);
	expect(cpu, "rcx", 0, h->rcx);
	expect(cpu, "rflags", h->flags, h->flags_out);
}
