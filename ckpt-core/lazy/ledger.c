// SPDX-License-Identifier: LGPL-2.1-or-later
/* Bits and segments of a lazy restart: arithmetic only, no system calls but the allocation. */
#include "lazy/ledger.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

int ledger_create(const struct ledger_region *regions, size_t n, struct ledger **ret)
{
	uint64_t bits = 0;

	if (n > LEDGER_REGIONS)
		return -E2BIG;
	for (size_t i = 0; i < n; i++)
		bits += (regions[i].end - regions[i].start) / LEDGER_PAGE;
	bits = (bits + 63) & ~63ul;
	uint64_t bytes = sizeof(struct ledger) + bits / 8 * LEDGER_SPACES;
	struct ledger *l = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (l == MAP_FAILED)
		return -ENOMEM;
	l->bytes = bytes;
	l->n_bits = bits;
	bits = 0;
	for (size_t i = 0; i < n; i++) {
		l->regions[i] = (struct ledger_region){ regions[i].start, regions[i].end, bits };
		l->spaces[0].tables[0].items[i] = (struct ledger_segment){ regions[i].start, regions[i].end, regions[i].start };
		bits += (regions[i].end - regions[i].start) / LEDGER_PAGE;
	}
	l->n_regions = l->spaces[0].tables[0].n = (uint32_t)n;
	l->spaces[0].used = true;
	*ret = l;
	return 0;
}

void ledger_destroy(struct ledger *l)
{
	if (l)
		munmap(l, l->bytes);
}

/* ---- bits ---- */

