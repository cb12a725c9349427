// SPDX-License-Identifier: LGPL-2.1-or-later
/* A mapping of 64 GiB with a page here and there, and one of 1 TiB with none: contents are kept, the rest is zero, and the
 * image stays small and quick. */
#include <sys/mman.h>

#include "target.h"

#define SIZE (64L << 30)
#define STEP (1L << 30)

int main(int argc, char **argv)
{
	char *p, *empty;

	target_init(argc, argv);
	p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	empty = mmap(NULL, 1L << 40, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED || empty == MAP_FAILED)
		target_skip("no mapping of this size can be made here (RLIMIT_AS, overcommit_memory=2)");
	for (long at = 0; at < SIZE; at += STEP)
		target_fill(p + at + 4096, 4096, at);
	target_fill(p + SIZE - 100, 100, 1);
	target_option("image-max=%d", 16 << 20);
	target_ready();
	while (target_turn())
		target_check(target_filled(p + 4096, 4096, 0), "first page");
	for (long at = 0; at < SIZE; at += STEP) {
		target_check(target_filled(p + at + 4096, 4096, at), "page at %lx", at);
		target_check(p[at] == 0 && p[at + 8192] == 0 && p[at + STEP / 2] == 0, "zero at %lx", at);
	}
	target_check(target_filled(p + SIZE - 100, 100, 1), "last bytes");
	empty[1L << 39] = 1;
	target_done();
}
