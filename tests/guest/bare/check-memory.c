// SPDX-License-Identifier: LGPL-2.1-or-later
/* Guest RAM: an area of each CPU full of words that follow from the round in which they were written. A few are looked at and
 * written anew on every turn, so that old and new ones are always side by side. */
#include "bare.h"

#define N_WORDS 16384u
#define PER_TURN (machine.emulator ? 64u : 1024u)

static uint64_t areas[ABI_MAX_CPUS][N_WORDS];
static uint64_t done[ABI_MAX_CPUS]; /* words written so far */

void memory_begin(struct cpu *cpu)
{
	for (; done[cpu->id] < (machine.emulator ? N_WORDS / 16 : N_WORDS); done[cpu->id]++)
		areas[cpu->id][done[cpu->id]] = abi_word(machine.nonce + cpu->id, done[cpu->id]);
}

void memory_turn(struct cpu *cpu)
{
	uint64_t size = machine.emulator ? N_WORDS / 16 : N_WORDS;

	for (unsigned i = 0; i < PER_TURN; i++, done[cpu->id]++) {
		uint64_t *word = &areas[cpu->id][done[cpu->id] % size];

		expect(cpu, "memory", abi_word(machine.nonce + cpu->id, done[cpu->id] - size), *word);
		*word = abi_word(machine.nonce + cpu->id, done[cpu->id]);
	}
}