static const struct ledger_region *region_of(const struct ledger *l, uint64_t image_addr)
{
	size_t low = 0, high = l->n_regions;

	while (low < high) { /* the first that ends behind it */
		size_t mid = (low + high) / 2;
		if (l->regions[mid].end <= image_addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low < l->n_regions && l->regions[low].start <= image_addr ? &l->regions[low] : NULL;
}

static uint64_t *words_of(const struct ledger *l, uint32_t space)
{
	return (uint64_t *)(uintptr_t)&l->bits[l->n_bits / 64 * space];
}

static uint64_t bit_of(const struct ledger_region *r, uint64_t image_addr)
{
	return r->first + (image_addr - r->start) / LEDGER_PAGE;
}

static bool bit_test(const uint64_t *words, uint64_t bit)
{
	return words[bit / 64] >> bit % 64 & 1;
}

void ledger_owe(struct ledger *l, uint64_t start, uint64_t end)
{
	const struct ledger_region *r = region_of(l, start);
	uint64_t *words = words_of(l, 0);

	for (uint64_t at = start; r && at < end && at < r->end; at += LEDGER_PAGE) {
		uint64_t bit = bit_of(r, at);
		l->total += !bit_test(words, bit);
		words[bit / 64] |= 1ul << bit % 64;
	}
	l->owed_first = l->total;
}

bool ledger_owes(const struct ledger *l, uint32_t space, uint64_t image_addr)
{
	const struct ledger_region *r = region_of(l, image_addr);

	return r && bit_test(words_of(l, space), bit_of(r, image_addr));
}

void ledger_settle(struct ledger *l, uint32_t space, uint64_t start, uint64_t size)
{
	const struct ledger_region *r = region_of(l, start);
	uint64_t *words = words_of(l, space);

	for (uint64_t at = start; r && at < start + size && at < r->end; at += LEDGER_PAGE) {
		uint64_t bit = bit_of(r, at);
		if (!bit_test(words, bit))
			continue;
		words[bit / 64] &= ~(1ul << bit % 64);
		if (!space)
			l->owed_first--;
	}
}

/* ---- segments ---- */

static const struct ledger_table *table_of(const struct ledger *l, uint32_t space)
{
	return &l->spaces[space].tables[l->spaces[space].current];
}

bool ledger_origin(const struct ledger *l, uint32_t space, uint64_t addr, uint64_t *ret)
{
	const struct ledger_table *t = table_of(l, space);

	for (uint32_t i = 0; i < t->n; i++)
		if (addr >= t->items[i].start && addr < t->items[i].end) {
			*ret = t->items[i].from + (addr - t->items[i].start);
			return true;
		}
	return false;
}

/* The segment that holds this page of the image. An image page is in one place at most. */
static const struct ledger_segment *segment_from(const struct ledger_table *t, uint64_t image_addr)
{
	for (uint32_t i = 0; i < t->n; i++) {
		const struct ledger_segment *s = &t->items[i];
		if (image_addr >= s->from && image_addr - s->from < s->end - s->start)
			return s;
	}
	return NULL;
}

size_t ledger_next(const struct ledger *l, uint32_t space, uint64_t *start, uint64_t end, uint64_t *ret_addr)
{
	const uint64_t *words = words_of(l, space);

	const struct ledger_region *r = NULL;

	for (uint64_t at = *start; at < end; at += LEDGER_PAGE) {
		if (!r || at >= r->end)
			r = region_of(l, at);
		if (!r || !bit_test(words, bit_of(r, at)))
			continue;
		const struct ledger_segment *s = segment_from(table_of(l, space), at);
		if (!s) /* thrown away while this very bit was being looked at by a predecessor */
			continue;
		uint64_t stop = s->from + (s->end - s->start), n = LEDGER_PAGE;
		if (stop > end)
			stop = end;
		while (at + n < stop && at + n < r->end && bit_test(words, bit_of(r, at + n)))
			n += LEDGER_PAGE;
		*start = at;
		*ret_addr = s->start + (at - s->from);
		return n;
	}
	*start = end;
	return 0;
}

/* The part of a segment within [start, end); false when there is none. */
static bool segment_part(const struct ledger_segment *s, uint64_t start, uint64_t end, struct ledger_segment *ret)
{
	uint64_t a = s->start > start ? s->start : start, b = s->end < end ? s->end : end;

	*ret = (struct ledger_segment){ a, b, s->from + (a - s->start) };
	return a < b;
}

static int table_add(struct ledger_table *t, struct ledger_segment s)
{
	if (t->n == LEDGER_SEGMENTS)
		return -ENOSPC;
	uint32_t i = t->n++;
	for (; i && t->items[i - 1].start > s.start; i--)
		t->items[i] = t->items[i - 1];
	t->items[i] = s;
	return 0;
}

/* Copies what of `s` lies outside of [start, end). */
static int table_add_outside(struct ledger_table *t, const struct ledger_segment *s, uint64_t start, uint64_t end)
{
	struct ledger_segment part;
	int err = 0;

	if (segment_part(s, 0, start, &part))
		err = table_add(t, part);
	if (!err && segment_part(s, end, UINT64_MAX, &part))
		err = table_add(t, part);
	return err;
}

/* Whatever the image has for [start, end) of now is owed no more. */
static void settle_now(struct ledger *l, uint32_t space, uint64_t start, uint64_t end)
{
	const struct ledger_table *t = table_of(l, space);
	struct ledger_segment part;

	for (uint32_t i = 0; i < t->n; i++)
		if (segment_part(&t->items[i], start, end, &part))
			ledger_settle(l, space, part.from, part.end - part.start);
}

/* Builds in `to` the segments after the event. */
static int table_change(const struct ledger_table *now, const struct uffd_msg *msg, struct ledger_table *to)
{
	bool moves = msg->event == UFFD_EVENT_REMAP;
	uint64_t start = moves ? msg->arg.remap.from : msg->arg.remove.start;
	uint64_t end = moves ? start + msg->arg.remap.len : msg->arg.remove.end;
	struct ledger_segment part;
	int err = 0;

	to->n = 0;
	for (uint32_t i = 0; i < now->n && !err; i++) {
		err = table_add_outside(to, &now->items[i], start, end);
		if (err || !moves || !segment_part(&now->items[i], start, end, &part))
			continue;
		uint64_t shift = msg->arg.remap.to - start;
		err = table_add(to, (struct ledger_segment){ part.start + shift, part.end + shift, part.from });
	}
	return err;
}

int ledger_apply(struct ledger *l, uint32_t space)
{
	struct ledger_space *s = &l->spaces[space];
	const struct ledger_table *now = table_of(l, space);
	struct ledger_table *next = &s->tables[!s->current];
	const struct uffd_msg *msg = &s->msg;

	if (now->applied == s->number)
		return 0;
	if (msg->event == UFFD_EVENT_REMOVE || msg->event == UFFD_EVENT_UNMAP)
		settle_now(l, space, msg->arg.remove.start, msg->arg.remove.end);
	if (msg->event == UFFD_EVENT_REMAP || msg->event == UFFD_EVENT_UNMAP) {
		int err = table_change(now, msg, next);
		if (err)
			return err;
		next->applied = s->number;
		atomic_thread_fence(memory_order_release);
		s->current = !s->current;
	}
	return 0;
}

int ledger_fork(struct ledger *l, uint32_t parent)
{
	for (uint32_t i = 1; i < LEDGER_SPACES; i++) {
		struct ledger_space *s = &l->spaces[i];
		if (s->used)
			continue;
		memset(&s->msg, 0, sizeof(s->msg));
		s->number = 0;
		s->current = 0;
		s->tables[0].n = table_of(l, parent)->n;
		s->tables[0].applied = 0;
		memcpy(s->tables[0].items, table_of(l, parent)->items, s->tables[0].n * sizeof(s->tables[0].items[0]));
		memcpy(words_of(l, i), words_of(l, parent), l->n_bits / 8);
		atomic_thread_fence(memory_order_release);
		s->used = true;
		return (int)i;
	}
	return -ENOSPC;
}
