/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Writes an image: append-only into a nameless or temporary file, 0600, renamed into place only once it is whole.
 * Whatever happens before img_writer_commit returns 0, no file of the final name appears or changes. */
#ifndef STASIS_IMAGES_WRITER_H
#define STASIS_IMAGES_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/ranges.h"
#include "base/report.h"
#include "schema.h"

#define IMG_PAGE_SIZE 4096u
#define IMG_CHUNK_PAGES 256u /* at most, in one chunk */

enum img_codec { IMG_CODEC_NONE, IMG_CODEC_ZLIB, IMG_CODEC_ZSTD };

struct img_reader;

struct img_writer_options {
	enum img_codec codec;
	int level;      /* 0 = the codec's default (zstd 1, zlib 1) */
	bool overwrite; /* false: commit fails with -EEXIST when the path exists */
	/* Makes an incremental image: pages that are as in this one, opened with its chain, are not stored again. Borrowed for the life of
	 * the writer, which alone may load its chunks meanwhile. NULL: a whole image. A file of the chain is never replaced. */
	const struct img_reader *parent;
};

/* Parses "none", "zlib", "zlib:9", "zstd", "zstd:19" into codec and level; says what is wrong otherwise. */
int img_parse_codec(struct reporter *rep, const char *text, enum img_codec *ret_codec, int *ret_level);

struct img_writer;
struct img_raw_record;

/* Begins an image that will be called `path`. Fails at once when the directory cannot be written or the path exists and
 * must not be overwritten. `rep` is borrowed for the life of the writer. */
int img_writer_create(struct reporter *rep, const char *path, const struct img_writer_options *options, struct img_writer **ret);

/* Appends one record. Records keep their order. */
int img_writer_record(struct img_writer *w, const struct img_schema *schema, const void *value);

/* Appends a record as it lies in another image. */
int img_writer_raw_record(struct img_writer *w, const struct img_raw_record *raw);

/* Appends zero pages that are to be there (not: holes). */
int img_writer_zeros(struct img_writer *w, uint32_t space, uint64_t offset, uint64_t n_pages);

/* Appends pages of an address space or file contents. `space` is a number the caller gives meaning to (its records say which
 * process or file it is), `offset` in bytes is the page's address within it, a multiple of IMG_PAGE_SIZE; so is `size`.
 * Each (space, page) may be written once (but see img_writer_keep); any order. Pages that are all zero are stored as extents without data, or not at
 * all when `drop_zero` (the reader then sees a hole). The data is copied or written before the call returns. */
int img_writer_pages(struct img_writer *w, uint32_t space, uint64_t offset, const void *data, size_t size, bool drop_zero);

/* The same in an incremental image for pages of which the caller knows more than a comparison with the parent would tell, at its cost:
 * that they were written to; or that they are as in the parent, holes included (then there is no data to give). */
int img_writer_changed_pages(struct img_writer *w, uint32_t space, uint64_t offset, const void *data, size_t size, bool drop_zero);
int img_writer_same_pages(struct img_writer *w, uint32_t space, uint64_t offset, uint64_t n_pages);

/* Takes back what was given so far of the pages in [start, end) of a space, but for `keep` (sorted): they may be written anew then. What they
 * took in the file is not got back. */
int img_writer_keep(struct img_writer *w, uint32_t space, uint64_t start, uint64_t end, const struct ranges *keep);

/* From now on nobody stands still for what is written: at most `bytes_per_second` (0 = what the disk takes) and no more than 64 MiB of it
 * are left behind in the page cache, so that others keep both. Cancelling ends the wait. Until somebody stands still once more. */
void img_writer_pace(struct img_writer *w, uint64_t bytes_per_second);
void img_writer_hurry(struct img_writer *w);

/* Waits until all pages given so far are packed and in the file (not: on the disk). The first img_writer_pages with a
 * compressing codec starts threads, so a caller that forks does it before that call; they have every signal blocked. */
int img_writer_flush(struct img_writer *w);

/* Bytes so far: of the file, of page data before compression, of zero pages left out, of pages that are as in the parent. */
struct img_writer_stats {
	uint64_t file_bytes, page_bytes, zero_bytes, parent_bytes;
};
void img_writer_get_stats(const struct img_writer *w, struct img_writer_stats *ret);

/* Flushes chunks, writes index and footer, fsyncs, renames into place, fsyncs the directory. */
int img_writer_commit(struct img_writer *w);

/* 16 bytes, as img_reader_content_id() will give them; NULL before the commit. */
const uint8_t *img_writer_content_id(const struct img_writer *w);

/* Frees the writer; an image that was not committed is gone. Takes NULL. */
void img_writer_destroy(struct img_writer *w);

#endif
