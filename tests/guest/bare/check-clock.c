// SPDX-License-Identifier: LGPL-2.1-or-later
/* Clocks: the TSC never goes back, on one CPU or from one to the other, and neither does KVM's paravirtual clock, which goes as
 * fast as the TSC. Both are compared with what was there before the reading, so it does not matter how long that takes. */
#include "bare.h"

#define MSR_WALL_CLOCK 0x4b564d00u
#define MSR_SYSTEM_TIME 0x4b564d01u
#define NS_PER_S 1000000000ull

/* arch/x86/include/asm/pvclock-abi.h */
struct pvclock {
	uint32_t version, pad0;
	uint64_t tsc_timestamp, system_time;
	uint32_t tsc_to_system_mul;
	int8_t tsc_shift;
	uint8_t flags, pad[2];
};

static struct pvclock pages[ABI_MAX_CPUS] __attribute__((aligned(64)));
static struct wall {
	uint32_t version, seconds, ns;
} wall __attribute__((aligned(64)));
static uint64_t last_tsc, last_ns; /* of both CPUs */
static struct {
	uint64_t tsc, ns, ns_tsc; /* the TSC at which ns was */
} last[ABI_MAX_CPUS];
static uint32_t wall_seconds;

uint64_t clock_ms(void)
{
	return (rdtsc() - machine.start_tsc) / machine.tsc_khz;
}

static void raise(uint64_t *shared, uint64_t value)
{
	uint64_t old = __atomic_load_n(shared, __ATOMIC_SEQ_CST);

	while (old < value && !__atomic_compare_exchange_n(shared, &old, value, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		;
}

static void check_tsc(struct cpu *cpu)
{
	uint64_t before = __atomic_fetch_add(&last_tsc, 0, __ATOMIC_SEQ_CST); /* a locked instruction: RDTSC is not earlier */
	uint64_t now = rdtsc();

	if (now < last[cpu->id].tsc)
		console_bad(cpu->id, "tsc-back", last[cpu->id].tsc, now);
	/* A millisecond between the CPUs is not our business; and on a host with an unstable TSC, KVM lets that of a CPU stand
	 * while it is away and catch up later (kvm_arch_vcpu_load() in arch/x86/kvm/x86.c). */
	if (now + (machine.tsc_stands ? 5000ull : 1ull) * machine.tsc_khz < before)
		console_bad(cpu->id, "tsc-behind-other", before, now);
	last[cpu->id].tsc = now;
	raise(&last_tsc, now);
}

static uint64_t scale(uint64_t tsc, const struct pvclock *p)
{
	tsc = p->tsc_shift >= 0 ? tsc << p->tsc_shift : tsc >> -p->tsc_shift;
	return (uint64_t)((__uint128_t)tsc * p->tsc_to_system_mul >> 32);
}

/* The page of a CPU is changed only while this CPU does not run; so a version that stays odd is wrong. */
static bool read_clock(struct cpu *cpu, struct pvclock *ret, uint64_t *ret_tsc, uint64_t *ret_ns)
{
	volatile struct pvclock *p = &pages[cpu->id];

	for (unsigned i = 0; i < 1000; i++) {
		uint32_t version = p->version;

		*ret = *(struct pvclock *)(uintptr_t)p;
		__asm__ volatile("" : : : "memory");
		*ret_tsc = rdtsc();
		if (version != p->version || (version & 1))
			continue;
		*ret_ns = ret->system_time + scale(*ret_tsc - ret->tsc_timestamp, ret);
		return true;
	}
	console_bad(cpu->id, "kvmclock-version", 0, p->version);
	return false;
}

static void check_kvmclock(struct cpu *cpu)
{
	uint64_t before = __atomic_fetch_add(&last_ns, 0, __ATOMIC_SEQ_CST), tsc, ns;
	uint64_t play = NS_PER_S / 20;
	struct pvclock p;

	expect(cpu, "kvmclock-msr", (uint64_t)&pages[cpu->id] | 1, rdmsr(MSR_SYSTEM_TIME));
	if (!read_clock(cpu, &p, &tsc, &ns))
		return;
	machine.tsc_stands = !(p.flags & 1);
	/* Without this flag (all TSCs are in step) readings of one CPU, too, may go back a little when the host updates the
	 * page; Linux keeps the latest reading for that (pvclock_clocksource_read() in arch/x86/kernel/pvclock.c). */
	if (p.flags & 1)
		play = NS_PER_S / 1000;
	if (ns + (p.flags & 1 ? 0 : play) < last[cpu->id].ns)
		console_bad(cpu->id, "kvmclock-back", last[cpu->id].ns, ns);
	if (ns + play < before)
		console_bad(cpu->id, "kvmclock-behind-other", before, ns);
	if (last[cpu->id].ns) {
		int64_t since = (int64_t)(ns - last[cpu->id].ns), passed = (int64_t)scale(tsc - last[cpu->id].ns_tsc, &p);
		int64_t off = since - passed, most = passed / 16 + (int64_t)NS_PER_S / 4;

		if (off > most || off < -most)
			console_bad(cpu->id, "kvmclock-speed", (uint64_t)passed, (uint64_t)since);
	}
	last[cpu->id].ns = ns;
	last[cpu->id].ns_tsc = tsc;
	raise(&last_ns, ns);
}

static void check_wall(struct cpu *cpu)
{
	if (cpu->turn % 64)
		return;
	wrmsr(MSR_WALL_CLOCK, (uint64_t)&wall);
	if (wall.seconds < 1000000000 || wall.seconds + 86400 < wall_seconds)
		console_bad(0, "kvmclock-wall", wall_seconds, wall.seconds);
	wall_seconds = wall.seconds;
}

void clock_begin(struct cpu *cpu)
{
	uint32_t r[4];

	memset(&last[cpu->id], 0, sizeof(last[0])); /* a CPU that was reset may have been in the middle of it */
	cpuid(0x40000000, 0, r);
	if (r[1] == 0x4b4d564b && r[2] == 0x564b4d56 && r[3] == 0x4d && r[0] > 0x40000000) { /* KVMKVMKVM */
		cpuid(0x40000001, 0, r);
		machine.kvmclock = r[0] >> 3 & 1;
	}
	if (machine.kvmclock)
		wrmsr(MSR_SYSTEM_TIME, (uint64_t)&pages[cpu->id] | 1);
}

void clock_turn(struct cpu *cpu)
{
	if (machine.kvmclock)
		check_kvmclock(cpu);
	check_tsc(cpu);
	if (!machine.kvmclock)
		return;
	if (!cpu->id)
		check_wall(cpu);
}
