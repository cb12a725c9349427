// SPDX-License-Identifier: LGPL-2.1-or-later
/* The PIT: the modes of its channels, channel 2 counting in step with the TSC, and a latched count that is read half on one
 * turn and half on the next. It also measures the TSC where nobody says its rate. */
#include "bare.h"

#define PIT_HZ 1193182u
#define COMMAND 0x43u
#define CHANNEL(n) (0x40u + (n))
#define GATE 0x61u

static unsigned mode2;  /* of channel 2 */
static uint64_t loaded; /* TSC when it began to count down from 0x10000; 0: not known well enough */
static struct {
	uint16_t before; /* the count just before it was latched */
	uint64_t window; /* how long that lasted, in ticks of the PIT */
	uint8_t low;
	bool valid;
} latched;

static uint64_t to_ticks(uint64_t tsc)
{
	return tsc / machine.tsc_khz * PIT_HZ / 1000 + tsc % machine.tsc_khz * PIT_HZ / 1000 / machine.tsc_khz;
}

static uint16_t read_count(void)
{
	uint16_t low;

	outb(COMMAND, 0x80); /* latch channel 2 */
	low = inb(CHANNEL(2));
	return (uint16_t)(low | inb(CHANNEL(2)) << 8);
}

static uint8_t read_status(unsigned channel)
{
	outb(COMMAND, (uint8_t)(0xe0 | 2u << channel)); /* read-back of the status only */
	return inb(CHANNEL(channel));
}

static void load(unsigned mode)
{
	uint64_t before;

	mode2 = mode;
	outb(COMMAND, (uint8_t)(0xb0 | mode << 1)); /* channel 2, both bytes */
	outb(CHANNEL(2), 0);
	before = rdtsc();
	outb(CHANNEL(2), 0);
	loaded = rdtsc();
	if (machine.tsc_khz && loaded - before > machine.tsc_khz) /* we were away for more than a millisecond */
		loaded = 0;
}

/* Counts 50000 ticks. False when we were away for an eighth of the time, in which the counter may have gone round. */
static bool measure(uint64_t *ret_khz, uint64_t *ret_blur)
{
	uint64_t begin = rdtsc(), t0, t1, t2, t3, away;
	uint16_t from, to;

	load(0);
	t0 = rdtsc();
	from = read_count();
	t3 = t1 = rdtsc();
	away = t1 - t0;
	do {
		uint64_t before = t3;

		t2 = rdtsc();
		to = read_count();
		t3 = rdtsc();
		away = t3 - before > away ? t3 - before : away;
	} while ((uint16_t)(from - to) < 50000);
	*ret_khz = ((t2 + t3) / 2 - (t0 + t1) / 2) * PIT_HZ / 1000 / (uint16_t)(from - to);
	*ret_blur = t1 - t0 + t3 - t2;
	return away <= (t3 - begin) / 8;
}

uint32_t pit_measure_tsc(void)
{
	uint64_t best = ~0ull, khz = 1000000;

	outb(GATE, (uint8_t)((inb(GATE) & 0xfc) | 1));
	for (unsigned tries = 0, good = 0; good < 3 && tries < 30; tries++) {
		uint64_t measured, blur;

		if (!measure(&measured, &blur))
			continue;
		good++;
		if (blur >= best)
			continue;
		best = blur; /* the least time lost between the readings */
		khz = measured;
	}
	return (uint32_t)khz;
}

void pit_begin(void)
{
	outb(GATE, (uint8_t)((inb(GATE) & 0xfc) | 1)); /* channel 2 counts, the speaker is silent */
	outb(COMMAND, 0x34);                           /* channel 0: mode 2, 20 times a second */
	outb(CHANNEL(0), (uint8_t)(PIT_HZ / 20));
	outb(CHANNEL(0), (uint8_t)(PIT_HZ / 20 >> 8));
	load(2);
}

/* Counts down from 0x10000, once (mode 0) or again and again (mode 2), with some play for the measure of the TSC. In KVM no
 * restart keeps where a channel in mode 2 is in its period, nor how far behind zero one in mode 0 (KVM_SET_PIT2), so a time
 * that may hold a restart says nothing. */
static void check_phase(struct cpu *cpu, uint16_t count, uint64_t before, uint64_t after)
{
	uint64_t ticks = to_ticks(after - loaded);
	uint16_t behind = (uint16_t)(0x10000 - ticks - count);

	if (!loaded || machine.tsc_stands || to_ticks(after - before) > PIT_HZ / 1000 ||
	    ticks > (mode2 ? PIT_HZ / 50 : 0x10000 - 6000))
		return;
	if ((uint16_t)(behind + 6000) > 12000)
		console_bad(cpu->id, "pit2-count", (uint16_t)(0x10000 - ticks), count);
}

static void latch(struct cpu *cpu)
{
	uint64_t before = rdtsc(), after;

	latched.before = read_count();
	after = rdtsc();
	check_phase(cpu, latched.before, before, after);
	outb(COMMAND, 0x80); /* and is read on the next turns */
	latched.window = to_ticks(rdtsc() - before);
	latched.valid = true;
}

void pit_turn(struct cpu *cpu)
{
	uint16_t count;

	switch (cpu->turn % 4) {
	case 0:
		load(cpu->word & 1 ? 2 : 0);
		latched.valid = false;
		break;
	case 1:
		latch(cpu);
		break;
	case 2:
		latched.low = inb(CHANNEL(2));
		break;
	case 3:
		count = (uint16_t)(latched.low | inb(CHANNEL(2)) << 8);
		if (latched.valid && !machine.tsc_stands && latched.window < 2000 &&
		    (uint16_t)(latched.before - count) > 2 * latched.window + 100)
			console_bad(cpu->id, "pit2-latch", latched.before, count);
		expect(cpu, "pit0-status", 0x34, read_status(0) & 0x3f);
		expect(cpu, "pit2-status", 0x30 | mode2 << 1, read_status(2) & 0x3f);
		expect(cpu, "pit-gate", 1, inb(GATE) & 3);
		break;
	}
}
