// SPDX-License-Identifier: LGPL-2.1-or-later
/* The program break is where it was and can be moved on in both directions; the heap's contents, and malloc's idea of them, are
 * kept. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "target.h"

#define BLOCKS 200

int main(int argc, char **argv)
{
	char *blocks[BLOCKS] = { 0 }, *brk_now, *start;
	int n = 0;

	target_init(argc, argv);
	start = sbrk(300000);
	target_check(start != (void *)-1, "%m");
	target_fill(start, 300000, 3);
	brk_now = sbrk(0);
	target_check(sbrk(0) == brk_now, "sbrk does not answer the same twice");
	target_ready();
	while (target_turn()) {
		int i = n++ % BLOCKS;

		/* The C library moves the break as well: nothing may be assumed about where it is, only that it works. */
		if (blocks[i])
			target_check(target_filled(blocks[i], 3000, i), "block %d", i);
		free(blocks[i]);
		blocks[i] = malloc(3000 + n % 5000);
		target_fill(blocks[i], 3000, i);
		target_check((char *)sbrk(0) >= brk_now, "the break went back to %p, was %p", sbrk(0), brk_now);
	}
	target_check(target_filled(start, 300000, 3), "contents");
	brk_now = sbrk(1 << 20);
	target_check(brk_now != (void *)-1, "the break cannot be moved on: %m");
	target_fill(brk_now, 1 << 20, 4);
	target_check(sbrk(-(1 << 20)) == brk_now + (1 << 20) && sbrk(0) == brk_now, "the break cannot be moved back: %m");
	for (int i = 0; i < BLOCKS; i++)
		target_check(!blocks[i] || target_filled(blocks[i], 3000, i), "block %d", i);
	target_done();
}
