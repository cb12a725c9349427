// SPDX-License-Identifier: LGPL-2.1-or-later
/* Compares pages with those of the parent image. All bytes count and no hash does, so that "the same" is never wrong; the
 * parent's chunks are unpacked one after the other as pages come in order, and kept by the reader as long as they are of use.
 */
#include "same.h"

#include <errno.h>
#include <string.h>

#include "opened.h"

/* The extent that covers `offset`, or NULL. Mostly it is the one of last time, or the next. */
static const struct img_extent *same_find(struct same *s, uint64_t offset)
{
	size_t low = 0, high = s->n;

	for (size_t i = s->at; i < s->n && i < s->at + 2; i++) {
		const struct img_extent *it = &s->extents[i];
		if (offset >= it->offset && offset - it->offset < (uint64_t)it->n_pages * IMG_PAGE_SIZE) {
			s->at = i;
			return it;
		}
	}
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (s->extents[mid].offset + (uint64_t)s->extents[mid].n_pages * IMG_PAGE_SIZE <= offset)
			low = mid + 1;
		else
			high = mid;
	}
	s->at = low;
	return low < s->n && s->extents[low].offset <= offset ? &s->extents[low] : NULL;
}

int same_page(struct same *s, uint32_t space, uint64_t offset, const void *page, bool *ret)
{
	const uint8_t *chunk;
	size_t size;

	*ret = false;
	if (!s->begun || s->space != space) {
		s->extents = img_reader_extents(s->parent, space, &s->n);
		s->space = space;
		s->at = 0;
		s->begun = true;
	}
	const struct img_extent *it = same_find(s, offset);
	if (!it || it->zero)
		return 0;
	int err = img_reader_borrow(s->parent, it->chunk, &chunk, &size);
	if (err)
		return err;
	*ret = !memcmp(chunk + (uint64_t)it->chunk_page * IMG_PAGE_SIZE + (offset - it->offset), page, IMG_PAGE_SIZE);
	return 0;
}
