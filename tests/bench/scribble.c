// SPDX-License-Identifier: LGPL-2.1-or-later
/* A program with much memory that writes to as many pages of it as it is told to, page by page at random, and says when it has:
 * for benchmarks of incremental checkpoints. It also says how long that took, which is what tracking costs the target. usage:
 * scribble MIB 4K|huge          (then lines with a number of pages; the answer is the time in microseconds) */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define PAGE 4096u

static uint64_t state = 88172645463325252u;

static uint64_t roll(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000;
}

/* Half of each page is random and half is not, so that it can be packed about as well as the memory of a guest. */
static void fill(uint64_t *page)
{
	for (size_t i = 0; i < PAGE / sizeof(*page); i++)
		page[i] = i % 2 ? roll() : i;
}

int main(int argc, char **argv)
{
	uint64_t pages = argc == 3 ? strtoull(argv[1], NULL, 10) << 8 : 0, n;
	char *memory, line[64];

	if (!pages) {
		fprintf(stderr, "usage: scribble MIB 4K|huge\n");
		return 2;
	}
	memory = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED || madvise(memory, pages * PAGE, strcmp(argv[2], "huge") ? MADV_NOHUGEPAGE : MADV_HUGEPAGE)) {
		perror("scribble");
		return 1;
	}
	for (uint64_t i = 0; i < pages; i++)
		fill((uint64_t *)(memory + i * PAGE));
	printf("ready\n");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		uint64_t begun = now_us();
		for (n = strtoull(line, NULL, 10); n; n--)
			*(uint64_t *)(memory + roll() % pages * PAGE) = roll();
		printf("%" PRIu64 "\n", now_us() - begun);
		fflush(stdout);
	}
	return 0;
}
