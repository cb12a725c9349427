/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Tells whether a page is as it is in the parent image, by comparing all its bytes. */
#ifndef STASIS_IMAGES_SAME_H
#define STASIS_IMAGES_SAME_H

#include "reader.h"

struct same {
	const struct img_reader *parent;  /* with its chain; borrowed */
	const struct img_extent *extents; /* of `space` */
	size_t n, at;
	uint32_t space;
	bool begun;
};

/* `page` belongs at `offset` of `space`. Pages that come in the order of addresses cost the least. Returns 0 or a negative
 * errno, worded: the parent cannot be read. */
int same_page(struct same *same, uint32_t space, uint64_t offset, const void *page, bool *ret);

#endif
