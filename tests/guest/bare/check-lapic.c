// SPDX-License-Identifier: LGPL-2.1-or-later
/* The local APIC of each CPU: its registers, an interrupt that stays in service and one that stays pending for ever, and its
 * timer, which counts in one shot, periodically and towards a TSC deadline by turns. */
#include "bare.h"

#define REG_ID 0x20u
#define REG_EOI 0xb0u
#define REG_LDR 0xd0u
#define REG_DFR 0xe0u
#define REG_SPURIOUS 0xf0u
#define REG_ISR 0x100u
#define REG_IRR 0x200u
#define REG_COMMAND 0x300u
#define REG_TIMER 0x320u
#define REG_INITIAL 0x380u
#define REG_CURRENT 0x390u
#define REG_DIVIDE 0x3e0u
#define MASKED 0x10000u
#define PERIODIC 0x20000u
#define DEADLINE 0x40000u
#define MSR_DEADLINE 0x6e0u
#define PENDING_VECTOR 0x31u
#define FIRST_CHANGING 0x80u /* vectors from here on come and go in the mode with interrupts */
#define NS_PER_S 1000000000ull

/* Registers that hold what was written, and which bits of it. */
static const struct {
	const char *name;
	uint32_t reg, bits, always;
} registers[] = {
	{ "lapic-spurious", REG_SPURIOUS, 0x0f, 0x1f0 }, /* on */
	{ "lapic-ldr", REG_LDR, 0xff000000, 0 },         { "lapic-dfr", REG_DFR, 0xf0000000, 0x0fffffff },
	{ "lapic-thermal", 0x330, 0x7ff, MASKED },       { "lapic-perf", 0x340, 0x7ff, MASKED },
	{ "lapic-lint0", 0x350, 0xa7ff, MASKED },        { "lapic-lint1", 0x360, 0xa7ff, MASKED },
	{ "lapic-error", 0x370, 0xff, MASKED },
};
#define N_REGISTERS (sizeof(registers) / sizeof(*registers))

static struct lapic {
	uint32_t values[N_REGISTERS];
	enum { ONE_SHOT, PERIODICALLY, TSC_DEADLINE, N_MODES } mode;
	uint32_t timer, divide, initial, last; /* as they were set; the last count seen */
	uint64_t begin, deadline;              /* TSC */
	bool vague;                            /* we were away while the timer was set */
	unsigned overdue;
} lapics[ABI_MAX_CPUS];
static bool has_deadline;

void lapic_send(uint32_t apic_id, uint32_t command)
{
	write32(LAPIC + REG_COMMAND + 0x10, apic_id << 24);
	write32(LAPIC + REG_COMMAND, command);
	while (read32(LAPIC + REG_COMMAND) & 0x1000) /* not yet sent */
		relax();
}

bool lapic_pending(unsigned vector)
{
	return read32(LAPIC + REG_IRR + vector / 32 * 0x10) >> vector % 32 & 1;
}

static uint64_t to_ns(uint64_t tsc)
{
	return tsc / machine.tsc_khz * 1000000 + tsc % machine.tsc_khz * 1000000 / machine.tsc_khz;
}

static void set_registers(struct cpu *cpu)
{
	struct lapic *l = &lapics[cpu->id];

	for (unsigned i = 0; i < N_REGISTERS; i++) {
		l->values[i] = ((uint32_t)abi_word(cpu->word, 400 + i) & registers[i].bits) | registers[i].always;
		if (registers[i].reg == REG_DFR) /* flat or cluster */
			l->values[i] = cpu->word >> 50 & 1 ? 0xffffffffu : 0x0fffffffu;
		write32(LAPIC + registers[i].reg, l->values[i]);
	}
}

/* A timer of 3 to 4 s, or one that goes round every 20 ms; the vector is odd and masked. */
static void set_timer(struct cpu *cpu)
{
	static const uint8_t codes[8] = { 0xb, 0, 1, 2, 3, 8, 9, 0xa }; /* by 1, 2, 4 ... 128 */
	struct lapic *l = &lapics[cpu->id];
	unsigned shift = (unsigned)(cpu->word >> 8 & 7);
	uint64_t ns = 3 * NS_PER_S + cpu->word % NS_PER_S;

	l->mode = (l->mode + 1) % (has_deadline ? N_MODES : TSC_DEADLINE);
	l->timer = MASKED | (0x40 + (cpu->word >> 12 & 0x3f));
	l->overdue = 0;
	if (l->mode == TSC_DEADLINE) {
		l->timer |= DEADLINE;
		write32(LAPIC + REG_TIMER, l->timer);
		l->begin = rdtsc();
		l->deadline = l->begin + 3ull * 1000 * machine.tsc_khz;
		wrmsr(MSR_DEADLINE, l->deadline);
		return;
	}
	if (l->mode == PERIODICALLY) {
		l->timer |= PERIODIC;
		ns = NS_PER_S / 50;
	}
	l->divide = codes[shift];
	l->initial = l->last = (uint32_t)(ns >> shift);
	write32(LAPIC + REG_TIMER, l->timer);
	write32(LAPIC + REG_DIVIDE, l->divide);
	l->begin = rdtsc();
	write32(LAPIC + REG_INITIAL, l->initial);
	l->vague = rdtsc() - l->begin > machine.tsc_khz;
}

