// SPDX-License-Identifier: LGPL-2.1-or-later
/* The devices of test-vmm, seen from the guest: strings, slow reads in two parts, coalesced writes, slots that are read-only,
 * moving and logged, and doorbells with their answers. Each has a running number on both sides. */
#include "bare.h"

#define N_LOGGED 8u /* so many pages are asked for later than written */

static struct device {
	uint64_t out, in, slow_reads, slow_writes, zone_mmio, zone_pio, readonly, window;
	uint64_t window_offset;
	uint32_t logged[N_LOGGED];
	uint64_t logged_words[N_LOGGED];
	uint64_t n_logged;
	uint8_t buffer[2][4096];
	uint32_t vector; /* of the next doorbell */
} devices[ABI_MAX_CPUS];

static void check_strings(struct cpu *cpu)
{
	struct device *d = &devices[cpu->id];
	uint16_t port = (uint16_t)(ABI_PORTS(cpu->id) + ABI_STRING);
	size_t size = 16 + cpu->word % 240, left = size;
	uint8_t *at = d->buffer[0];

	for (size_t i = 0; i < size; i++)
		d->buffer[0][i] = abi_byte(cpu->id, 0, d->out++);
	__asm__ volatile("rep outsb" : "+S"(at), "+c"(left) : "d"(port) : "memory");
	expect(cpu, "outs-rsi", (uint64_t)(d->buffer[0] + size), (uint64_t)at);
	expect(cpu, "outs-rcx", 0, left);

	size = left = 1 + cpu->word % 3000;
	at = d->buffer[1];
	__asm__ volatile("rep insb" : "+D"(at), "+c"(left) : "d"(port) : "memory");
	expect(cpu, "ins-rdi", (uint64_t)(d->buffer[1] + size), (uint64_t)at);
	expect(cpu, "ins-rcx", 0, left);
	for (size_t i = 0; i < size; i++, d->in++) {
		if (d->buffer[1][i] == abi_byte(cpu->id, 1, d->in))
			continue;
		console_bad(cpu->id, "ins-byte", abi_byte(cpu->id, 1, d->in), d->buffer[1][i]);
		break;
	}
}

/* Eight bytes across a page boundary: two exits with a number each; inside a page: one. */
static void check_slow(struct cpu *cpu)
{
	struct device *d = &devices[cpu->id];
	uint64_t base = ABI_SLOW(cpu->id), at = base + 0xff9 + cpu->turn % 7, want[2], got;
	unsigned first = (unsigned)(base + 0x1000 - at);

	got = read64(at);
	want[0] = abi_word(at, d->slow_reads++) & ((1ull << first * 8) - 1);
	want[1] = abi_word(base + 0x1000, d->slow_reads++) << first * 8;
	expect(cpu, "slow-read-split", want[0] | want[1], got);
	at = base + (cpu->word & 0x1ff8);
	expect(cpu, "slow-read", abi_word(at, d->slow_reads), read64(at));
	d->slow_reads++;
	write32(at, (uint32_t)abi_word(at, d->slow_writes++));
}

static void check_zones(struct cpu *cpu)
{
	struct device *d = &devices[cpu->id];
	uint16_t ports = (uint16_t)ABI_PORTS(cpu->id);

	for (unsigned i = 0; i < 1 + (cpu->word & 31); i++) {
		uint64_t at = ABI_ZONE(cpu->id) + abi_zone_place(d->zone_mmio), value = abi_word(d->zone_mmio, cpu->id);

		switch (abi_zone_length(d->zone_mmio++)) {
		case 1:
			__asm__ volatile("movb %0, (%1)" : : "q"((uint8_t)value), "r"(at) : "memory");
			break;
		case 2:
			__asm__ volatile("movw %0, (%1)" : : "r"((uint16_t)value), "r"(at) : "memory");
			break;
		case 4:
			write32(at, (uint32_t)value);
			break;
		case 8:
			write64(at, value);
			break;
		}
		if (machine.coalesced_pio && (i & 1))
			outl((uint16_t)(ports + ABI_PIO_ZONE), (uint32_t)++d->zone_pio);
	}
	if (cpu->turn % 4) /* otherwise they stay in the ring for a while */
		return;
	expect(cpu, "coalesced-mmio", (uint32_t)d->zone_mmio, inl((uint16_t)(ports + ABI_COALESCED_MMIO)));
	expect(cpu, "coalesced-pio", (uint32_t)d->zone_pio, inl((uint16_t)(ports + ABI_COALESCED_PIO)));
}

