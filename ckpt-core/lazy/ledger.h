/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a lazy restart still owes its target: which pages of the image are not in memory yet, and where the target has moved or
 * thrown them since. Plain data in memory shared by those who may have to take over from each other.
 *
 * Theory of operation. A page that is owed has its bit set; bits only ever go from set to clear, so that doing it twice does no
 * harm. Where a page belongs is told by segments: address ranges of now, each with the image address it began as. They change
 * only by events of the kernel, which are read one at a time, straight into `msg`: whoever takes over finds there what its
 * predecessor had read, and `applied` of the current table tells whether it was still done. A change of segments is made in the
 * other table, which then becomes the current one by a single store. What no segment covers is owed nothing: it reads as zero.
 * Tests: lazy-ledger, lazy-page-server-killed. */
#ifndef STASIS_LAZY_LEDGER_H
#define STASIS_LAZY_LEDGER_H

#include <linux/userfaultfd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LEDGER_SEGMENTS 4096u
#define LEDGER_SPACES 32u
#define LEDGER_REGIONS 512u
#define LEDGER_PAGE 4096ul

/* A range of image addresses that is loaded lazily; its pages have the bits from `first` on. */
struct ledger_region {
	uint64_t start, end, first;
};

struct ledger_segment {
	uint64_t start, end; /* now */
	uint64_t from;       /* what `start` was in the image */
};

struct ledger_table {
	uint64_t applied; /* number of the newest event in it */
	uint32_t n;
	struct ledger_segment items[LEDGER_SEGMENTS]; /* by start */
};

/* One address space: that of the target, or of a child that it forked meanwhile. */
struct ledger_space {
	bool used;
	uint32_t current;
	struct ledger_table tables[2];
	uint64_t number;     /* of the event in `msg` */
	struct uffd_msg msg; /* event 0: none */
};

struct ledger {
	uint64_t bytes; /* of all of this, for munmap */
	uint32_t n_regions;
	struct ledger_region regions[LEDGER_REGIONS]; /* by start */
	uint64_t n_bits;                              /* a space; whole words */
	uint64_t total, owed_first;                   /* pages: owed at first, and still by space 0 */
	struct ledger_space spaces[LEDGER_SPACES];
	uint64_t bits[]; /* n_bits for space 0, then for 1, ... */
};

/* Makes the ledger with space 0 and nothing owed. `regions` by start, not overlapping, page-aligned. Returns 0, -ENOMEM or
 * -E2BIG. */
int ledger_create(const struct ledger_region *regions, size_t n, struct ledger **ret);
void ledger_destroy(struct ledger *l);

/* Pages [start, end) of the image, within one region, are owed to space 0. */
void ledger_owe(struct ledger *l, uint64_t start, uint64_t end);

/* Where the address of now lies in the image; false when nothing of the image belongs there. */
bool ledger_origin(const struct ledger *l, uint32_t space, uint64_t addr, uint64_t *ret);

/* The first run of pages within [*start, end) of the image that is owed and lies in one piece in memory: moves *start to its
 * beginning. Returns its length in bytes and its address of now, or 0 when there is none. */
size_t ledger_next(const struct ledger *l, uint32_t space, uint64_t *start, uint64_t end, uint64_t *ret_addr);

/* True when the page at this image address is owed. */
bool ledger_owes(const struct ledger *l, uint32_t space, uint64_t image_addr);

/* Pages [start, start + size) of the image, within one region, are owed no more. */
void ledger_settle(struct ledger *l, uint32_t space, uint64_t start, uint64_t size);

/* Takes the layout event in the space's `msg` into account, once. Returns 0, or -ENOSPC when there are too many pieces. */
int ledger_apply(struct ledger *l, uint32_t space);

/* A space for a child that was forked from `parent`: owed what the parent is. Returns its number or -ENOSPC. */
int ledger_fork(struct ledger *l, uint32_t parent);

#endif
