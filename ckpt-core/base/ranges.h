/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sets of pages as sorted ranges of addresses, and what two such sets say of each page. */
#ifndef STASIS_BASE_RANGES_H
#define STASIS_BASE_RANGES_H

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

/* Makes `r` what is in both / what is in one of the two / what of it is not in `with`. Returns 0 or -ENOMEM: then `r` is as it was. */
int ranges_intersect(struct ranges *r, const struct ranges *with);
int ranges_unite(struct ranges *r, const struct ranges *with);
int ranges_subtract(struct ranges *r, const struct ranges *with);

/* How many bytes they are together. */
uint64_t ranges_bytes(const struct ranges *r);

/* The number of the first range that ends behind `at`; how many there are when none does. */
size_t ranges_first(const struct ranges *r, uint64_t at);

/* Whether `at` is in it, and up to where, `end` at most, the answer is the same. `*i` begins at 0, or with ranges_first(), for addresses
 * that ascend from call to call. */
bool ranges_have(const struct ranges *r, size_t *i, uint64_t at, uint64_t end, uint64_t *ret_end);

#endif
