/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The bare-metal test guest: two CPUs that fill all state a processor and a PC have with odd values, and look on every turn
 * whether it is all still there. It runs on test-vmm and on QEMU, with hardware virtualisation, emulation, or KVM's instruction
 * emulator. */

/*
 * Lines on port 0xE9:
 *   TICK <nonce> <cpu> <n> <ms>            as tests/guest/ticker.c has them; the nonce lives in this memory only
 *   BAD <what> <cpu> <expected> <got>      in hexadecimal
 *
 * The guest is stopped, copied and started again at any instruction, and may be out of the processor for long. So no check
 * takes two readings to be close in time: it measures with the TSC how close they were, or holds whatever lies between.
 *
 * KVM's instruction emulator (with the word `emulator`): no interrupts and exceptions, no IRET, no x87 and SSE but moves, no
 * RDRAND, RDTSCP, XSAVE and fences. What is not under machine.emulator keeps to the rest.
 *
 * KVM on QEMU's emulation of SVM (with the word `nested-tcg`): QEMU 7.2 ends with an assertion or a segmentation fault when the
 * nested guest writes CR8 with an interrupt pending or turns on watchpoints, and lets its XSETBV through to the host.
 */
#ifndef BARE_H
#define BARE_H

#include "../abi.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LAPIC 0xfee00000u
#define IOAPIC 0xfec00000u

enum ap_mode { AP_RUNS, AP_NONE, AP_INIT };

struct machine {
	bool vmm;        /* test-vmm, not QEMU */
	bool emulator;   /* see above */
	bool nested_tcg; /* see above */
	bool irq;        /* interrupts are on and counted, a CPU halts */
	bool bench;
	bool lapic, pic, coalesced_pio, readonly, kvmclock;
	bool tsc_stands; /* now and then, while a CPU is away: KVM says that the host's TSC is not stable */
	enum ap_mode ap;
	unsigned period_ms, loops;
	uint32_t tsc_khz;
	uint64_t nonce, start_tsc;
};

struct cpu {
	uint32_t id, apic_id;
	bool irq;                        /* machine.irq, and not the CPU that is reset all the time */
	uint64_t turn, word;             /* word: a random one of this turn */
	uint64_t cr0, cr4;               /* as they should be; the FPU checks take TS away for a while */
	uint32_t irr[8], isr[8];         /* of the local APIC, as they should be */
	uint64_t rung, rung_with_vector; /* doorbells */
	uint64_t n_ticks, next_tick_ms;
	volatile uint64_t timer_irqs, door_irqs, nmis, other_irqs;
};

extern struct machine machine;
extern struct cpu cpus[ABI_MAX_CPUS];

/* main.c */
void cpu_delay(unsigned us);
void *memset(void *to, int byte, size_t size);
void *memcpy(void *to, const void *from, size_t size);

/* console.c */
void console_tick(unsigned cpu, uint64_t n, uint64_t ms);
void console_bad(unsigned cpu, const char *what, uint64_t expected, uint64_t got);
void console_flush(void); /* what a CPU could not say itself */
#define expect(cpu, what, expected, got)                                       \
	do {                                                                   \
		uint64_t want_ = (uint64_t)(expected), got_ = (uint64_t)(got); \
		if (want_ != got_)                                             \
			console_bad((cpu)->id, what, want_, got_);             \
	} while (0)

/* boot.S, hold.S */
extern uint64_t boot_gdt[], boot_gdt_end[], boot_pml4[];
extern uint32_t boot_info;
extern const uint8_t boot_trampoline[], boot_trampoline_end[], hold_vectors[];
struct hold {
	uint64_t loops, flags, in[14], rcx, flags_out, out[14];
};
void hold_registers(struct hold *hold);

/* The checks: begin() sets the first values, turn() looks for the old and sets new ones. */
void registers_begin(struct cpu *cpu);
void registers_turn(struct cpu *cpu);
void control_begin(struct cpu *cpu);
void control_turn(struct cpu *cpu);
void fpu_begin(struct cpu *cpu);
void fpu_turn(struct cpu *cpu);
void msr_begin(struct cpu *cpu);
void msr_turn(struct cpu *cpu);
void lapic_begin(struct cpu *cpu);
void lapic_turn(struct cpu *cpu);
void legacy_begin(struct cpu *cpu);
void legacy_turn(struct cpu *cpu);
void pit_begin(void);
void pit_turn(struct cpu *cpu);
void clock_begin(struct cpu *cpu);
void clock_turn(struct cpu *cpu);
void memory_begin(struct cpu *cpu);
void memory_turn(struct cpu *cpu);
void devices_turn(struct cpu *cpu);
void doorbell_turn(struct cpu *cpu);
void qemu_begin(struct cpu *cpu);
void qemu_turn(struct cpu *cpu);
void trap_begin(struct cpu *cpu);
void trap_turn(struct cpu *cpu);
void trap_handle(uint64_t vector, uint64_t rip, uint64_t error);

uint32_t pit_measure_tsc(void); /* kHz */
uint64_t clock_ms(void);
bool pic_poll(uint8_t *ret_line); /* acknowledges; false: there was none */
void lapic_send(uint32_t apic_id, uint32_t command);
bool lapic_pending(unsigned vector);

/* A wait that must come to an end: BAD when it has lasted for a minute and many turns beyond, so that a pause is no failure. */
struct patience {
	uint64_t begin;
	unsigned beyond;
};
bool patience_lost(struct patience *p);

static inline void outb(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline void outl(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline uint8_t inb(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

static inline uint32_t inl(uint16_t port)
{
	uint32_t value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port) : "memory");
	return value;
}

/* MMIO by plain MOV with the value in a register, which is what a VMM's emulator expects. */
static inline uint32_t read32(uint64_t address)
{
	uint32_t value;

	__asm__ volatile("movl (%1), %0" : "=r"(value) : "r"(address) : "memory");
	return value;
}

static inline void write32(uint64_t address, uint32_t value)
{
	__asm__ volatile("movl %0, (%1)" : : "r"(value), "r"(address) : "memory");
}

static inline uint64_t read64(uint64_t address)
{
	uint64_t value;

	__asm__ volatile("movq (%1), %0" : "=r"(value) : "r"(address) : "memory");
	return value;
}

static inline void write64(uint64_t address, uint64_t value)
{
	__asm__ volatile("movq %0, (%1)" : : "r"(value), "r"(address) : "memory");
}

static inline uint64_t rdmsr(uint32_t msr)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr) : "memory");
	return low | (uint64_t)high << 32;
}

static inline void wrmsr(uint32_t msr, uint64_t value)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)) : "memory");
}

static inline uint64_t rdtsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return low | (uint64_t)high << 32;
}

static inline void cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	__asm__ volatile("cpuid" : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3]) : "a"(leaf), "c"(subleaf));
}

static inline void relax(void)
{
	__asm__ volatile("pause" : : : "memory");
}

#endif
