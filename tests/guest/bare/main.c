// SPDX-License-Identifier: LGPL-2.1-or-later
/* The guest's beginning and its loop: finds out where it is, starts the other CPU, and then both run all checks for ever. In
 * one mode the other CPU is never started, in one it is reset and started again and again. */
#include "bare.h"

#define COMMAND_INIT 0x4500u
#define COMMAND_START 0x4600u
#define START_INFO_MAGIC 0x336ec578u

struct machine machine;
struct cpu cpus[ABI_MAX_CPUS];
static volatile bool started;
static volatile uint64_t resets_seen; /* of the CPU that is reset again and again, counted by itself */

static struct check {
	const char *name; /* may be left out by skip=NAME,NAME */
	void (*begin)(struct cpu *);
	void (*turn)(struct cpu *);
	bool skip;
} checks[] = {
	{ "clock", clock_begin, clock_turn },
	{ "registers", registers_begin, registers_turn },
	{ "control", control_begin, control_turn },
	{ "lapic", lapic_begin, lapic_turn },
	{ "fpu", fpu_begin, fpu_turn },
	{ "msr", msr_begin, msr_turn },
	{ "legacy", legacy_begin, legacy_turn },
	{ "memory", memory_begin, memory_turn },
	{ "devices", NULL, devices_turn },
	{ "doorbell", NULL, doorbell_turn },
	{ "qemu", qemu_begin, qemu_turn },
	{ "interrupts", NULL, trap_turn },
};
#define N_CHECKS (sizeof(checks) / sizeof(*checks))

void *memset(void *to, int byte, size_t size)
{
	void *at = to;

	__asm__ volatile("rep stosb" : "+D"(at), "+c"(size) : "a"(byte) : "memory");
	return to;
}

void *memcpy(void *to, const void *from, size_t size)
{
	void *at = to;

	__asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(size) : : "memory");
	return to;
}

bool patience_lost(struct patience *p)
{
	uint64_t now = rdtsc();

	if (!p->begin)
		p->begin = now;
	return now - p->begin > 60000ull * machine.tsc_khz && ++p->beyond > 100000;
}

void cpu_delay(unsigned us)
{
	uint64_t begin = rdtsc();

	while (rdtsc() - begin < (uint64_t)us * machine.tsc_khz / 1000)
		relax();
}

/* What follows this word of the command line; NULL if it is not there. */
static const char *after_word(const char *line, const char *word)
{
	while (*line) {
		const char *w = word;

		while (*line == ' ')
			line++;
		while (*w && *line == *w)
			line++, w++;
		if (!*w)
			return line;
		while (*line && *line != ' ')
			line++;
	}
	return NULL;
}

static bool word_given(const char *line, const char *word)
{
	const char *rest = after_word(line, word);

	return rest && (!*rest || *rest == ' ');
}

static unsigned number_given(const char *line, const char *word, unsigned otherwise)
{
	const char *rest = after_word(line, word);
	unsigned n = 0;

	if (!rest)
		return otherwise;
	for (; *rest >= '0' && *rest <= '9'; rest++)
		n = n * 10 + (unsigned)(*rest - '0');
	return n;
}

/* From a list with commas. */
static void skip_checks(const char *list)
{
	while (list && *list && *list != ' ') {
		const char *end = list;

		while (*end && *end != ' ' && *end != ',')
			end++;
		for (unsigned i = 0; i < N_CHECKS; i++) {
			const char *n = checks[i].name, *l = list;

			while (*n && *n == *l)
				n++, l++;
			if (!*n && l == end)
				checks[i].skip = true;
		}
		list = *end == ',' ? end + 1 : end;
	}
}

static void read_command_line(void)
{
	const uint32_t *info = (const void *)(uintptr_t)boot_info;
	const char *line = "";

	if (boot_info && info[0] == START_INFO_MAGIC && info[6])
		line = (const void *)(uintptr_t)info[6];
	machine.irq = word_given(line, "irq");
	machine.emulator = word_given(line, "emulator");
	machine.nested_tcg = word_given(line, "nested-tcg");
	machine.bench = word_given(line, "bench");
	machine.ap = word_given(line, "ap=none") ? AP_NONE : word_given(line, "ap=init") ? AP_INIT : AP_RUNS;
	machine.period_ms = number_given(line, "period=", 100);
	machine.loops = number_given(line, "loops=", machine.emulator ? 1000 : 20000);
	skip_checks(after_word(line, "skip="));
}

static void probe(void)
{
	uint32_t features, r[4], random = 0;

	read_command_line();
	machine.vmm = inl(ABI_PORT_SIGNATURE) == ABI_SIGNATURE;
	machine.lapic = machine.pic = true;
	if (machine.vmm) {
		features = inl(ABI_PORT_FEATURES);
		machine.lapic = features & ABI_HAS_LAPIC;
		machine.pic = features & ABI_HAS_PIC;
		machine.coalesced_pio = features & ABI_HAS_COALESCED_PIO;
		machine.readonly = features & ABI_HAS_READONLY;
		machine.tsc_khz = inl(ABI_PORT_TSC_KHZ);
	}
	machine.irq = machine.irq && machine.lapic && !machine.emulator;
	if (!machine.lapic && machine.ap == AP_INIT)
		machine.ap = AP_NONE;
	if (!machine.vmm || !machine.tsc_khz || machine.tsc_khz > 20000000)
		machine.tsc_khz = machine.pic ? pit_measure_tsc() : 1000000;
	machine.start_tsc = rdtsc();
	cpuid(1, 0, r);
	if (!machine.emulator && r[2] >> 30 & 1)
		__asm__ volatile("rdrand %0" : "=r"(random) : : "cc");
	machine.nonce = abi_word(machine.start_tsc, random);
}

