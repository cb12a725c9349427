// SPDX-License-Identifier: LGPL-2.1-or-later
/* 96 MiB of memory, in part incompressible, in part zero, in part huge pages, are kept byte for byte while the program goes on
 * changing them: at any instant every block is whole, with the number that its header says. */
#include <string.h>
#include <sys/mman.h>

#include "target.h"

#define BLOCK (1 << 20)
#define BLOCKS 96

struct block {
	uint64_t number, seed;
	char data[BLOCK - 16];
};

static struct block *blocks;

static uint64_t step(uint64_t x)
{
	x ^= x << 13;
	x ^= x >> 7;
	return x ^ x << 17;
}

/* Words that follow from the seed; every eighth block is zeros. */
static void fill(struct block *b, uint64_t number)
{
	uint64_t x = b->seed = number * 0x9e3779b97f4a7c15ULL | 1, *w = (uint64_t *)b->data;

	for (size_t i = 0; i < sizeof(b->data) / 8; i++)
		w[i] = number % 8 ? (x = step(x)) : 0;
	b->number = number;
}

static void check(const struct block *b, uint64_t number)
{
	const uint64_t *w = (const uint64_t *)b->data;
	uint64_t x = b->seed;

	target_check(b->number == number, "block has number %lu, should have %lu", b->number, number);
	for (size_t i = 0; i < sizeof(b->data) / 8; i++)
		target_check(w[i] == (number % 8 ? (x = step(x)) : 0), "block %lu, word %zu", number, i);
}

int main(int argc, char **argv)
{
	uint64_t numbers[BLOCKS], next = BLOCKS;

	target_init(argc, argv);
	blocks = mmap(NULL, (BLOCKS + 2) * BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	target_check(blocks != MAP_FAILED, "%m");
	madvise(blocks, BLOCKS / 2 * BLOCK, MADV_HUGEPAGE);
	for (int i = 0; i < BLOCKS; i++)
		fill(&blocks[i], numbers[i] = i);
	target_ready();
	for (int turn = 0; target_turn(); turn++) {
		int i = turn * 37 % BLOCKS;

		check(&blocks[i], numbers[i]);
		fill(&blocks[i], numbers[i] = next++);
	}
	for (int i = 0; i < BLOCKS; i++)
		check(&blocks[i], numbers[i]);
	target_check(blocks[BLOCKS].number == 0 && blocks[BLOCKS + 1].data[5] == 0, "untouched memory");
	target_done();
}
