/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* An opened image as reader.c builds it and chunk.c uses it. Everything but the scratch list is unchanging once it is open. */
#ifndef STASIS_IMAGES_OPENED_H
#define STASIS_IMAGES_OPENED_H

#include <pthread.h>

#include "codec.h"
#include "format.h"

/* What one call of img_reader_chunk needs for itself. */
struct img_scratch {
	struct img_scratch *next;
	struct codec_unpack *unpack;
	uint8_t *stored; /* IMG_CHUNK_BYTES */
};

struct img_reader {
	struct reporter *rep;
	char *path;
	int fd;
	uint64_t file_bytes;
	struct disk_footer foot; /* in this machine's byte order */
	char *records;           /* the record section as it lies in the file */
	size_t *record_at;       /* where each begins in it */
	size_t n_records;
	struct img_chunk *chunks;
	size_t n_chunks;         /* with those of the parents */
	size_t n_own;            /* in this file; the parent's number 0 is our number n_own */
	struct img_extent *extents;
	size_t n_extents;
	pthread_mutex_t lock; /* guards scratch and, for threads that fail at once, rep */
	struct img_scratch *scratch;
	bool incremental;        /* the header says so */
	struct img_parent said;  /* of the parent */
	struct img_reader *parent; /* open; NULL when there is none, or it was not wanted */
	unsigned depth;          /* parents below this one */
	struct img_cached *cached; /* unpacked chunks, for those who go to and fro between the files of a chain */
	size_t n_cached;
	uint64_t clock;          /* of the cache: counts its uses */
};

struct img_cached {
	size_t chunk, size; /* size 0: empty */
	uint64_t used;
	uint8_t *data;
};

/* A chunk out of the cache, put there if need be. The memory is the reader's and stays good for as many other chunks as the chain has
 * files. Not for use by several threads. */
int img_reader_borrow(const struct img_reader *r, size_t chunk, const uint8_t **ret, size_t *ret_size);

/* Opens one file and nothing of its parents. */
int img_reader_open_one(struct reporter *rep, const char *path, struct img_reader **ret);

void img_reader_free_scratch(struct img_reader *r);

#endif
