// SPDX-License-Identifier: LGPL-2.1-or-later
/* Interrupts, where the machine can deliver them: one that stays in service for ever, and in the mode with interrupts timers
 * that are counted on both CPUs, a CPU that halts, NMIs of which one waits for the other, and a PIT by way of the I/O APIC. */
#include "bare.h"

#define NMI 2u
#define HELD_VECTOR 0x33u /* in service from the beginning on */
#define DOOR_FIRST 0x90u  /* doorbells of test-vmm */
#define DOOR_LAST 0x9fu
#define PIT_VECTOR 0xd0u
#define TIMER_VECTOR 0xe0u
#define TIMER_HZ 50u
#define PIT_IRQ_HZ 20u
#define COMMAND_NMI 0x400u
#define PATIENCE_S 60u

struct __attribute__((packed)) gate {
	uint16_t low, selector;
	uint8_t stack, type;
	uint16_t middle;
	uint32_t high, zero;
};

static struct gate gates[256] __attribute__((aligned(16)));
static volatile uint64_t held[ABI_MAX_CPUS], pit_irqs;
static uint64_t nmis_sent, begin_tsc[ABI_MAX_CPUS];
static volatile bool nmi_again;
static struct watch {
	uint64_t count, tsc;
	unsigned turns;
} watches[ABI_MAX_CPUS];

static void end_of_interrupt(void)
{
	write32(LAPIC + 0xb0, 0);
}

static struct cpu *interrupted(void)
{
	return &cpus[machine.lapic ? read32(LAPIC + 0x20) >> 24 & 1 : 0];
}

void trap_handle(uint64_t vector, uint64_t rip, uint64_t error)
{
	struct cpu *cpu = interrupted();

	if (vector == NMI) {
		cpu->nmis++;
		if (nmi_again) { /* comes only when this handler has ended: until then it is pending */
			nmi_again = false;
			lapic_send(cpu->apic_id, COMMAND_NMI);
		}
		for (unsigned i = 0; i < machine.loops; i++)
			relax();
	} else if (vector < 32) {
		console_bad(cpu->id, "exception", vector << 32 | (error & 0xffffffff), rip);
		for (;;)
			__asm__ volatile("cli; hlt");
	} else if (vector == HELD_VECTOR) {
		held[cpu->id]++; /* and no end of interrupt */
	} else if (vector >= DOOR_FIRST && vector <= DOOR_LAST) {
		cpu->door_irqs++;
		end_of_interrupt();
	} else if (vector == TIMER_VECTOR) {
		cpu->timer_irqs++;
		end_of_interrupt();
	} else if (vector == PIT_VECTOR) {
		pit_irqs++;
		end_of_interrupt();
	} else if (vector < 0xf0) { /* from there on spurious ones */
		console_bad(cpu->id, "interrupt", 0, vector);
	}
}

static void set_gates(void)
{
	struct __attribute__((packed)) {
		uint16_t limit;
		uint64_t base;
	} idt = { sizeof(gates) - 1, (uint64_t)gates };

	for (unsigned i = 0; i < 256 && !gates[i].type; i++) { /* the second CPU finds them made */
		uint64_t to = (uint64_t)hold_vectors + 16 * i;

		gates[i] = (struct gate){ (uint16_t)to, 8, 0, 0x8e, (uint16_t)(to >> 16), (uint32_t)(to >> 32), 0 };
	}
	__asm__ volatile("lidt %0" : : "m"(idt));
}

/* Called once the local APIC is on, with interrupts off. */
void trap_begin(struct cpu *cpu)
{
	struct patience p = { 0 };
	uint32_t priority;

	if (machine.emulator)
		return;
	set_gates();
	if (!machine.lapic)
		return;
	priority = read32(LAPIC + 0x80);
	write32(LAPIC + 0x80, 0);
	held[cpu->id] = 0;
	lapic_send(cpu->apic_id, HELD_VECTOR);
	while (!held[cpu->id] && !patience_lost(&p))
		__asm__ volatile("sti; nop; nop; cli" : : : "memory");
	write32(LAPIC + 0x80, priority);
	expect(cpu, "interrupt-held", 1, held[cpu->id]);
	cpu->isr[HELD_VECTOR / 32] |= 1u << HELD_VECTOR % 32;
	if (!machine.irq)
		return;
	begin_tsc[cpu->id] = rdtsc();
	write32(LAPIC + 0x3e0, 0xb); /* by 1 */
	write32(LAPIC + 0x320, 0x20000 | TIMER_VECTOR);
	write32(LAPIC + 0x380, 1000000000u / TIMER_HZ);
	if (!cpu->id && machine.pic) {
		write32(IOAPIC, 0x15);
		write32(IOAPIC + 0x10, cpu->apic_id << 24);
		write32(IOAPIC, 0x14);
		write32(IOAPIC + 0x10, PIT_VECTOR);
	}
}

/* There may be fewer than time has passed, as some are lost when a CPU is away for long, but never more. */
static void check_rate(struct cpu *cpu, const char *what, uint64_t count, unsigned hz)
{
	uint64_t passed = (rdtsc() - begin_tsc[cpu->id]) / machine.tsc_khz * hz / 1000;

	if (count > passed + passed / 16 + 2 * hz)
		console_bad(cpu->id, what, passed, count);
}

/* By the other CPU, too: one that halts cannot say itself that nothing wakes it. */
static void check_progress(struct cpu *cpu, unsigned of)
{
	struct watch *w = &watches[cpu->id];

	if (cpus[of].timer_irqs != w->count) {
		w->count = cpus[of].timer_irqs;
		w->tsc = rdtsc();
		w->turns = 0;
	} else if (++w->turns > 1000 && rdtsc() - w->tsc > PATIENCE_S * 1000ull * machine.tsc_khz) {
		console_bad(of, "timer-stands", w->count, rdtsc() - w->tsc);
	}
}

static void check_nmis(struct cpu *cpu)
{
	static struct patience p;
	uint64_t got = cpus[1].nmis;

	if (got > nmis_sent)
		console_bad(1, "nmi-count", nmis_sent, got);
	if (got < nmis_sent) {
		if (patience_lost(&p))
			console_bad(1, "nmi-lost", nmis_sent, got);
		return;
	}
	p = (struct patience){ 0 };
	nmis_sent += 2;
	nmi_again = true;
	lapic_send(cpus[1].apic_id, COMMAND_NMI);
	(void)cpu;
}

void trap_turn(struct cpu *cpu)
{
	if (!machine.irq)
		return;
	check_rate(cpu, "timer-rate", cpu->timer_irqs, TIMER_HZ);
	check_progress(cpu, machine.ap == AP_RUNS ? !cpu->id : 0);
	if (!cpu->id) {
		check_rate(cpu, "pit-rate", pit_irqs, PIT_IRQ_HZ);
		if (machine.ap == AP_RUNS && cpus[1].turn)
			check_nmis(cpu);
	}
	if (cpu->id)
		__asm__ volatile("hlt" : : : "memory");
}
