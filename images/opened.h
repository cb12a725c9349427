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
	size_t n_chunks;
	struct img_extent *extents;
	size_t n_extents;
	pthread_mutex_t lock; /* guards scratch and, for threads that fail at once, rep */
	struct img_scratch *scratch;
};

void img_reader_free_scratch(struct img_reader *r);

#endif
