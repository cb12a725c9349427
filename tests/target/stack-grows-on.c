// SPDX-License-Identifier: LGPL-2.1-or-later
/* The main stack, and a mapping made with MAP_GROWSDOWN, grow after the restart by being used, as far as before; what lay deep
 * in the main stack is still there. */
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "target.h"

#define DEEP 40

static int finished;

static uint64_t deeper(int depth, uint64_t seed)
{
	char frame[16384];
	uint64_t sum;

	target_fill(frame, sizeof(frame), seed + depth);
	if (depth == DEEP && !finished) {
		target_ready();
		while (target_turn())
			;
		finished = 1;
	}
	/* Below this point the stack was never used before the checkpoint. */
	sum = depth < 6 * DEEP ? deeper(depth + 1, seed) : 0;
	target_check(target_filled(frame, sizeof(frame), seed + depth), "frame %d", depth);
	return sum + depth;
}

int main(int argc, char **argv)
{
	uint64_t seed;
	char *low, *top;

	target_init(argc, argv);
	seed = target_random();
	/* Room below, then the growing mapping of two pages; the kernel keeps a gap of 256 pages to the next mapping. */
	low = mmap(NULL, 16 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	target_check(low != MAP_FAILED && munmap(low, 16 << 20) == 0, "%m");
	top = mmap(low + (8 << 20), 8192, PROT_READ | PROT_WRITE,
	           MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED_NOREPLACE, -1, 0);
	target_check(top != MAP_FAILED, "%m");
	strcpy(top + 100, "first page");
	target_check(strstr(target_field(target_smaps(top), "VmFlags"), "gd"), "no growing mapping");
	target_check(deeper(0, seed) == 6 * DEEP * (6 * DEEP + 1) / 2, "sum");
	target_check(strstr(target_field(target_smaps(top), "VmFlags"), "gd"), "it does not grow down any more: %s",
	             target_smaps(top));
	for (char *p = top; p > top - (1 << 20); p -= 4096)
		*(volatile char *)p = 1;
	target_check(strcmp(top + 100, "first page") == 0, "contents");
	target_done();
}
