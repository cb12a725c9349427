/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Chunks on their way to the file: filled by one thread, packed by a few others, taken out again in the order they were
 * put in. With the codec "none", or on a single CPU, there are no other threads and the packing happens in pool_submit. */
#ifndef STASIS_IMAGES_POOL_H
#define STASIS_IMAGES_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "writer.h"

struct pool_chunk {
	uint8_t *raw; /* IMG_CHUNK_BYTES of room */
	size_t raw_size;
	/* once it is done: */
	const uint8_t *stored;
	size_t stored_size;
	enum img_codec codec;
	uint64_t checksum;
	int err;
	/* the pool's own: */
	uint8_t *packed;
	bool done;
};

struct pool;

/* Starts the threads, with all signals blocked. Returns 0 or -ENOMEM. */
int pool_create(enum img_codec codec, int level, struct pool **ret);
void pool_destroy(struct pool *pool);

/* The chunk to fill next, or NULL when all are under way (take one out first). */
struct pool_chunk *pool_slot(struct pool *pool);
/* Hands over what pool_slot gave, with raw_size set. */
void pool_submit(struct pool *pool);
/* The oldest chunk handed over once it is done; NULL when there is none, or it is not done and `wait` is false. */
struct pool_chunk *pool_oldest(struct pool *pool, bool wait);
/* Gives that chunk back for filling. */
void pool_release(struct pool *pool);

#endif
