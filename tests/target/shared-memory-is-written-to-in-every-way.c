// SPDX-License-Identifier: LGPL-2.1-or-later
/* Shared memory, of a memory file, of a file on tmpfs and without a file, changes in the ordinary way, through its mappings, and in some
 * of those that no page table tells of: by descriptor, by holes, through mappings that are gone again. Which of these it is about in
 * this run is drawn. Every page always reads as what was put there last. */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "target.h"

#define PAGE 4096ul
#define PAGES 2048ul

static struct memory {
	int fd;      /* -1: without a file */
	char *at[2]; /* the same twice */
	uint64_t seed[PAGES]; /* 0: zeros */
} memories[3];
static uint64_t rng, next_seed = 1;
static unsigned ways;

static uint64_t draw(uint64_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng % n;
}

static void check(const struct memory *m, size_t i)
{
	static const char zeros[PAGE];
	const char *p = m->at[draw(2)] + i * PAGE;

	if (m->seed[i])
		target_check(target_filled(p, PAGE, m->seed[i]), "memory %td page %zu: not what was written", m - memories, i);
	else
		target_check(!memcmp(p, zeros, PAGE), "memory %td page %zu: not zero but %02x", m - memories, i, (unsigned char)*p);
}

static void ordinary(struct memory *m)
{
	for (int k = 0; k < 8; k++) {
		const size_t i = draw(PAGES);
		target_fill(m->at[draw(2)] + i * PAGE, PAGE, m->seed[i] = next_seed++);
		check(m, draw(PAGES));
	}
}

static void by_descriptor(struct memory *m)
{
	static char buf[PAGE];
	const size_t i = draw(PAGES);

	if (m->fd < 0)
		return;
	target_fill(buf, PAGE, m->seed[i] = next_seed++);
	target_check(pwrite(m->fd, buf, PAGE, (off_t)(i * PAGE)) == (ssize_t)PAGE, "%m");
}

/* And what it is then may be looked at, which makes a page of it. */
static void hole(struct memory *m, bool by_advice)
{
	const size_t n = 1 + draw(16), i = draw(PAGES - n);

	if (by_advice)
		target_check(!madvise(m->at[0] + i * PAGE, n * PAGE, MADV_REMOVE), "%m");
	else
		target_check(!fallocate(m->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)(i * PAGE), (off_t)(n * PAGE)), "%m");
	memset(&m->seed[i], 0, n * sizeof(m->seed[0]));
	if (draw(2))
		check(m, i + draw(n));
}

static void hole_by_advice(struct memory *m)
{
	hole(m, true);
}

static void hole_by_descriptor(struct memory *m)
{
	if (m->fd >= 0)
		hole(m, false);
}

static void other_mapping(struct memory *m)
{
	const size_t i = draw(PAGES);

	if (m->fd < 0)
		return;
	char *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd, (off_t)(i * PAGE));
	target_check(p != MAP_FAILED, "%m");
	target_fill(p, PAGE, m->seed[i] = next_seed++);
	munmap(p, PAGE);
}

static void move(struct memory *m)
{
	char *to = mmap(NULL, PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	target_check(to != MAP_FAILED, "%m");
	to = mremap(m->at[1], PAGES * PAGE, PAGES * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to);
	target_check(to != MAP_FAILED, "%m");
	m->at[1] = to;
}

static void (*const doings[])(struct memory *m) = { by_descriptor, hole_by_advice, hole_by_descriptor, other_mapping, move };
#define DOINGS (sizeof(doings) / sizeof(*doings))

static void map(struct memory *m)
{
	const int flags = MAP_SHARED | (m->fd < 0 ? MAP_ANONYMOUS : 0);

	target_check(m->fd < 0 || !ftruncate(m->fd, PAGES * PAGE), "%m");
	m->at[0] = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, flags, m->fd, 0);
	target_check(m->at[0] != MAP_FAILED, "%m");
	m->at[1] = mremap(m->at[0], 0, PAGES * PAGE, MREMAP_MAYMOVE);
	target_check(m->at[1] != MAP_FAILED, "%m");
	for (size_t i = 0; i < PAGES; i++)
		if (i % 5)
			target_fill(m->at[i % 2] + i * PAGE, PAGE, m->seed[i] = next_seed++);
}

int main(int argc, char **argv)
{
	target_init(argc, argv);
	rng = target_random() | 1;
	ways = draw(3) ? 1u << draw(DOINGS) : (unsigned)draw(1u << DOINGS);
	memories[0].fd = memfd_create("written-to", MFD_CLOEXEC);
	memories[1].fd = open("/dev/shm", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	memories[2].fd = -1;
	target_check(memories[0].fd >= 0, "%m");
	for (int k = 0; k < 3; k++)
		map(&memories[k]);
	target_ready();
	while (target_turn()) {
		struct memory *m = &memories[draw(3)];
		ordinary(m);
		for (size_t way = 0; way < DOINGS; way++)
			if (ways & 1u << way && draw(2))
				doings[way](&memories[draw(3)]);
	}
	for (int k = 0; k < 3; k++)
		for (size_t i = 0; i < PAGES; i++)
			check(&memories[k], i);
	target_done();
}
