// SPDX-License-Identifier: LGPL-2.1-or-later
/* Loads page data from an opened image: chunk by chunk for those who restore memory, by address for small contents, and
 * all of it to verify. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "opened.h"

static void chunk_scratch_destroy(struct img_scratch *it)
{
	if (!it)
		return;
	codec_unpack_destroy(it->unpack);
	free(it->stored);
	free(it);
}

void img_reader_free_scratch(struct img_reader *r)
{
	while (r->scratch) {
		struct img_scratch *it = r->scratch;
		r->scratch = it->next;
		chunk_scratch_destroy(it);
	}
	for (size_t i = 0; i < r->n_cached; i++)
		free(r->cached[i].data);
	free(r->cached);
}

/* Takes a scratch from the reader's list or makes one. The list is not part of what the reader is, hence not const. */
static struct img_scratch *chunk_scratch_take(const struct img_reader *reader)
{
	struct img_reader *r = (struct img_reader *)(uintptr_t)reader;

	pthread_mutex_lock(&r->lock);
	struct img_scratch *it = r->scratch;
	if (it)
		r->scratch = it->next;
	pthread_mutex_unlock(&r->lock);
	if (it)
		return it;
	it = calloc(1, sizeof(*it));
	if (it && ((it->stored = malloc(IMG_CHUNK_BYTES)) == NULL || codec_unpack_create(&it->unpack))) {
		chunk_scratch_destroy(it);
		it = NULL;
	}
	return it;
}

static void chunk_scratch_give(const struct img_reader *reader, struct img_scratch *it)
{
	struct img_reader *r = (struct img_reader *)(uintptr_t)reader;

	pthread_mutex_lock(&r->lock);
	it->next = r->scratch;
	r->scratch = it;
	pthread_mutex_unlock(&r->lock);
}

static int chunk_fail(const struct img_reader *reader, size_t chunk, int err, const char *what)
{
	struct img_reader *r = (struct img_reader *)(uintptr_t)reader;

	pthread_mutex_lock(&r->lock);
	if (err == -EBADMSG)
		report_fail(r->rep, err,
		            "image %s: page chunk %zu: %s; the file is damaged - copy it again or use another checkpoint",
		            r->path, chunk, what);
	else
		report_fail(r->rep, err, "image %s: page chunk %zu: %s: %s", r->path, chunk, what, strerror(-err));
	pthread_mutex_unlock(&r->lock);
	return err;
}

static int chunk_read_stored(const struct img_reader *r, size_t chunk, void *stored)
{
	const struct img_chunk *it = &r->chunks[chunk];
	int err = io_pread_all(r->fd, stored, it->stored_bytes, it->file_offset);

	if (err == -ENODATA)
		return chunk_fail(r, chunk, -EBADMSG, "the file was truncated while it was being read");
	if (err)
		return chunk_fail(r, chunk, err, "reading failed");
	if (XXH3_64bits(stored, it->stored_bytes) != it->checksum)
		return chunk_fail(r, chunk, -EBADMSG, "checksum differs");
	return 0;
}

static int chunk_load(const struct img_reader *r, size_t chunk, void *buf, size_t *ret_size)
{
	int err;

	if (chunk >= r->n_own)
		return chunk_load(r->parent, chunk - r->n_own, buf, ret_size);
	const struct img_chunk *it = &r->chunks[chunk];
	if (it->codec == IMG_CODEC_NONE) {
		err = chunk_read_stored(r, chunk, buf);
	} else {
		struct img_scratch *scratch = chunk_scratch_take(r);
		if (!scratch)
			return chunk_fail(r, chunk, -ENOMEM, "no buffer for unpacking");
		err = chunk_read_stored(r, chunk, scratch->stored);
		if (!err) {
			err = codec_unpack_chunk(scratch->unpack, it->codec, scratch->stored, it->stored_bytes, buf,
			                         it->raw_bytes);
			if (err)
				chunk_fail(r, chunk, err, "cannot be unpacked");
		}
		chunk_scratch_give(r, scratch);
	}
	if (!err)
		*ret_size = it->raw_bytes;
	return err;
}

/* The slot that holds the chunk, or else the one that was not used for longest. With the lock held. */
static struct img_cached *chunk_slot(struct img_reader *r, size_t chunk)
{
	struct img_cached *oldest = NULL;

	if (!r->cached && (r->cached = calloc(r->depth + 3, sizeof(*r->cached))))
		r->n_cached = r->depth + 3;
	for (size_t i = 0; i < r->n_cached; i++) {
		struct img_cached *it = &r->cached[i];
		if (it->size && it->chunk == chunk)
			return it;
		if (!oldest || it->used < oldest->used)
			oldest = it;
	}
	return oldest;
}