/* How many CPUs there are: with test-vmm CPUID says it; under QEMU there are two. */
static bool has_second(void)
{
	uint32_t r[4];

	cpuid(1, 0, r);
	return !machine.vmm || (r[1] >> 16 & 0xff) > 1;
}

static void start_second(void)
{
	memcpy((void *)(uintptr_t)ABI_TRAMPOLINE, boot_trampoline, (size_t)(boot_trampoline_end - boot_trampoline));
	if (!machine.lapic) {
		outl(ABI_PORT_START_AP, ABI_TRAMPOLINE >> 12);
		return;
	}
	lapic_send(cpus[0].apic_id ^ 1, COMMAND_INIT);
	cpu_delay(10000);
	lapic_send(cpus[0].apic_id ^ 1, COMMAND_START | ABI_TRAMPOLINE >> 12);
	cpu_delay(200);
	if (!started) /* as real machines want it; a second one is ignored when the first was enough */
		lapic_send(cpus[0].apic_id ^ 1, COMMAND_START | ABI_TRAMPOLINE >> 12);
}

/* The CPU that is reset all the time: finds itself as after a reset, and makes itself look otherwise. Says nothing itself. */
static void reset_loop(struct cpu *cpu)
{
	uint64_t dr7;

	__asm__ volatile("movq %%dr7, %0" : "=r"(dr7));
	expect(cpu, "reset-dr7", 0x400, dr7);
	expect(cpu, "reset-spurious", 0xff, read32(LAPIC + 0xf0));
	expect(cpu, "reset-lvt", 0x10000, read32(LAPIC + 0x370));
	expect(cpu, "reset-irr", 0, read32(LAPIC + 0x210));
	__asm__ volatile("movq %0, %%dr7" : : "r"(0x500ull));
	write32(LAPIC + 0xf0, 0x1ff);
	write32(LAPIC + 0x370, 0x10077);
	lapic_send(1, 0x31);
	clock_begin(cpu); /* KVM turns its clock off, too */
	registers_begin(cpu);
	resets_seen++;
	for (;; cpu->turn++) {
		cpu->word = abi_word(machine.nonce + 1, cpu->turn);
		registers_turn(cpu);
		clock_turn(cpu);
	}
}

/* A reset on one turn, the start on a later one: in between it waits for it. The first CPU counts and speaks for the second. */
static void reset_turn(struct cpu *cpu)
{
	static uint64_t started_at;
	static struct patience p;

	if (cpu->turn % 4 == 0) {
		started_at = resets_seen;
		lapic_send(1, COMMAND_INIT);
	} else if (cpu->turn % 4 == 2 && cpu->turn > 4) {
		lapic_send(1, COMMAND_START | ABI_TRAMPOLINE >> 12);
		p = (struct patience){ 0 };
	} else if (cpu->turn % 4 == 3 && cpu->turn > 4) {
		while (resets_seen == started_at && machine.ap == AP_INIT) {
			console_flush();
			if (patience_lost(&p)) {
				machine.ap = AP_NONE;
				console_bad(1, "start-lost", started_at + 1, resets_seen);
			}
			relax();
		}
		if (machine.ap == AP_INIT && clock_ms() >= cpus[1].next_tick_ms) {
			cpus[1].next_tick_ms = clock_ms() + machine.period_ms;
			console_tick(1, ++cpus[1].n_ticks, clock_ms());
		}
	}
	console_flush();
}

static void bench_loop(void)
{
	for (;;)
		outl(ABI_PORT_BENCH, 0);
}

static void tick(struct cpu *cpu)
{
	uint64_t now = clock_ms();

	if (now < cpu->next_tick_ms)
		return;
	cpu->next_tick_ms = now + machine.period_ms;
	console_tick(cpu->id, ++cpu->n_ticks, now);
}

_Noreturn void bare_main(uint32_t id);
void bare_main(uint32_t id)
{
	volatile struct abi_shared *shared = (void *)(uintptr_t)ABI_SHARED;
	struct cpu *cpu = &cpus[id];

	cpu->id = id;
	if (!id)
		probe();
	if (machine.bench)
		bench_loop();
	if (id && machine.ap == AP_INIT)
		reset_loop(cpu);
	cpu->irq = machine.irq;
	cpu->word = abi_word(machine.nonce + id, 0);
	for (unsigned i = 0; i < N_CHECKS; i++)
		if (checks[i].begin && !checks[i].skip)
			checks[i].begin(cpu);
	if (id)
		started = true;
	if (!id && machine.ap != AP_NONE && has_second())
		start_second();
	if (machine.irq)
		__asm__ volatile("sti" : : : "memory");
	for (cpu->turn = 1;; cpu->turn++) {
		cpu->word = abi_word(machine.nonce + id, cpu->turn);
		for (unsigned i = 0; i < N_CHECKS; i++)
			if (!checks[i].skip) {
				shared->doing[id] = cpu->turn << 8 | i;
				checks[i].turn(cpu);
			}
		if (!id && machine.ap == AP_INIT)
			reset_turn(cpu);
		tick(cpu);
	}
}
