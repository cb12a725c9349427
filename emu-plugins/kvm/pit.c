// SPDX-License-Identifier: LGPL-2.1-or-later
/* What a channel of the PIT has still to count. KVM_SET_PIT2 makes every channel begin its count anew (pit_load_count in
 * arch/x86/kvm/i8254.c), whatever time of loading is handed in, so a channel that counts once is given what is left of its
 * count. */
#include "kvm.h"

#define PIT_HZ 1193181u /* as KVM has it */

void kvm_pit_advance(struct kvm_pit_channel_state *c, int64_t elapsed_ns)
{
	uint64_t ticks = elapsed_ns > 0 ? (uint64_t)((unsigned __int128)elapsed_ns * PIT_HZ / 1000000000u) : 0;
	uint64_t count = c->count ? c->count : 0x10000;

	if (c->mode == 0 || c->mode == 4)
		c->count = ticks < count ? (uint32_t)(count - ticks) : 1;
}
