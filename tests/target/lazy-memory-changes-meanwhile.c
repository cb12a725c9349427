// SPDX-License-Identifier: LGPL-2.1-or-later
/* Memory that is restarted lazily is read, written, thrown away (as a balloon or an allocator does it), moved, unmapped and
 * protected while it is still being loaded; every page always reads as what the program put there last, or as zero. At the end
 * children are forked that see the same. What each page should hold lives in a small mapping of its own. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "target.h"

#define PAGE 4096
#define BLOCK_PAGES 1024 /* 4 MiB: moved and unmapped as a whole */
#define BLOCKS 12

#ifndef MADV_COLD
#define MADV_COLD 20
#endif

static struct block {
	char *at;
	bool pieces;                /* more than one mapping, which cannot be moved at once (see map_over) */
	uint64_t seed[BLOCK_PAGES]; /* 0: zeros */
} blocks[BLOCKS];
static uint64_t rng, next_seed = 1;

static uint64_t draw(uint64_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng % n;
}

static void check_page(const struct block *b, int i)
{
	static const char zeros[PAGE];
	const char *p = b->at + (size_t)i * PAGE;

	if (b->seed[i])
		target_check(target_filled(p, PAGE, b->seed[i]), "block %td page %d: not what was written", b - blocks, i);
	else
		target_check(!memcmp(p, zeros, PAGE), "block %td page %d: not zero but %02x", b - blocks, i, (unsigned char)*p);
}

static void fill_page(struct block *b, int i)
{
	target_fill(b->at + (size_t)i * PAGE, PAGE, b->seed[i] = next_seed++);
}

static void some_reads(struct block *b)
{
	for (int i = 0; i < 6; i++)
		check_page(b, draw(BLOCK_PAGES));
}

static void some_writes(struct block *b)
{
	for (int i = 0; i < 3; i++)
		fill_page(b, draw(BLOCK_PAGES));
}

/* Thrown away, mostly before it was ever read; a part is written again. */
static void throw_away(struct block *b)
{
	int n = 1 + draw(24), first = draw(BLOCK_PAGES - n);

	target_check(!madvise(b->at + (size_t)first * PAGE, (size_t)n * PAGE, MADV_DONTNEED), "%m");
	memset(&b->seed[first], 0, n * sizeof(b->seed[0]));
	check_page(b, first + draw(n));
	if (draw(2))
		fill_page(b, first + draw(n));
}

/* The pages that were freed may be zero or as before: they are written, and then it does not matter any more. */
static void free_and_write(struct block *b)
{
	int i = draw(BLOCK_PAGES);

	target_check(!madvise(b->at + (size_t)i * PAGE, PAGE, MADV_FREE), "%m");
	fill_page(b, i);
}

