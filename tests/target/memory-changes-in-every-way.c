// SPDX-License-Identifier: LGPL-2.1-or-later
/* Memory is written to, given back, unmapped and mapped anew, moved to another address and protected, at random, page by page,
 * and each page always holds what a table says: the traps of incremental checkpoints, in which a page must not be taken for
 * what it was. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "target.h"

#define PAGE 4096
#define PAGES 3000
#define OTHERS 64 /* shared pages, and pages of a private file mapping */

static char *arena, *shared, *file;
static uint32_t version[PAGES], shared_version[OTHERS], file_version[OTHERS], next = 1; /* 0: zeros, or what is in the file */
static bool hidden[PAGES];
static uint64_t state = 88172645463325252u;

static uint32_t roll(uint32_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 16) % n;
}

static void check_page(const char *page, uint32_t v, const char *what, unsigned i)
{
	static const char zeros[PAGE];

	if (v)
		target_check(target_filled(page, PAGE, v), "%s page %u is not version %u", what, i, v);
	else
		target_check(!memcmp(page, zeros, PAGE), "%s page %u is not zero", what, i);
}

static void show(unsigned i)
{
	if (hidden[i])
		target_check(!mprotect(arena + i * PAGE, PAGE, PROT_READ | PROT_WRITE), "%m");
	hidden[i] = false;
}

static void check_arena(unsigned i)
{
	bool was = hidden[i];

	show(i);
	check_page(arena + i * PAGE, version[i], "arena", i);
	hidden[i] = was;
	if (was)
		target_check(!mprotect(arena + i * PAGE, PAGE, PROT_NONE), "%m");
}

static void check_all(void)
{
	for (unsigned i = 0; i < PAGES; i++)
		check_arena(i);
	for (unsigned i = 0; i < OTHERS; i++) {
		check_page(shared + i * PAGE, shared_version[i], "shared", i);
		check_page(file + i * PAGE, file_version[i] ? file_version[i] : 1000000 + i, "file", i);
	}
}

static void fresh(unsigned at, unsigned n)
{
	target_check(mmap(arena + at * PAGE, n * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
	                  0) != MAP_FAILED,
	             "%m");
	memset(version + at, 0, n * sizeof(*version));
}

static void step(void)
{
	unsigned n = 1 + roll(6), at = roll(PAGES - 6), to = roll(PAGES - 6), i = roll(OTHERS);

	switch (roll(9)) {
	case 0: /* given back */
		for (unsigned k = at; k < at + n; k++)
			show(k);
		target_check(!madvise(arena + at * PAGE, n * PAGE, MADV_DONTNEED), "%m");
		memset(version + at, 0, n * sizeof(*version));
		if (roll(2))
			check_arena(at); /* reading puts the zero page there */
		break;
	case 1: /* mapped anew */
		for (unsigned k = at; k < at + n; k++)
			hidden[k] = false;
		fresh(at, n);
		break;
	case 2: /* moved */
		if (at < to + n && to < at + n)
			break;
		for (unsigned k = 0; k < n; k++)
			show(at + k), hidden[to + k] = false;
		for (unsigned k = 0; k < n; k++) /* one by one: there may be several mappings */
			target_check(mremap(arena + (at + k) * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
			                    arena + (to + k) * PAGE) != MAP_FAILED,
			             "%m");
		memmove(version + to, version + at, n * sizeof(*version));
		fresh(at, n);
		break;
	case 3: /* out of reach */
		if (roll(8))
			break;
		target_check(!mprotect(arena + at * PAGE, PAGE, PROT_NONE), "%m");
		hidden[at] = true;
		break;
	case 4: /* written with zeros */
		show(at);
		memset(arena + at * PAGE, 0, PAGE);
		version[at] = 0;
		break;
	case 5:
		target_fill(shared + i * PAGE, PAGE, shared_version[i] = next++);
		break;
	case 6: /* a page of a file, written to or given back */
		file_version[i] = roll(2) ? next++ : 0;
		if (file_version[i])
			target_fill(file + i * PAGE, PAGE, file_version[i]);
		else
			target_check(!madvise(file + i * PAGE, PAGE, MADV_DONTNEED), "%m");
		break;
	default:
		for (unsigned k = at; k < at + n; k++) {
			show(k);
			target_fill(arena + k * PAGE, PAGE, version[k] = next++);
		}
	}
}

static void make_file(void)
{
	const char *path = target_path("pages");
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	char page[PAGE];

	for (unsigned i = 0; i < OTHERS; i++) {
		target_fill(page, PAGE, 1000000 + i);
		target_check(pwrite(fd, page, PAGE, i * PAGE) == PAGE, "%m");
	}
	file = mmap(NULL, OTHERS * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	target_check(file != MAP_FAILED, "%m");
	close(fd);
}

int main(int argc, char **argv)
{
	target_init(argc, argv);
	arena = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	shared = mmap(NULL, OTHERS * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	target_check(arena != MAP_FAILED && shared != MAP_FAILED, "%m");
	make_file();
	for (unsigned i = 0; i < PAGES; i++)
		target_fill(arena + i * PAGE, PAGE, version[i] = next++);
	target_ready();
	for (unsigned turn = 0; target_turn(); turn++) {
		for (int i = 0; i < 3; i++)
			step();
		if (turn % 16 == 0)
			check_all();
	}
	check_all();
	target_done();
}
