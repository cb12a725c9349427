// SPDX-License-Identifier: LGPL-2.1-or-later
/* A thread that only computes, with all its state in registers and on its stack, goes on as if nothing had been. Its result is
 * compared with the same computation done again. */
#include "target.h"

#define BLOCK 200000

static volatile bool stop;
static volatile uint64_t blocks;

static uint64_t block(uint64_t a)
{
	uint64_t b = a ^ 0x9e3779b97f4a7c15ULL, c = 1, d = a >> 7;

	for (int i = 0; i < BLOCK; i++) {
		a += b ^ (c << 13 | c >> 51);
		b = b * 6364136223846793005ULL + d;
		c ^= a >> 3;
		d += c + i;
	}
	return a ^ b ^ c ^ d;
}

static void *compute(void *arg)
{
	uint64_t *ret = arg, x = *ret;

	while (!stop) {
		x = block(x);
		blocks++;
	}
	*ret = x;
	return NULL;
}

int main(int argc, char **argv)
{
	uint64_t seed, result;
	pthread_t thread;

	target_init(argc, argv);
	result = seed = target_random();
	thread = target_thread(compute, &result);
	target_ready();
	while (target_turn())
		;
	stop = true;
	pthread_join(thread, NULL);
	target_check(blocks > 0, "nothing was computed");
	for (uint64_t i = 0; i < blocks; i++)
		seed = block(seed);
	target_check(seed == result, "after %lu blocks %lx, should be %lx", blocks, result, seed);
	target_done();
}
