// SPDX-License-Identifier: LGPL-2.1-or-later
/* Five thousand mappings with contents, neighbours that differ in protection only. All are kept one by one: the kernel's list
 * of them is the same before and after. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "target.h"

#define MAPS 5000

static char *base;

/* How many mappings lie inside the area, and whether their protection alternates. */
static int count(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	unsigned long lo, hi;
	char line[512], prot[5];
	int n = 0;

	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx %4s", &lo, &hi, prot) != 3 || lo < (unsigned long)base ||
		    hi > (unsigned long)base + MAPS * 4096)
			continue;
		target_check(hi - lo == 4096 && lo == (unsigned long)base + n * 4096, "mapping %d: %s", n, line);
		target_check(strcmp(prot, n % 2 ? "r--p" : "rw-p") == 0, "mapping %d: %s", n, line);
		n++;
	}
	fclose(f);
	return n;
}

int main(int argc, char **argv)
{
	target_init(argc, argv);
	base = mmap(NULL, (MAPS + 2) * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	target_check(base != MAP_FAILED, "%m");
	base += 4096;
	for (int i = 0; i < MAPS; i++) {
		char *p = base + i * 4096;

		target_check(mprotect(p, 4096, PROT_READ | PROT_WRITE) == 0, "%m");
		if (i % 3)
			*(int *)p = i;
		if (i % 2)
			target_check(mprotect(p, 4096, PROT_READ) == 0, "%m");
	}
	target_ready();
	for (int turn = 0; target_turn(); turn++) {
		int i = turn * 7 % MAPS;

		target_check(*(int *)(base + i * 4096) == (i % 3 ? i : 0), "contents of mapping %d", i);
	}
	target_check(count() == MAPS, "%d mappings of %d", count(), MAPS);
	for (int i = 0; i < MAPS; i++)
		target_check(*(int *)(base + i * 4096) == (i % 3 ? i : 0), "contents of mapping %d", i);
	target_done();
}
