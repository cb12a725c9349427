/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The runs of pages of an image that is being written: where each page of a space lies. In this machine's byte order. */
#ifndef STASIS_IMAGES_EXTENTS_H
#define STASIS_IMAGES_EXTENTS_H

#include "base/ranges.h"
#include "base/vec.h"
#include "format.h"
#include "writer.h"

struct extents {
	VEC(struct disk_extent); /* in the order in which they were added, until they are sorted */
};

/* Appends one, or makes the last one longer when this goes on where that ends. Returns 0, -ENOMEM, or -EFBIG when an image can hold
 * no more. */
int extents_add(struct extents *e, struct disk_extent it);

/* Takes out what lies in [start, end) of a space, but for `keep`, and counts it out of `stats`. Returns 0, -ENOMEM or -EFBIG: then what is
 * left is of no use. */
int extents_keep(struct extents *e, uint32_t space, uint64_t start, uint64_t end, const struct ranges *keep, struct img_writer_stats *stats);

/* Puts them into the order of the index. Returns one of which a page is in another as well, NULL when there is none. */
const struct disk_extent *extents_sort(struct extents *e);

#endif
