// SPDX-License-Identifier: LGPL-2.1-or-later
/* The C library's allocator at work on memory that is restarted lazily: small and large blocks come, grow, shrink and go, on
 * the heap and in mappings of their own, the heap's top is given back to the kernel; all blocks keep what was written to them,
 * and calloc() gives zeros. */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "target.h"

#define SLOTS 400

static struct slot {
	char *p;
	size_t size;
	uint64_t seed;
} slots[SLOTS];
static uint64_t rng, next_seed = 1;

static uint64_t draw(uint64_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return rng % n;
}

static size_t some_size(void)
{
	return draw(20) ? 1000 + draw(100000) : 200000 + draw(3000000);
}

static void check(const struct slot *s, size_t size)
{
	target_check(target_filled(s->p, size, s->seed), "slot %td: %zu bytes are not what was written", s - slots, size);
}

static void renew(struct slot *s)
{
	if (s->p)
		check(s, s->size);
	free(s->p);
	s->size = some_size();
	target_check((s->p = calloc(1, s->size)), "no memory");
	for (size_t i = 0; i < s->size; i += 509)
		target_check(!s->p[i], "calloc() gives %02x at %zu", (unsigned char)s->p[i], i);
	target_fill(s->p, s->size, s->seed = next_seed++);
}

/* Pages that nobody has read yet are moved by the kernel (mremap) or copied. */
static void resize(struct slot *s)
{
	size_t was = s->size;

	if (!s->p)
		return;
	s->size = some_size();
	target_check((s->p = realloc(s->p, s->size)), "no memory");
	check(s, was < s->size ? was : s->size);
	target_fill(s->p, s->size, s->seed = next_seed++);
}

static void drop(struct slot *s)
{
	if (s->p)
		check(s, s->size);
	free(s->p);
	s->p = NULL;
}

int main(int argc, char **argv)
{
	target_init(argc, argv);
	mallopt(M_MMAP_THRESHOLD, 1 << 20);
	mallopt(M_TRIM_THRESHOLD, 64 << 10);
	rng = target_random() | 1;
	for (int i = 0; i < SLOTS; i++)
		renew(&slots[i]);
	target_ready();
	for (int turn = 0; target_turn(); turn++) {
		renew(&slots[draw(SLOTS)]);
		resize(&slots[draw(SLOTS)]);
		drop(&slots[draw(SLOTS)]);
		if (turn % 10 == 0)
			malloc_trim(0); /* MADV_DONTNEED all over the heap */
	}
	for (int i = 0; i < SLOTS; i++)
		drop(&slots[i]);
	target_done();
}
