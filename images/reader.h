/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads an image. Opening checks header, footer, index and every record's checksum; page chunks are checked as they are
 * loaded. No content of a file, however damaged or hostile, does more than make a call fail with a reason. */
#ifndef STASIS_IMAGES_READER_H
#define STASIS_IMAGES_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/report.h"
#include "parent.h"
#include "schema.h"
#include "writer.h"

struct img_reader;

/* An incremental image is opened together with all its parents: extents, chunks and page data are then those of the whole chain,
 * chunks of the image itself first, and nobody needs to know that there is a chain. */
int img_reader_open(struct reporter *rep, const char *path, struct img_reader **ret);

struct img_open_options {
	const char *parent_dir; /* where parents are looked for first; NULL = only where the image says */
	bool alone;             /* do not open parents: only records and the lists of pages are to be looked at */
};
int img_reader_open_with(struct reporter *rep, const char *path, const struct img_open_options *options, struct img_reader **ret);
void img_reader_destroy(struct img_reader *r);

const char *img_reader_path(const struct img_reader *r);
int img_reader_fd(const struct img_reader *r); /* borrowed; read it with pread only */
bool img_reader_has_fd(const struct img_reader *r, int fd); /* whether it is that of the image or of one of its parents */
const uint8_t *img_reader_content_id(const struct img_reader *r); /* 16 bytes, from the checksums of all that is inside */

/* What an incremental image says of its parent; NULL for an image that is whole. */
const struct img_parent *img_reader_parent(const struct img_reader *r);
/* How many parents were opened; whether `st_dev`, `st_ino` is the file of one of the chain, the image included. */
unsigned img_reader_chain(const struct img_reader *r);
bool img_reader_has_file(const struct img_reader *r, uint64_t st_dev, uint64_t st_ino);

/* The i-th record (0-based) as it lies in the image; data is borrowed. Returns false past the end. */
struct img_raw_record {
	char tag[5];
	uint16_t version, flags;
	const void *data;
	size_t size;
};
bool img_reader_record(const struct img_reader *r, size_t i, struct img_raw_record *ret);
size_t img_reader_record_count(const struct img_reader *r);

/* Decodes every record of the schema's tag, in order, into an allocated array of structs. */
int img_reader_load(const struct img_reader *r, const struct img_schema *schema, void **ret_array, size_t *ret_n);
void img_schema_free_array(const struct img_schema *schema, void *array, size_t n);

/* Refuses (-EBADMSG, worded) an image with a must-understand record whose tag or version none of the schemas covers. */
int img_reader_require_known(const struct img_reader *r, const struct img_schema *const *schemas, size_t n_schemas);

/* A run of pages of one space, sorted by (space, offset), never overlapping. */
struct img_extent {
	uint32_t space;
	uint64_t offset; /* bytes */
	uint32_t n_pages;
	bool zero;           /* pages known to be zero; chunk is meaningless */
	bool parent;         /* only in an image opened alone: as in the parent; chunk is meaningless */
	uint32_t chunk;      /* index of the chunk that holds the data */
	uint32_t chunk_page; /* first page within the chunk */
};
const struct img_extent *img_reader_extents(const struct img_reader *r, uint32_t space, size_t *ret_n);

/* All extents of all spaces and the number of chunks, for show and verify. */
const struct img_extent *img_reader_all_extents(const struct img_reader *r, size_t *ret_n);

struct img_chunk {
	uint64_t file_offset; /* page-aligned when codec is IMG_CODEC_NONE */
	uint32_t stored_bytes, raw_bytes;
	enum img_codec codec;
	uint64_t checksum;
};
size_t img_reader_chunk_count(const struct img_reader *r);
const struct img_chunk *img_reader_chunk_info(const struct img_reader *r, size_t chunk);

/* Reads, checks and unpacks one chunk into `buf` of at least IMG_CHUNK_PAGES pages. Safe to call from several threads on
 * one reader with different buffers. */
int img_reader_chunk(const struct img_reader *r, size_t chunk, void *buf, size_t *ret_size);

/* Copies pages [offset, offset + size) of a space, zero where there is none. Convenience for small contents. */
int img_reader_read(const struct img_reader *r, uint32_t space, uint64_t offset, void *buf, size_t size);

/* Checks all chunks, with progress. */
int img_reader_verify(const struct img_reader *r);

#endif
