/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sets of pages as sorted ranges of addresses, and what two such sets say of each page. */
#ifndef STASIS_TRACK_RANGES_H
#define STASIS_TRACK_RANGES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/vec.h"

struct range {
	uint64_t start, end;
};
struct ranges { /* in the order of addresses; ranges may touch but not overlap */
	VEC(struct range);
};

/* Appends [start, end), which begins where the last range ends or behind it. Returns 0 or -ENOMEM. */
int ranges_add(struct ranges *r, uint64_t start, uint64_t end);
void ranges_finish(struct ranges *r);

/* Makes `r` what is in both / what is in one of the two. Returns 0 or -ENOMEM: then `r` is as it was. */
int ranges_intersect(struct ranges *r, const struct ranges *with);
int ranges_unite(struct ranges *r, const struct ranges *with);

/* Whether `at` is in it, and up to where, `end` at most, the answer is the same. `*i` begins at 0 for addresses that ascend
 * from call to call. */
bool ranges_have(const struct ranges *r, size_t *i, uint64_t at, uint64_t end, uint64_t *ret_end);

#endif
