/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The image file as it lies on the disk (FORMAT.md is the specification), and what only the files of this folder and their
 * tests share. All integers are little endian; nobody outside images/ and its tests includes this. */
#ifndef STASIS_IMAGES_FORMAT_H
#define STASIS_IMAGES_FORMAT_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "reader.h"
#include "schema.h"
#include "writer.h"

#define IMG_VERSION 1u
#define IMG_MAGIC "\x89STASIS\n"
#define IMG_FOOTER_MAGIC "STASEND\n"
#define IMG_NO_CHUNK UINT32_MAX /* disk_extent.chunk of a run of zero pages */
#define IMG_IN_PARENT (UINT32_MAX - 1) /* disk_extent.chunk of a run of pages that are as in the parent */
#define IMG_FLAG_PARENT 1u /* of the header: this image is incremental, its first record names the parent */
#define IMG_MAX_CHAIN 100  /* parents of one image, at most */
#define IMG_CHUNK_BYTES (IMG_CHUNK_PAGES * IMG_PAGE_SIZE)

/* More than any image needs; they keep a small or sparse hostile file from asking for all the memory there is. */
#define IMG_MAX_RECORDS_BYTES (UINT64_C(1) << 30)
#define IMG_MAX_CHUNKS (UINT64_C(1) << 28)
#define IMG_MAX_EXTENTS (UINT64_C(1) << 30)

struct disk_header {
	uint8_t magic[8];
	uint16_t version;
	uint16_t header_bytes;
	uint32_t page_size;
	uint32_t chunk_pages;
	uint32_t flags;
	uint8_t reserved[32];
	uint64_t checksum; /* of the bytes before it */
};
static_assert(sizeof(struct disk_header) == 64, "layout of the header");

struct disk_record {
	uint64_t checksum; /* of the fields after it and the payload */
	char tag[4];
	uint16_t version;
	uint16_t flags;
	uint64_t length; /* of the payload that follows, a multiple of 8 */
};
static_assert(sizeof(struct disk_record) == 24, "layout of a record");

struct disk_field {
	uint16_t id;
	uint16_t type;
	uint32_t length; /* of the value that follows, without its padding to 8 */
};
static_assert(sizeof(struct disk_field) == 8, "layout of a field");

struct disk_chunk {
	uint64_t file_offset;
	uint32_t stored_bytes;
	uint32_t raw_bytes;
	uint32_t codec;
	uint32_t reserved;
	uint64_t checksum; /* of the stored bytes */
};
static_assert(sizeof(struct disk_chunk) == 32, "layout of a chunk table entry");

struct disk_extent {
	uint32_t space;
	uint32_t n_pages;
	uint64_t offset;
	uint32_t chunk;
	uint32_t chunk_page;
};
static_assert(sizeof(struct disk_extent) == 24, "layout of an extent table entry");

struct disk_footer {
	uint64_t file_bytes;
	uint64_t records_offset, records_bytes, record_count;
	uint64_t index_offset, chunk_count, extent_count, index_checksum;
	uint8_t content_id[16];
	uint8_t reserved[32];
	uint64_t checksum; /* of the bytes before it */
	uint8_t magic[8];
};
static_assert(sizeof(struct disk_footer) == 128, "layout of the footer");

/* Decodes like img_schema_decode; `where` ("image /a/b: ", "" for nothing) goes in front of what is said. */
int img_schema_decode_at(const struct img_schema *schema, const void *data, size_t size, struct reporter *rep,
                         const char *where, void *ret_value);

uint64_t img_reader_file_bytes(const struct img_reader *r);
struct reporter *img_reader_reporter(const struct img_reader *r);

#endif
