// SPDX-License-Identifier: LGPL-2.1-or-later
/* Control registers and debug registers: values of this CPU and turn in every bit that has no effect here. CR3 goes to and fro
 * between two equal page tables. */
#include "bare.h"

#define CR0_MP (1u << 1)
#define CR0_TS (1u << 3)
#define CR0_WP (1u << 16)
#define CR0_AM (1u << 18)
#define CR4_TOGGLE 0x1ccu /* TSD, DE, MCE, PGE, PCE: none of them matters to this guest, which has only privilege level 0 */
#define CR3_TOGGLE 0x18u  /* PWT, PCD: caching of the page table */

#define READ_REGISTER(name, value) __asm__ volatile("movq %%" name ", %0" : "=r"(value) : : "memory")
#define WRITE_REGISTER(name, value) __asm__ volatile("movq %0, %%" name : : "r"((uint64_t)(value)) : "memory")

static struct control {
	uint64_t cr2, cr3, cr8, dr[4], dr6, dr7;
} controls[ABI_MAX_CPUS];
static uint8_t watched[4096] __attribute__((aligned(4096))); /* nobody ever touches it */

static void set_control(struct cpu *cpu)
{
	struct control *c = &controls[cpu->id];
	uint64_t w = cpu->word;

	cpu->cr0 = (cpu->cr0 & ~(uint64_t)(CR0_MP | CR0_TS | CR0_WP | CR0_AM)) | (w & (CR0_MP | CR0_WP | CR0_AM)) |
	           (machine.emulator ? 0 : w & CR0_TS);
	cpu->cr4 = (cpu->cr4 & ~(uint64_t)CR4_TOGGLE) | (w >> 20 & CR4_TOGGLE);
	c->cr2 = w * 0x9e3779b97f4a7c15u;
	c->cr3 = (uint64_t)boot_pml4 + (w >> 32 & 1) * 4096 + (w >> 33 & CR3_TOGGLE);
	/* A higher task priority would keep interrupts away; those on purpose in service or pending are of class 3. */
	c->cr8 = w >> 40 & (machine.irq ? 7 : 15);
	WRITE_REGISTER("cr0", cpu->cr0);
	WRITE_REGISTER("cr2", c->cr2);
	WRITE_REGISTER("cr3", c->cr3);
	WRITE_REGISTER("cr4", cpu->cr4);
	if (machine.nested_tcg && machine.lapic)
		write32(LAPIC + 0x80, (uint32_t)c->cr8 << 4);
	else
		WRITE_REGISTER("cr8", c->cr8);
}

/* DR0 watches a page that is never written; the others are off but have addresses, conditions and lengths. */
static void set_debug(struct cpu *cpu)
{
	struct control *c = &controls[cpu->id];
	uint64_t w = abi_word(cpu->word, 1);

	c->dr[0] = (uint64_t)watched + (w & 0xff8);
	c->dr[1] = 0xffff800000000000u | w >> 20;
	c->dr[2] = w >> 21;
	c->dr[3] = w >> 30;
	c->dr6 = 0xffff0ff0u | (w >> 8 & 15) | (w >> 12 & 1) << 14;
	/* length and condition of each: any but input and output (2), which needs CR4.DE; DR0: 8 bytes, writes */
	c->dr7 = 0x400u | 0x90000u | (w & 0x300);
	for (unsigned i = 1; i < 4; i++)
		c->dr7 |= (w >> (40 + 4 * i) & 0xdu) << (16 + 4 * i);
	if (!machine.emulator && !machine.nested_tcg)
		c->dr7 |= 1u + (w >> 60 & 1);
	WRITE_REGISTER("dr7", 0x400);
	WRITE_REGISTER("dr0", c->dr[0]);
	WRITE_REGISTER("dr1", c->dr[1]);
	WRITE_REGISTER("dr2", c->dr[2]);
	WRITE_REGISTER("dr3", c->dr[3]);
	WRITE_REGISTER("dr6", c->dr6);
	WRITE_REGISTER("dr7", c->dr7);
}

static void check_control(struct cpu *cpu)
{
	const struct control *c = &controls[cpu->id];
	uint64_t value;

	READ_REGISTER("cr0", value);
	expect(cpu, "cr0", cpu->cr0, value);
	READ_REGISTER("cr2", value);
	expect(cpu, "cr2", c->cr2, value);
	READ_REGISTER("cr3", value);
	expect(cpu, "cr3", c->cr3, value);
	READ_REGISTER("cr4", value);
	expect(cpu, "cr4", cpu->cr4, value);
	READ_REGISTER("cr8", value);
	expect(cpu, "cr8", c->cr8, value);
	if (machine.lapic)
		expect(cpu, "tpr", c->cr8 << 4, read32(LAPIC + 0x80));
	READ_REGISTER("dr0", value);
	expect(cpu, "dr0", c->dr[0], value);
	READ_REGISTER("dr1", value);
	expect(cpu, "dr1", c->dr[1], value);
	READ_REGISTER("dr2", value);
	expect(cpu, "dr2", c->dr[2], value);
	READ_REGISTER("dr3", value);
	expect(cpu, "dr3", c->dr[3], value);
	READ_REGISTER("dr6", value);
	expect(cpu, "dr6", c->dr6, value | 0x800); /* bit 11: bus locks, where there are such traps */
	READ_REGISTER("dr7", value);
	expect(cpu, "dr7", c->dr7, value);
}

void control_begin(struct cpu *cpu)
{
	READ_REGISTER("cr0", cpu->cr0);
	READ_REGISTER("cr4", cpu->cr4);
	set_control(cpu);
	set_debug(cpu);
}

void control_turn(struct cpu *cpu)
{
	check_control(cpu);
	set_control(cpu);
	set_debug(cpu);
}
