/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A program inside the test guest that writes to its memory at a steady rate and counts as it goes. The counter stands in its
 * memory behind words by which it can be found from outside, so that the guest's longest silence can be measured by whoever
 * looks at its RAM. usage: pulse MIB_PER_SECOND MIB      (of memory that is written to, page by page, round and round) */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#define PAGE 4096u
#define STEP_NS 50000

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	uint64_t rate = strtoull(argv[1], NULL, 10) << 20, size = strtoull(argv[2], NULL, 10) << 20, written = 0, at = PAGE;
	volatile uint64_t *mark;
	uint8_t *area = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (area == MAP_FAILED || size <= PAGE) {
		puts("BAD pulse: no memory");
		return 1;
	}
	for (uint64_t i = PAGE; i < size; i += 8) /* nothing that is easily compressed, and no page like another */
		*(uint64_t *)(area + i) = i * 0x9e3779b97f4a7c15u;
	mark = (volatile uint64_t *)area;
	mark[1] = 0x736973617473u ^ 0x5555555555555555u; /* "stasis": not to be found in the text of this program */
	mark[2] = ~mark[1];
	mark[0] = mark[1] * 3;
	setpriority(PRIO_PROCESS, 0, -20); /* the guest's own time slices are no silence of ours */
	puts("PULSE");
	fflush(stdout);
	for (uint64_t begin = now_ns(), last = begin;;) {
		uint64_t now = now_ns();
		if (now - last > STEP_NS * 20) /* we were away: what was not written then is not caught up with */
			begin += now - last;
		last = now;
		mark[3]++;
		for (uint64_t due = (uint64_t)((unsigned __int128)(now - begin) * rate / 1000000000u); written < due;
		     written += PAGE) {
			*(volatile uint64_t *)(area + at + written / size % 500 * 8) = now;
			at = at + PAGE < size ? at + PAGE : PAGE;
		}
		while (now_ns() - now < STEP_NS)
			;
	}
}
