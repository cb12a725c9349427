// SPDX-License-Identifier: LGPL-2.1-or-later
/* Memory is written to not by plain stores but by the kernel (read, direct reads, process_vm_writev), by another thread and by
 * a child that shares it, is copied by forks and moved in whole page tables, with small and huge pages, and each page always
 * holds what a table says: the traps of incremental checkpoints that rely on the kernel's notes of what was written to. */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "target.h"

#define PAGE 4096
#define BLOCK (2 << 20) /* what one page table maps */
#define BLOCK_PAGES (BLOCK / PAGE)
#define BLOCKS 6
#define PAGES (BLOCKS * BLOCK_PAGES)
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

static char *arena, *spare;               /* `spare` has room for one block */
static uint32_t version[PAGES], next = 1; /* 0: zeros */
static uint64_t state = 88172645463325252u;
static int pipes[2], file = -1;
static char *staging;

static uint32_t roll(uint32_t n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 16) % n;
}

static char *page(unsigned i)
{
	return arena + (size_t)i * PAGE;
}

static void check_page(unsigned i)
{
	static const char zeros[PAGE];

	if (version[i])
		target_check(target_filled(page(i), PAGE, version[i]), "page %u is not version %u", i, version[i]);
	else
		target_check(!memcmp(page(i), zeros, PAGE), "page %u is not zero", i);
}

static void check_all(void)
{
	for (unsigned i = 0; i < PAGES; i++)
		check_page(i);
}

/* Fills `staging` with the next version of page i, for somebody else to copy. */
static void stage(unsigned i)
{
	target_fill(staging, PAGE, version[i] = next++);
}

static void by_pipe(unsigned i)
{
	stage(i);
	target_check(write(pipes[1], staging, PAGE) == PAGE, "%m");
	for (size_t n = 0; n < PAGE;) {
		ssize_t r = read(pipes[0], page(i) + n, PAGE - n);
		target_check(r > 0, "%m");
		n += (size_t)r;
	}
}

static void by_direct_read(unsigned i)
{
	stage(i);
	target_check(pwrite(file, staging, PAGE, 0) == PAGE && pread(file, page(i), PAGE, 0) == PAGE, "%m");
}

static void by_vm_write(unsigned i)
{
	struct iovec local = { staging, PAGE }, remote = { page(i), PAGE };

	stage(i);
	target_check(process_vm_writev(getpid(), &local, 1, &remote, 1, 0) == PAGE, "%m");
}

static void *write_page(void *arg)
{
	unsigned i = *(unsigned *)arg;

	target_fill(page(i), PAGE, version[i] = next++);
	return NULL;
}

static void by_thread(unsigned i)
{
	pthread_t thread;

	target_check(!pthread_create(&thread, NULL, write_page, &i) && !pthread_join(thread, NULL), "no thread");
}

static int in_child(void *arg)
{
	write_page(arg);
	return 0;
}

/* A child that shares the memory, as of vfork; and one that has a copy, which both then write to. */
static void by_child(unsigned i, bool shared)
{
	static char stack[65536] __attribute__((aligned(16)));
	pid_t pid = clone(in_child, stack + sizeof(stack), SIGCHLD | (shared ? CLONE_VM : 0), &i);

	if (!shared && pid > 0)
		write_page(&i);
	target_check(pid > 0 && waitpid(pid, NULL, 0) == pid, "%m");
}

/* Two blocks change places, by their page tables. */
static void swap_blocks(unsigned a, unsigned b)
{
	uint32_t old[BLOCK_PAGES];
	struct {
		char *from, *to;
	} moves[] = { { page(a * BLOCK_PAGES), spare },
		      { page(b * BLOCK_PAGES), page(a * BLOCK_PAGES) },
		      { spare, page(b * BLOCK_PAGES) } };

	for (unsigned i = 0; i < 3; i++)
		target_check(mremap(moves[i].from, BLOCK, BLOCK, MREMAP_MAYMOVE | MREMAP_FIXED, moves[i].to) != MAP_FAILED,
		             "%m");
	memcpy(old, version + a * BLOCK_PAGES, sizeof(old));
	memcpy(version + a * BLOCK_PAGES, version + b * BLOCK_PAGES, sizeof(old));
	memcpy(version + b * BLOCK_PAGES, old, sizeof(old));
}

