// SPDX-License-Identifier: LGPL-2.1-or-later
/* The timer of a local APIC across a restart. In one-shot and periodic mode KVM_SET_LAPIC starts it with what the current-count
 * register says (kvm_apic_set_state, arch/x86/kvm/lapic.c), while TSC and clock have gone on since it was read. */
#include <string.h>

#include "kvm.h"

/* Registers and bits: Intel SDM 3, "Local APIC Registers", "APIC Timer". */
#define LVT_TIMER 0x320
#define INITIAL_COUNT 0x380
#define CURRENT_COUNT 0x390
#define DIVIDE 0x3e0
#define MODE(lvt) ((lvt) >> 17 & 3)
#define MODE_PERIODIC 1
#define MODE_DEADLINE 2

static uint32_t get(const struct kvm_lapic_state *lapic, size_t reg)
{
	uint32_t value;

	memcpy(&value, lapic->regs + reg, sizeof(value));
	return value;
}

void kvm_lapic_advance(struct kvm_lapic_state *lapic, int64_t gained, uint64_t cycle_ns)
{
	uint32_t mode = MODE(get(lapic, LVT_TIMER)), initial = get(lapic, INITIAL_COUNT), count = get(lapic, CURRENT_COUNT), d = get(lapic, DIVIDE);
	uint32_t shift = (((d & 3) | (d >> 1 & 4)) + 1) & 7;
	uint64_t ticks = gained > 0 ? (uint64_t)gained / (cycle_ns << shift) : 0;

	/* Absolute, never started, or gone off: nothing to move. */
	if (mode == MODE_DEADLINE || !initial || !count)
		return;
	if (ticks < count)
		count -= (uint32_t)ticks;
	else if (mode == MODE_PERIODIC)
		count = initial - (uint32_t)((ticks - count) % initial);
	else
		count = 0; /* goes off at once */
	memcpy(lapic->regs + CURRENT_COUNT, &count, sizeof(count));
}
