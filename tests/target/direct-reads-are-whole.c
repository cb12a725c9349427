// SPDX-License-Identifier: LGPL-2.1-or-later
/* Threads read blocks of a file past the page cache (O_DIRECT, as QEMU does with cache=none) into private memory: the disk writes there
 * by itself, after the kernel has looked at the page tables. Every block is what was read into it last, whatever copied the memory
 * meanwhile. */
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "target.h"

#define BLOCK (256ul << 10)
#define BLOCKS 256
#define PATTERNS 16
#define READERS 8

static struct block {
	pthread_mutex_t lock;
	uint64_t pattern; /* 0: nothing was read yet */
} blocks[BLOCKS];
static char *memory;
static int file;

static void make_file(const char *path)
{
	char *buf = mmap(NULL, BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	target_check(buf != MAP_FAILED && fd >= 0, "%s: %m", path);
	for (uint64_t i = 1; i <= PATTERNS; i++) {
		target_fill(buf, BLOCK, i);
		target_check(write(fd, buf, BLOCK) == (ssize_t)BLOCK, "%s: %m", path);
	}
	target_check(!fsync(fd) && !close(fd), "%s: %m", path);
	munmap(buf, BLOCK);
}

static void check(size_t i)
{
	if (blocks[i].pattern)
		target_check(target_filled(memory + i * BLOCK, BLOCK, blocks[i].pattern), "block %zu is not what was read last", i);
}

/* Looks at a block before it reads into it. */
static void *reader(void *arg)
{
	uint64_t rng = (uintptr_t)arg * 0x9e3779b97f4a7c15ul;

	while (!target_finishing()) {
		rng = rng * 6364136223846793005ul + 1442695040888963407ul;
		struct block *b = &blocks[(rng >> 33) % BLOCKS];
		const size_t i = (size_t)(b - blocks);
		const uint64_t pattern = 1 + (rng >> 48) % PATTERNS;
		pthread_mutex_lock(&b->lock);
		check(i);
		target_check(pread(file, memory + i * BLOCK, BLOCK, (off_t)((pattern - 1) * BLOCK)) == (ssize_t)BLOCK, "%m");
		b->pattern = pattern;
		pthread_mutex_unlock(&b->lock);
		target_sleep_ms(1);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t readers[READERS];

	target_init(argc, argv);
	make_file(target_path("disk"));
	if ((file = open(target_path("disk"), O_RDONLY | O_DIRECT | O_CLOEXEC)) < 0)
		target_skip("this file system has no direct I/O: %m");
	memory = mmap(NULL, BLOCKS * BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	target_check(memory != MAP_FAILED, "%m");
	for (size_t i = 0; i < BLOCKS; i++)
		pthread_mutex_init(&blocks[i].lock, NULL);
	target_ticker_start(NULL);
	for (uintptr_t i = 0; i < READERS; i++)
		readers[i] = target_thread(reader, (void *)(i + 1));
	target_ready();
	for (size_t i = 0; i < READERS; i++)
		pthread_join(readers[i], NULL);
	for (size_t i = 0; i < BLOCKS; i++)
		check(i);
	target_done();
}