/* One moves to where another was, and is mapped again, or still, where it was itself. */
static void move_block(unsigned from, unsigned to, bool stays)
{
	char *a = page(from * BLOCK_PAGES), *b = page(to * BLOCK_PAGES);

	stays = stays && mremap(a, BLOCK, BLOCK, MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP, b) == b;
	if (!stays)
		target_check(mremap(a, BLOCK, BLOCK, MREMAP_MAYMOVE | MREMAP_FIXED, b) == b &&
		                     mmap(a, BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
		                             a,
		             "%m");
	memcpy(version + to * BLOCK_PAGES, version + from * BLOCK_PAGES, BLOCK_PAGES * sizeof(*version));
	memset(version + from * BLOCK_PAGES, 0, BLOCK_PAGES * sizeof(*version));
}

static void change_block(unsigned b)
{
	unsigned other = (b + 1 + roll(BLOCKS - 1)) % BLOCKS;
	char *at = page(b * BLOCK_PAGES);

	switch (roll(7)) {
	case 0:
		swap_blocks(b, other);
		break;
	case 1:
	case 2:
		move_block(b, other, roll(2));
		break;
	case 3: /* fails where there is nothing to be gained */
		madvise(at, BLOCK, MADV_COLLAPSE);
		break;
	case 4:
		madvise(at, BLOCK, roll(2) ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
		break;
	case 5:
		target_check(!madvise(at, BLOCK, MADV_DONTNEED), "%m");
		memset(version + b * BLOCK_PAGES, 0, BLOCK_PAGES * sizeof(*version));
		break;
	default: /* read only for a while; the kernel may not write to it either */
		target_check(!mprotect(at, BLOCK, PROT_READ), "%m");
		target_check(read(file, at, PAGE) < 0, "read into read-only memory");
		check_page(b * BLOCK_PAGES);
		target_check(!mprotect(at, BLOCK, PROT_READ | PROT_WRITE), "%m");
	}
}

static void step(unsigned turn)
{
	unsigned i = roll(PAGES);

	switch (roll(7)) {
	case 0:
		by_pipe(i);
		break;
	case 1:
		by_direct_read(i);
		break;
	case 2:
		by_vm_write(i);
		break;
	case 3:
		by_thread(i);
		break;
	case 4:
		if (turn % 4 == 0) /* while there is a child no checkpoint can be made */
			by_child(i, roll(2));
		break;
	case 5:
		if (roll(4) == 0)
			change_block(roll(BLOCKS));
		break;
	default:
		write_page(&i);
	}
}

static char *map_blocks(size_t n)
{
	char *p = mmap(NULL, (n + 1) * BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	target_check(p != MAP_FAILED, "%m");
	return p + (BLOCK - (uintptr_t)p % BLOCK) % BLOCK;
}

int main(int argc, char **argv)
{
	target_init(argc, argv);
	arena = map_blocks(BLOCKS);
	spare = map_blocks(1);
	staging = map_blocks(1);
	for (unsigned b = 0; b < BLOCKS; b += 2)
		madvise(page(b * BLOCK_PAGES), BLOCK, MADV_HUGEPAGE);
	for (unsigned i = 0; i < PAGES; i++)
		target_fill(page(i), PAGE, version[i] = next++);
	file = open(target_path("direct"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_DIRECT, 0600);
	if (file < 0)
		file = open(target_path("direct"), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	target_check(file >= 0 && !pipe2(pipes, O_CLOEXEC), "%m");
	stage(0);
	version[0] = 0, memset(page(0), 0, PAGE);
	target_check(pwrite(file, staging, PAGE, 0) == PAGE, "%m");
	target_ready();
	for (unsigned turn = 0; target_turn(); turn++) {
		for (int i = 0; i < 4; i++)
			step(turn);
		if (turn % 16 == 0)
			check_all();
	}
	check_all();
	target_done();
}
