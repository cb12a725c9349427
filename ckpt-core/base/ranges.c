// SPDX-License-Identifier: LGPL-2.1-or-later
/* Sorted ranges: the union, the intersection and the difference are found by walking along both at once, from one end of a range to
 * the next. */
#include "base/ranges.h"

int ranges_add(struct ranges *r, uint64_t start, uint64_t end)
{
	struct range *last = r->n ? &r->items[r->n - 1] : NULL;

	if (last && last->end == start) {
		last->end = end;
		return 0;
	}
	return start < end ? vec_push(r, ((struct range){ start, end })) : 0;
}

void ranges_finish(struct ranges *r)
{
	vec_finish(r);
}

size_t ranges_first(const struct ranges *r, uint64_t at)
{
	size_t low = 0, high = r->n;

	while (low < high) {
		const size_t mid = low + (high - low) / 2;
		if (r->items[mid].end <= at)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

bool ranges_have(const struct ranges *r, size_t *i, uint64_t at, uint64_t end, uint64_t *ret_end)
{
	while (*i < r->n && r->items[*i].end <= at)
		++*i;
	const struct range *next = *i < r->n ? &r->items[*i] : NULL;
	bool have = next && next->start <= at;
	uint64_t until = !next ? end : have ? next->end : next->start;
	*ret_end = until < end ? until : end;
	return have;
}

enum combine { COMBINE_AND, COMBINE_OR, COMBINE_NOT };

static int ranges_combine(struct ranges *r, const struct ranges *with, enum combine how)
{
	struct ranges sum = { 0 };
	uint64_t end, end2;
	size_t i = 0, j = 0;
	int err = 0;

	for (uint64_t at = 0; at < UINT64_MAX && !err; at = end) {
		bool a = ranges_have(r, &i, at, UINT64_MAX, &end), b = ranges_have(with, &j, at, UINT64_MAX, &end2);
		end = end2 < end ? end2 : end;
		if (how == COMBINE_AND ? a && b : how == COMBINE_OR ? a || b : a && !b)
			err = ranges_add(&sum, at, end);
	}
	ranges_finish(err ? &sum : r);
	if (!err)
		*r = sum;
	return err;
}

int ranges_intersect(struct ranges *r, const struct ranges *with)
{
	return ranges_combine(r, with, COMBINE_AND);
}

int ranges_unite(struct ranges *r, const struct ranges *with)
{
	return ranges_combine(r, with, COMBINE_OR);
}

int ranges_subtract(struct ranges *r, const struct ranges *with)
{
	return ranges_combine(r, with, COMBINE_NOT);
}

uint64_t ranges_bytes(const struct ranges *r)
{
	uint64_t sum = 0;

	vec_each(r, it)
		sum += it->end - it->start;
	return sum;
}