int img_reader_borrow(const struct img_reader *reader, size_t chunk, const uint8_t **ret, size_t *ret_size)
{
	struct img_reader *r = (struct img_reader *)(uintptr_t)reader;
	struct img_cached *it = chunk_slot(r, chunk);
	int err = 0;

	if (!it || (!it->data && !(it->data = malloc(IMG_CHUNK_BYTES))))
		return chunk_fail(r, chunk, -ENOMEM, "no buffer");
	if (!it->size || it->chunk != chunk) {
		it->size = 0;
		if ((err = chunk_load(r, chunk, it->data, &it->size)))
			return err;
		it->chunk = chunk;
	}
	it->used = ++r->clock;
	*ret = it->data;
	*ret_size = it->size;
	return 0;
}

/* Whoever restores a chain in the order of addresses goes to and fro between chunks of its files: they are kept for a while. */
static bool chunk_from_cache(struct img_reader *r, size_t chunk, void *buf, size_t *ret_size)
{
	pthread_mutex_lock(&r->lock);
	struct img_cached *it = chunk_slot(r, chunk);
	bool hit = it && it->size && it->chunk == chunk;
	if (hit) {
		memcpy(buf, it->data, it->size);
		*ret_size = it->size;
		it->used = ++r->clock;
	}
	pthread_mutex_unlock(&r->lock);
	return hit;
}

static void chunk_to_cache(struct img_reader *r, size_t chunk, const void *buf, size_t size)
{
	pthread_mutex_lock(&r->lock);
	struct img_cached *it = chunk_slot(r, chunk);
	if (it && (it->data || (it->data = malloc(IMG_CHUNK_BYTES)))) {
		memcpy(it->data, buf, size);
		it->chunk = chunk;
		it->size = size;
		it->used = ++r->clock;
	}
	pthread_mutex_unlock(&r->lock);
}

int img_reader_chunk(const struct img_reader *reader, size_t chunk, void *buf, size_t *ret_size)
{
	struct img_reader *r = (struct img_reader *)(uintptr_t)reader;

	if (chunk >= r->n_chunks)
		return chunk_fail(r, chunk, -EINVAL, "there is no such chunk");
	if (!r->parent)
		return chunk_load(r, chunk, buf, ret_size);
	if (chunk_from_cache(r, chunk, buf, ret_size))
		return 0;
	int err = chunk_load(r, chunk, buf, ret_size);
	if (!err)
		chunk_to_cache(r, chunk, buf, *ret_size);
	return err;
}

size_t img_reader_chunk_count(const struct img_reader *r)
{
	return r->n_chunks;
}

const struct img_chunk *img_reader_chunk_info(const struct img_reader *r, size_t chunk)
{
	return chunk < r->n_chunks ? &r->chunks[chunk] : NULL;
}

/* The first extent that ends behind `offset`. */
static size_t chunk_find_extent(const struct img_extent *extents, size_t n, uint64_t offset)
{
	size_t low = 0, high = n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (extents[mid].offset + (uint64_t)extents[mid].n_pages * IMG_PAGE_SIZE <= offset)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

int img_reader_read(const struct img_reader *r, uint32_t space, uint64_t offset, void *buf, size_t size)
{
	size_t n_extents, loaded = SIZE_MAX, loaded_size = 0;
	const struct img_extent *extents = img_reader_extents(r, space, &n_extents);
	AUTO_FREE char *chunk = NULL;
	uint64_t end = offset + size;

	if (end < offset)
		return report_fail(r->rep, -EINVAL, "image %s: pages past the end of the address space were asked for",
		                   r->path);
	memset(buf, 0, size);
	for (size_t i = chunk_find_extent(extents, n_extents, offset); i < n_extents && extents[i].offset < end; i++) {
		const struct img_extent *it = &extents[i];
		uint64_t from = it->offset > offset ? it->offset : offset;
		uint64_t to = it->offset + (uint64_t)it->n_pages * IMG_PAGE_SIZE;
		if (to > end)
			to = end;
		if (it->zero)
			continue;
		if (!chunk && !(chunk = malloc(IMG_CHUNK_BYTES)))
			return chunk_fail(r, it->chunk, -ENOMEM, "no buffer");
		int err = loaded == it->chunk ? 0 : img_reader_chunk(r, it->chunk, chunk, &loaded_size);
		if (err)
			return err;
		loaded = it->chunk;
		memcpy((char *)buf + (from - offset), chunk + (uint64_t)it->chunk_page * IMG_PAGE_SIZE + (from - it->offset),
		       to - from);
	}
	return 0;
}

int img_reader_verify(const struct img_reader *r)
{
	AUTO_FREE char *buf = malloc(IMG_CHUNK_BYTES);
	uint64_t done = 0, total = 0;
	size_t size;

	if (!buf)
		return report_fail(r->rep, -ENOMEM, "image %s: out of memory", r->path);
	for (size_t i = 0; i < r->n_chunks; i++)
		total += r->chunks[i].stored_bytes;
	for (size_t i = 0; i < r->n_chunks; i++) {
		if (report_cancelled(r->rep))
			return report_fail(r->rep, -ECANCELED, "image %s: verification cancelled", r->path);
		int err = img_reader_chunk(r, i, buf, &size);
		if (err)
			return err;
		done += r->chunks[i].stored_bytes;
		report_progress(r->rep, "verify", done, total);
	}
	return 0;
}
