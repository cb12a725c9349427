// SPDX-License-Identifier: LGPL-2.1-or-later
/* Runs of pages: appended, cut where pages are taken back, sorted. */
#include "extents.h"

static uint64_t extent_end(const struct disk_extent *it)
{
	return it->offset + (uint64_t)it->n_pages * IMG_PAGE_SIZE;
}

static bool extent_has_chunk(const struct disk_extent *it)
{
	return it->chunk != IMG_NO_CHUNK && it->chunk != IMG_IN_PARENT;
}

int extents_add(struct extents *e, struct disk_extent it)
{
	struct disk_extent *last = e->n ? &e->items[e->n - 1] : NULL;

	if (last && last->space == it.space && last->chunk == it.chunk && last->n_pages <= UINT32_MAX - it.n_pages && extent_end(last) == it.offset &&
	    (!extent_has_chunk(&it) || last->chunk_page + last->n_pages == it.chunk_page)) {
		last->n_pages += it.n_pages;
		return 0;
	}
	return e->n == IMG_MAX_EXTENTS ? -EFBIG : vec_push(e, it);
}

static void extent_uncount(const struct disk_extent *it, uint64_t bytes, struct img_writer_stats *stats)
{
	*(extent_has_chunk(it) ? &stats->page_bytes : it->chunk == IMG_NO_CHUNK ? &stats->zero_bytes : &stats->parent_bytes) -= bytes;
}

/* Appends what of the extent is outside of [start, end) or in `keep`. */
static int extent_cut(struct extents *e, const struct disk_extent *it, uint64_t start, uint64_t end, const struct ranges *keep,
                      struct img_writer_stats *stats)
{
	size_t i = ranges_first(keep, it->offset);
	int err = 0;

	for (uint64_t at = it->offset, next; at < extent_end(it) && !err; at = next) {
		bool stays = true;
		next = extent_end(it);
		if (at < start)
			next = start < next ? start : next;
		else if (at < end)
			stays = ranges_have(keep, &i, at, end < next ? end : next, &next);
		struct disk_extent part = *it;
		part.offset = at;
		part.n_pages = (uint32_t)((next - at) / IMG_PAGE_SIZE);
		if (extent_has_chunk(it))
			part.chunk_page += (uint32_t)((at - it->offset) / IMG_PAGE_SIZE);
		if (stays)
			err = extents_add(e, part);
		else
			extent_uncount(it, next - at, stats);
	}
	return err;
}

int extents_keep(struct extents *e, uint32_t space, uint64_t start, uint64_t end, const struct ranges *keep, struct img_writer_stats *stats)
{
	struct extents old = *e;
	int err = 0;

	*e = (struct extents){ 0 };
	for (size_t i = 0; i < old.n && !err; i++) {
		const struct disk_extent *it = &old.items[i];
		const bool apart = it->space != space || it->offset >= end || extent_end(it) <= start;
		err = apart ? extents_add(e, *it) : extent_cut(e, it, start, end, keep, stats);
	}
	vec_finish(&old);
	return err;
}

static int extents_compare(const void *a, const void *b)
{
	const struct disk_extent *x = a, *y = b;

	if (x->space != y->space)
		return x->space < y->space ? -1 : 1;
	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

const struct disk_extent *extents_sort(struct extents *e)
{
	if (e->n)
		qsort(e->items, e->n, sizeof(*e->items), extents_compare);
	for (size_t i = 1; i < e->n; i++)
		if (e->items[i - 1].space == e->items[i].space && extent_end(&e->items[i - 1]) > e->items[i].offset)
			return &e->items[i];
	return NULL;
}