static void move(struct block *b)
{
	if (b->pieces)
		return;
	char *to = mremap(b->at, BLOCK_PAGES * PAGE, BLOCK_PAGES * PAGE, MREMAP_MAYMOVE);

	if (draw(2)) {
		to = mmap(NULL, BLOCK_PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		target_check(to != MAP_FAILED, "%m");
		to = mremap(b->at, BLOCK_PAGES * PAGE, BLOCK_PAGES * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	}
	target_check(to != MAP_FAILED, "%m");
	b->at = to;
	some_reads(b);
}

/* Of this process, in clock ticks: another one after a restart. */
static uint64_t start_time(void)
{
	const char *p = strrchr(target_slurp("/proc/self/stat"), ')');
	uint64_t ticks;

	target_check(p && sscanf(p, ") %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %lu", &ticks) == 1,
	             "/proc/self/stat");
	return ticks;
}

/* A part of it, elsewhere and back: the place of the part is a hole meanwhile. If there was a restart just then it stays a mapping
 * of its own: it is restored as memory that was made where it was found, and nobody can ask the kernel where it was made
 * (vm_pgoff). */
static void move_part_and_back(struct block *b)
{
	uint64_t start = start_time();

	if (b->pieces)
		return;
	int n = 1 + draw(64), first = draw(BLOCK_PAGES - n);
	char *from = b->at + (size_t)first * PAGE;
	char *aside = mmap(NULL, (size_t)n * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	target_check(aside != MAP_FAILED, "%m");
	target_check(mremap(from, (size_t)n * PAGE, (size_t)n * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, aside) == aside, "%m");
	if (b->seed[first])
		target_check(target_filled(aside, PAGE, b->seed[first]), "moved aside: not what was written");
	target_check(mremap(aside, (size_t)n * PAGE, (size_t)n * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, from) == from, "%m");
	b->pieces = start_time() != start;
	check_page(b, first + draw(n));
}

/* New memory in the place of old: it begins as zeros. It does not become one with memory that is watched, and mremap() moves
 * one mapping at a time. */
static void map_over(struct block *b)
{
	int n = 1 + draw(32), first = draw(BLOCK_PAGES - n);
	char *at = b->at + (size_t)first * PAGE;

	if (b - blocks >= BLOCKS / 2)
		return;
	if (draw(2))
		target_check(!munmap(at, (size_t)n * PAGE), "%m");
	target_check(mmap(at, (size_t)n * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at,
	             "%m");
	b->pieces = true;
	memset(&b->seed[first], 0, n * sizeof(b->seed[0]));
	check_page(b, first + draw(n));
}

static void protect(struct block *b)
{
	int n = 1 + draw(32), first = draw(BLOCK_PAGES - n);
	char *at = b->at + (size_t)first * PAGE;

	target_check(!mprotect(at, (size_t)n * PAGE, PROT_NONE) && !mprotect(at, (size_t)n * PAGE, PROT_READ), "%m");
	check_page(b, first + draw(n));
	target_check(!mprotect(at, (size_t)n * PAGE, PROT_READ | PROT_WRITE), "%m");
}

/* The kernel is the first to touch a page. */
static void through_a_pipe(struct block *b)
{
	int i = draw(BLOCK_PAGES), j = draw(BLOCK_PAGES), fds[2];

	target_check(!pipe(fds), "%m");
	target_check(write(fds[1], b->at + (size_t)i * PAGE, PAGE) == PAGE, "%m");
	target_check(read(fds[0], b->at + (size_t)j * PAGE, PAGE) == PAGE, "%m");
	close(fds[0]);
	close(fds[1]);
	b->seed[j] = b->seed[i];
	check_page(b, j);
}

static void (*const doings[])(struct block *b) = { some_reads,         some_writes, throw_away, free_and_write, move,
	                                           move_part_and_back, map_over,    protect,    through_a_pipe };

static void check_all(void)
{
	for (int k = 0; k < BLOCKS; k++)
		for (int i = 0; i < BLOCK_PAGES; i++)
			check_page(&blocks[k], i);
}

/* Children see what the parent sees at that moment, whatever is done on either side afterwards. */
static void check_in_children(void)
{
	pid_t pids[3];

	for (int n = 0; n < 3; n++) {
		pids[n] = fork();
		if (!pids[n]) {
			for (int i = 0; i < 200; i++)
				doings[draw(6)](&blocks[draw(BLOCKS)]);
			check_all();
			_exit(42);
		}
		for (int i = 0; i < 100; i++)
			doings[draw(6)](&blocks[draw(BLOCKS)]);
	}
	for (int n = 0; n < 3; n++) {
		int status;
		target_check(waitpid(pids[n], &status, 0) == pids[n] && WIFEXITED(status) && WEXITSTATUS(status) == 42,
		             "child %d: %x", n, status);
	}
}

int main(int argc, char **argv)
{
	target_init(argc, argv);
	rng = target_random() | 1;
	for (int k = 0; k < BLOCKS; k++) {
		/* A gap behind each, so that they do not become one mapping. */
		blocks[k].at = mmap(NULL, (BLOCK_PAGES + 1) * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		target_check(blocks[k].at != MAP_FAILED, "%m");
		munmap(blocks[k].at + BLOCK_PAGES * PAGE, PAGE);
		if (k % 3 == 1)
			madvise(blocks[k].at, BLOCK_PAGES * PAGE, MADV_HUGEPAGE);
		for (int i = 0; i < BLOCK_PAGES; i++)
			if (i % 7)
				fill_page(&blocks[k], i);
	}
	target_ready();
	while (target_turn())
		for (int i = 0; i < 4; i++)
			doings[draw(sizeof(doings) / sizeof(*doings))](&blocks[draw(BLOCKS)]);
	check_in_children();
	check_all();
	target_done();
}
