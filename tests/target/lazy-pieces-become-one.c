// SPDX-License-Identifier: LGPL-2.1-or-later
/* A block whose parts are protected in different ways is as many mappings; with one protection again it is one, which mremap()
 * takes as a whole (more than one are EFAULT, or, since Linux 6.17, are moved only where no userfaultfd watches). It is so too
 * where some of the parts are too small to be loaded lazily for their own sake. */
#include <sys/mman.h>

#include "target.h"

#define PAGE 4096ul
#define PAGES 2048ul

static const struct part {
	size_t first, n;
	int prot;
} parts[] = { { 0, 3, PROT_NONE }, { 700, 40, PROT_READ }, { 740, 5, PROT_NONE }, { PAGES - 16, 16, PROT_NONE } };
#define PARTS (sizeof(parts) / sizeof(*parts))

static char *block;

static void take_apart(void)
{
	for (size_t i = 0; i < PARTS; i++)
		target_check(!mprotect(block + parts[i].first * PAGE, parts[i].n * PAGE, parts[i].prot), "%m");
}

static void put_together(void)
{
	for (size_t i = 0; i < PARTS; i++)
		target_check(!mprotect(block + parts[i].first * PAGE, parts[i].n * PAGE, PROT_READ | PROT_WRITE), "%m");
}

static void move(void)
{
	char *to = mmap(NULL, PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	target_check(to != MAP_FAILED, "%m");
	to = mremap(block, PAGES * PAGE, PAGES * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	target_check(to != MAP_FAILED, "%m");
	block = to;
}

static void check(size_t page)
{
	target_check(target_filled(block + page * PAGE, PAGE, page + 1), "page %zu is not what was written", page);
}

int main(int argc, char **argv)
{
	size_t page = 0;

	target_init(argc, argv);
	block = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	target_check(block != MAP_FAILED, "%m");
	for (size_t i = 0; i < PAGES; i++)
		target_fill(block + i * PAGE, PAGE, i + 1);
	take_apart();
	target_ready();
	while (target_turn()) {
		put_together();
		move();
		for (int i = 0; i < 20; i++)
			check(page = (page + 7) % PAGES);
		take_apart();
	}
	put_together();
	for (size_t i = 0; i < PAGES; i++)
		check(i);
	target_done();
}