/* Never up; and as fast as the TSC, with some play for the measure that we have of it. */
static bool check_one_shot(struct cpu *cpu)
{
	struct lapic *l = &lapics[cpu->id];
	unsigned shift = l->divide == 0xb ? 0 : (l->divide & 3) + (l->divide >> 3) * 4 + 1;
	uint64_t before = rdtsc(), after, passed, counted;
	uint32_t count = read32(LAPIC + REG_CURRENT);

	after = rdtsc();
	if (count > l->last)
		console_bad(cpu->id, "lapic-timer-up", l->last, count);
	l->last = count;
	if (!count)
		return false;
	passed = to_ns(after - l->begin);
	counted = (uint64_t)(l->initial - count) << shift; /* the bus of KVM and QEMU has 1 GHz */
	if (l->vague || machine.tsc_stands || to_ns(after - before) > NS_PER_S / 1000)
		return true; /* we were away in between */
	if (counted > passed + passed / 8 + NS_PER_S / 5 || counted + passed / 8 + NS_PER_S / 5 < passed)
		console_bad(cpu->id, "lapic-timer-speed", passed, counted);
	return true;
}

static bool check_deadline(struct cpu *cpu)
{
	struct lapic *l = &lapics[cpu->id];
	uint64_t value = rdmsr(MSR_DEADLINE), now = rdtsc();

	if (!value) {
		if (now < l->deadline)
			console_bad(cpu->id, "tsc-deadline-early", l->deadline, now);
		return false;
	}
	expect(cpu, "tsc-deadline", l->deadline, value);
	return now <
	       l->deadline; /* KVM leaves it there when the timer is masked: apic_has_pending_timer() in arch/x86/kvm/lapic.c */
}

static void check_timer(struct cpu *cpu)
{
	struct lapic *l = &lapics[cpu->id];
	bool on = true;

	expect(cpu, "lapic-timer", l->timer, read32(LAPIC + REG_TIMER));
	if (l->mode != TSC_DEADLINE) {
		expect(cpu, "lapic-divide", l->divide, read32(LAPIC + REG_DIVIDE));
		expect(cpu, "lapic-initial", l->initial, read32(LAPIC + REG_INITIAL));
	}
	if (l->mode == TSC_DEADLINE) {
		on = check_deadline(cpu);
	} else if (l->mode == ONE_SHOT) {
		on = check_one_shot(cpu);
	} else {
		uint32_t count = read32(LAPIC + REG_CURRENT);

		if (count > l->initial)
			console_bad(cpu->id, "lapic-periodic", l->initial, count);
		l->overdue = count == l->last ? l->overdue + 1 : 0;
		l->last = count;
		if (l->overdue > 1000)
			console_bad(cpu->id, "lapic-periodic-stands", l->initial, count);
		on = rdtsc() - l->begin < 1000ull * machine.tsc_khz;
	}
	if (!on)
		set_timer(cpu);
}

/* Bits that change while interrupts are on are left out. */
static void check_vectors(struct cpu *cpu)
{
	for (unsigned i = 0; i < (machine.irq ? FIRST_CHANGING / 32 : 8); i++) {
		expect(cpu, "lapic-irr", cpu->irr[i], read32(LAPIC + REG_IRR + i * 0x10));
		expect(cpu, "lapic-isr", cpu->isr[i], read32(LAPIC + REG_ISR + i * 0x10));
	}
}

void lapic_begin(struct cpu *cpu)
{
	uint32_t r[4];

	if (!machine.lapic)
		return;
	cpuid(1, 0, r);
	has_deadline = r[2] >> 24 & 1;
	cpu->apic_id = read32(LAPIC + REG_ID) >> 24;
	expect(cpu, "apic-id", r[1] >> 24, cpu->apic_id);
	set_registers(cpu);
	trap_begin(cpu); /* takes the interrupt that stays in service */
	lapic_send(cpu->apic_id, PENDING_VECTOR);
	cpu->irr[PENDING_VECTOR / 32] |= 1u << PENDING_VECTOR % 32;
	if (!machine.irq)
		set_timer(cpu);
}

void lapic_turn(struct cpu *cpu)
{
	struct lapic *l = &lapics[cpu->id];

	if (!machine.lapic)
		return;
	expect(cpu, "lapic-id", cpu->apic_id << 24, read32(LAPIC + REG_ID));
	for (unsigned i = 0; i < N_REGISTERS; i++)
		expect(cpu, registers[i].name, l->values[i], read32(LAPIC + registers[i].reg));
	check_vectors(cpu);
	set_registers(cpu);
	if (!machine.irq)
		check_timer(cpu);
}
