/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The work of a page server on one address space: answers faults, follows events, loads ahead. Knows nothing of other
 * processes. */
#ifndef STASIS_LAZY_PAGES_H
#define STASIS_LAZY_PAGES_H

#include "lazy/serve.h"
#include "order.h"

/* Unpacked chunks that are kept: the faults of a guest are all over its memory. */
#define PAGES_CACHE 64
#define PAGES_CACHE_BESIDE_STORE 4

struct pages_chunk {
	uint8_t *data;
	uint32_t number; /* of the chunk; UINT32_MAX: none */
	size_t size;
	uint64_t used; /* when: the least is replaced */
};

struct pages_server {
	struct lazy_job job;
	int uffd[LEDGER_SPACES];      /* -1: none */
	size_t cursor[LEDGER_SPACES]; /* the extent to be loaded ahead next */
	size_t hot, hot_end;          /* of space 0: extents behind the latest fault, which come first */
	uint32_t order[IMG_ORDER_MAX]; /* the working set, of space 0: what another restart of the image had asked for, which comes before */
	size_t n_order, order_at;
	uint32_t asked[IMG_ORDER_MAX]; /* what this one asks for; if there is no order yet */
	size_t n_asked;
	struct pages_chunk cache[PAGES_CACHE];
	size_t n_cache;
	uint64_t clock;
	uint64_t fault_us;                    /* when the latest fault was answered, on the stopwatch */
	uint64_t missing_addr, missing_since; /* microseconds */
	/* A child was forked: its userfaultfd must reach the spare before anything else happens. May be NULL. */
	void (*forked)(struct pages_server *s, uint32_t space);
};

/* Returns 0 or -ENOMEM. */
int pages_init(struct pages_server *s, const struct lazy_job *job);
void pages_finish(struct pages_server *s);

/* Handles all that is waiting in a space. Returns 0, -ESRCH when that space is no more, or a negative errno, worded: then
 * nothing true can be given to the target any more. */
int pages_answer(struct pages_server *s, uint32_t space);

/* A page for every region (see lazy_create()). As pages_answer. */
int pages_first(struct pages_server *s);

/* Loads a little of the working set. As pages_ahead. */
int pages_ordered(struct pages_server *s);

/* Keeps the working set for the next restart, if this was the first that could tell. Whatever speaks against that is no failure. */
void pages_keep_order(struct pages_server *s);

/* Loads a little of a space. Returns 1 when there may be more, 0 when nothing is owed to it, or as pages_answer. */
int pages_ahead(struct pages_server *s, uint32_t space);

/* The space's process has ended or has become another program. */
bool pages_gone(const struct pages_server *s, uint32_t space);
void pages_drop(struct pages_server *s, uint32_t space);

/* After the server before us has died: what it had read and not done is done, and all who wait ask again. As pages_answer. */
int pages_take_over(struct pages_server *s);

#endif