static void check_slots(struct cpu *cpu)
{
	struct device *d = &devices[cpu->id];
	uint16_t ports = (uint16_t)ABI_PORTS(cpu->id);
	uint64_t offset = cpu->id * 0x8000 + (cpu->word & 0x7ff8), index = cpu->word % (ABI_READONLY_SIZE / 8);
	uint64_t slot = d->n_logged % N_LOGGED;
	uint32_t page;

	if (machine.readonly) {
		expect(cpu, "readonly", abi_word(ABI_READONLY, index), read64(ABI_READONLY + 8 * index));
		write64(ABI_READONLY + 8 * index, ++d->readonly);
		expect(cpu, "readonly-count", (uint32_t)d->readonly, inl((uint16_t)(ports + ABI_READONLY_COUNT)));
		expect(cpu, "readonly-written", abi_word(ABI_READONLY, index), read64(ABI_READONLY + 8 * index));
	}
	/* what was written on the turn before; the slot may move between any two of these */
	expect(cpu, "window-kept", d->window, read64((cpu->turn & 1 ? ABI_WINDOW_A : ABI_WINDOW_B) + d->window_offset));
	d->window_offset = offset;
	write64(ABI_WINDOW_A + offset, ++d->window);
	expect(cpu, "window-b", d->window, read64(ABI_WINDOW_B + offset));
	write64(ABI_WINDOW_B + offset, ++d->window);
	expect(cpu, "window-a", d->window, read64(ABI_WINDOW_A + offset));

	/* Each CPU has the pages of its parity; none comes again before it was asked for. */
	page = (uint32_t)(d->n_logged * 2 % (ABI_LOGGED_SIZE / 4096)) + cpu->id;
	if (d->n_logged++ >= N_LOGGED) {
		expect(cpu, "logged-word", d->logged_words[slot], read64(ABI_LOGGED + d->logged[slot] * 4096ull));
		outl((uint16_t)(ports + ABI_DIRTY_PAGE), d->logged[slot]);
	}
	d->logged[slot] = page;
	d->logged_words[slot] = cpu->word;
	write64(ABI_LOGGED + page * 4096ull, cpu->word);
}

static void wait_answer(struct cpu *cpu)
{
	struct abi_shared *shared = (void *)(uintptr_t)ABI_SHARED;
	struct patience p = { 0 };
	uint64_t answered;

	while ((answered = __atomic_load_n(&shared->answered[cpu->id], __ATOMIC_SEQ_CST)) < cpu->rung) {
		if (patience_lost(&p)) {
			console_bad(cpu->id, "doorbell-unanswered", cpu->rung, answered);
			return;
		}
		relax();
	}
	expect(cpu, "doorbell-count", cpu->rung, answered);
}

/* With a PIC: an edge and a level came, in this order of priority, and nothing else does. */
static void wait_lines(struct cpu *cpu)
{
	static const uint8_t lines[2] = { ABI_IRQ_LINE, ABI_IRQ_LEVEL };

	for (unsigned i = 0; i < 2; i++) {
		struct patience p = { 0 };
		uint8_t got;

		while (!pic_poll(&got)) {
			if (patience_lost(&p)) {
				console_bad(0, "line-lost", lines[i], got);
				return;
			}
			relax();
		}
		expect(cpu, "line", lines[i], got);
	}
}

/* Without interrupts a vector can come only once, as it then stays pending. With them it is taken by a handler. */
static void wait_vector(struct cpu *cpu)
{
	struct device *d = &devices[cpu->id];
	struct patience p = { 0 };

	while (machine.irq ? cpu->door_irqs < cpu->rung_with_vector : !lapic_pending(d->vector)) {
		if (patience_lost(&p)) {
			console_bad(cpu->id, "vector-lost", d->vector, cpu->door_irqs);
			return;
		}
		relax();
	}
	if (machine.irq)
		expect(cpu, "vector-count", cpu->rung_with_vector, cpu->door_irqs);
	else
		cpu->irr[d->vector / 32] |= 1u << d->vector % 32;
}

void doorbell_turn(struct cpu *cpu)
{
	struct device *d = &devices[cpu->id];
	uint16_t ports = (uint16_t)ABI_PORTS(cpu->id);
	bool vector = machine.lapic && (machine.irq || cpu->turn % 16 == 0) && d->vector < 0xef;

	if (!machine.vmm)
		return;
	if (vector) {
		d->vector = machine.irq ? 0x90 + (uint32_t)(cpu->word >> 20 & 15) : d->vector ? d->vector + 1 : 0x40;
		outl((uint16_t)(ports + ABI_VECTOR), d->vector);
		cpu->rung_with_vector++;
	}
	cpu->rung++;
	outl((uint16_t)(ports + ABI_DOORBELL), (uint32_t)cpu->rung);
	wait_answer(cpu);
	if (vector)
		wait_vector(cpu);
	if (vector)
		outl((uint16_t)(ports + ABI_VECTOR), 0);
	if (machine.pic && !cpu->id)
		wait_lines(cpu);
}

void devices_turn(struct cpu *cpu)
{
	if (!machine.vmm)
		return;
	check_strings(cpu);
	check_slow(cpu);
	check_zones(cpu);
	check_slots(cpu);
}
