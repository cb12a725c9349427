/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Chunks of an image, read, checked and unpacked once, for the page servers of many restarts of it: memory that they share. A
 * chunk appears in it when the first of them needs it. */
#ifndef STASIS_LAZY_STORE_H
#define STASIS_LAZY_STORE_H

#include <stdatomic.h>
#include <stdint.h>

#include "reader.h"

enum store_state { STORE_NONE, STORE_BUSY, STORE_READY };

struct stasis_page_store {
	uint64_t bytes; /* of all of this, for munmap */
	uint8_t content_id[16];
	uint64_t n_chunks, data_offset;
	_Atomic uint8_t state[]; /* enum store_state; then, at data_offset, the chunks */
};

/* Returns 0 or -ENOMEM. */
int store_create(const struct img_reader *reader, struct stasis_page_store **ret);
void store_destroy(struct stasis_page_store *store);

/* The chunk if it is there, else NULL; and, if nobody else is about it, `*ret_room` to put it into, to be told by store_done.
 * One whose server died in between stays away, and each reads it for itself. */
const uint8_t *store_get(struct stasis_page_store *store, uint32_t chunk, uint8_t **ret_room);
void store_done(struct stasis_page_store *store, uint32_t chunk, bool good);

#endif
