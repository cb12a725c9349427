// SPDX-License-Identifier: LGPL-2.1-or-later
/* The I/O APIC and the two interrupt controllers of the PC, which the first CPU owns: odd entries, odd masks, and an
 * initialisation of the second controller that is half done on most turns. */
#include "bare.h"

#define PIC1 0x20u
#define PIC2 0xa0u
#define ELCR 0x4d0u
#define N_ENTRIES 24u

static uint64_t entries[N_ENTRIES];
static uint32_t ioapic_id;
static uint8_t mask1, mask2, vectors2;
static unsigned phase2;
static uint16_t levels;

static uint32_t ioapic_read(uint32_t index)
{
	write32(IOAPIC, index);
	return read32(IOAPIC + 0x10);
}

static void ioapic_write(uint32_t index, uint32_t value)
{
	write32(IOAPIC, index);
	write32(IOAPIC + 0x10, value);
}

/* Masked, so the rest has no effect; but KVM takes the end of any interrupt with the vector of an entry for the end of that line's, masked or
 * not, and pulls down a level that an irqfd holds (kvm_ioapic_update_eoi() in arch/x86/kvm/ioapic.c): that line has a vector which nobody
 * uses. Entry 2 is the timer's in the mode with interrupts. */
static void set_entry(struct cpu *cpu, unsigned i)
{
	uint64_t w = abi_word(cpu->word, 500 + i);

	if (machine.irq && i == 2)
		return;
	entries[i] = (w & 0xff00000000000000u) | 0x10000 | (w & 0xafff & ~0x1000ull);
	if (i == ABI_IRQ_LEVEL)
		entries[i] = (entries[i] & ~0xffull) | 0xfd;
	ioapic_write(0x10 + 2 * i, (uint32_t)entries[i]);
	ioapic_write(0x11 + 2 * i, (uint32_t)(entries[i] >> 32));
}

static void check_entry(struct cpu *cpu, unsigned i)
{
	uint32_t low = ioapic_read(0x10 + 2 * i), high = ioapic_read(0x11 + 2 * i);

	if (machine.irq && i == 2)
		return;
	expect(cpu, "ioapic-entry-low", (uint32_t)entries[i], low & ~0x5000u);
	expect(cpu, "ioapic-entry-high", entries[i] >> 32, high);
}

/* Line 0 has the PIT, 2 the second controller; test-vmm's two lines are asked for by poll. */
static void set_mask1(struct cpu *cpu)
{
	mask1 = (uint8_t)(cpu->word >> 4) | 0x85;
	if (machine.vmm)
		mask1 &= (uint8_t) ~(1u << ABI_IRQ_LINE | 1u << ABI_IRQ_LEVEL);
	outb(PIC1 + 1, mask1);
}

static void check_pic1(struct cpu *cpu)
{
	expect(cpu, "pic1-mask", mask1, inb(PIC1 + 1));
	expect(cpu, "pic1-in-service", 0, inb(PIC1)); /* that register was selected long ago */
	if (machine.vmm)
		expect(cpu, "pic-levels", levels, inb(ELCR) | inb(ELCR + 1) << 8);
	set_mask1(cpu);
	if (machine.vmm) {
		levels = (uint16_t)(1u << ABI_IRQ_LEVEL | (cpu->word >> 16 & 0xde18));
		outb(ELCR, (uint8_t)levels);
		outb(ELCR + 1, (uint8_t)(levels >> 8));
	}
}

/* ICW1 on one turn, ICW2 on the next and so on. Had the second controller forgotten that it waits for one of them, it would
 * take it for a mask. */
static void turn_pic2(struct cpu *cpu)
{
	expect(cpu, "pic2-mask", mask2, inb(PIC2 + 1));
	switch (phase2++ % 6) {
	case 0:
		outb(PIC2, 0x11);
		mask2 = 0;
		break;
	case 1:
		vectors2 = (uint8_t)((cpu->word & 0x78) | 0x80);
		outb(PIC2 + 1, vectors2);
		break;
	case 2:
		outb(PIC2 + 1, 2);
		break;
	case 3:
		outb(PIC2 + 1, 1);
		break;
	case 4:
		mask2 = (uint8_t)(cpu->word >> 24) | 1;
		outb(PIC2 + 1, mask2);
		break;
	}
}

/* KVM says 7 when there is nothing, and has no bit that says otherwise (pic_poll_read() in arch/x86/kvm/i8259.c). */
bool pic_poll(uint8_t *ret_line)
{
	outb(PIC1, 0x0c); /* OCW3, poll: the next read acknowledges */
	*ret_line = inb(PIC1) & 7;
	return *ret_line != 7;
}

void legacy_begin(struct cpu *cpu)
{
	if (!machine.pic || cpu->id)
		return;
	outb(PIC1, 0x11);
	outb(PIC1 + 1, 0x20);
	outb(PIC1 + 1, 4);
	outb(PIC1 + 1, 1);
	outb(PIC2 + 1, 0);
	outb(PIC2, 0x11);
	outb(PIC2 + 1, 0x28);
	outb(PIC2 + 1, 2);
	outb(PIC2 + 1, 1);
	outb(PIC2 + 1, mask2 = 0x55);
	outb(PIC1, 0x0b); /* OCW3: from now on reads show what is in service */
	set_mask1(cpu);
	levels = 1u << ABI_IRQ_LEVEL;
	if (machine.vmm) {
		outb(ELCR, (uint8_t)levels);
		outb(ELCR + 1, 0);
	}
	ioapic_id = (uint32_t)(cpu->word & 0xf) << 24;
	ioapic_write(0, ioapic_id);
	for (unsigned i = 0; i < N_ENTRIES; i++)
		set_entry(cpu, i);
	pit_begin();
}

void legacy_turn(struct cpu *cpu)
{
	unsigned i = (unsigned)(cpu->turn % N_ENTRIES);

	if (!machine.pic || cpu->id)
		return;
	expect(cpu, "ioapic-id", ioapic_id, ioapic_read(0));
	check_entry(cpu, i);
	check_entry(cpu, (i + N_ENTRIES / 2) % N_ENTRIES);
	set_entry(cpu, i);
	check_pic1(cpu);
	turn_pic2(cpu);
	pit_turn(cpu);
}
