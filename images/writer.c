// SPDX-License-Identifier: LGPL-2.1-or-later
/* Writes an image. Pages go to the file as they come, chunk by chunk; records, index and footer follow at commit. */
#include "writer.h"

#include <endian.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <xxhash.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/vec.h"
#include "extents.h"
#include "format.h"
#include "place.h"
#include "pool.h"
#include "same.h"

#define WRITER_BATCH 4096                  /* index entries encoded at a time */
#define WRITER_BEHIND (UINT64_C(32) << 20) /* bytes after which the kernel is told to begin writing to the disk */

struct img_writer {
	struct reporter *rep;
	struct img_writer_options options;
	struct place place;
	struct pool *pool;             /* NULL until the first pages */
	uint64_t at;                   /* end of the file so far */
	uint64_t pushed;               /* up to here the kernel has been asked to write to the disk */
	struct {
		bool on;
		uint64_t rate;          /* bytes per second; 0 = any */
		uint64_t begin_at;      /* bytes of the file */
		struct timespec begin;  /* when it had these */
	} pace;
	VEC(struct disk_chunk) chunks; /* in the order of the file; in this machine's byte order, as are the extents */
	struct extents extents;
	uint32_t filling;       /* number of the chunk that is being filled */
	uint64_t filling_pages; /* pages in it */
	char *records;          /* whole, as they will lie in the file */
	size_t records_size, records_room;
	uint64_t n_records;
	struct img_writer_stats stats;
	struct same same; /* with the parent, if there is one */
	int err; /* the first failure; the writer is then of no more use */
	bool committed;
	uint8_t content_id[16]; /* once it is committed */
};

static int writer_full(struct img_writer *w, int err)
{
	struct statvfs vfs;
	uint64_t needed = (w->at + w->records_size) >> 20, free_bytes = 0;

	if (err == -EDQUOT)
		return report_fail(w->rep, err,
		                   "image %s: quota exceeded in directory %s after %llu MiB; free some space or choose another "
		                   "directory",
		                   w->place.path, w->place.dir, (unsigned long long)needed);
	if (err == -EFBIG)
		return report_fail(w->rep, err,
		                   "image %s: the file may not grow beyond %llu MiB; raise the limit (ulimit -f) or choose "
		                   "another file system",
		                   w->place.path, (unsigned long long)needed);
	if (!fstatvfs(w->place.fd, &vfs))
		free_bytes = (uint64_t)vfs.f_bavail * vfs.f_frsize;
	return report_fail(w->rep, err,
	                   "image %s: no space left in directory %s; it needs more than %llu MiB (%llu MiB are written, %llu "
	                   "KiB are free); free some space or choose another directory",
	                   w->place.path, w->place.dir, (unsigned long long)needed, (unsigned long long)(w->at >> 20),
	                   (unsigned long long)(free_bytes >> 10));
}

static int writer_no_memory(struct img_writer *w)
{
	return report_fail(w->rep, -ENOMEM,
	                   "image %s: out of memory while it was being written; free some memory and try again", w->place.path);
}

/* Waits as long as the file is ahead of the rate. */
static int writer_wait(const struct img_writer *w)
{
	struct timespec now, nap = { 0 };

	for (;;) {
		if (report_cancelled(w->rep))
			return report_fail(w->rep, -ECANCELED, "image %s: cancelled; nothing was written", w->place.path);
		clock_gettime(CLOCK_MONOTONIC, &now);
		double due = (double)(w->at - w->pace.begin_at) / (double)w->pace.rate;
		double left = due - (double)(now.tv_sec - w->pace.begin.tv_sec) - (double)(now.tv_nsec - w->pace.begin.tv_nsec) / 1e9;
		if (left <= 0.001)
			return 0;
		nap.tv_nsec = left < 0.1 ? (long)(left * 1e9) : 100000000;
		nanosleep(&nap, NULL);
	}
}

/* Has the disk work while pages are packed, so that the fsync of the commit is short. It only asks, so failure is nothing. */
static void writer_push(struct img_writer *w)
{
	const off_t begin = (off_t)w->pushed, behind = begin > (off_t)WRITER_BEHIND ? begin - (off_t)WRITER_BEHIND : 0;

	sync_file_range(w->place.fd, begin, (off_t)w->at - begin, SYNC_FILE_RANGE_WRITE);
	if (w->pace.on)
		sync_file_range(w->place.fd, behind, begin - behind, SYNC_FILE_RANGE_WAIT_BEFORE);
	w->pushed = w->at;
}

void img_writer_pace(struct img_writer *w, uint64_t bytes_per_second)
{
	w->pace.on = true;
	w->pace.rate = bytes_per_second;
	w->pace.begin_at = w->at;
	clock_gettime(CLOCK_MONOTONIC, &w->pace.begin);
}

void img_writer_hurry(struct img_writer *w)
{
	w->pace.on = false;
	w->pace.rate = 0;
}

/* Appends bytes to the file. */
static int writer_put(struct img_writer *w, const void *data, size_t size)
{
	int err = report_fault(w->rep, "image.write");

	if (err)
		return err;
	err = io_pwrite_all(w->place.fd, data, size, w->at);
	if (err == -ENOSPC || err == -EDQUOT || err == -EFBIG)
		return writer_full(w, err);
	if (err)
		return report_fail(w->rep, err, "image %s: writing failed: %s; choose another directory", w->place.path,
		                   strerror(-err));
	w->at += size;
	if (w->at - w->pushed >= WRITER_BEHIND)
		writer_push(w);
	return w->pace.rate ? writer_wait(w) : 0;
}

/* Moves the end of the file on, over bytes that read as zero. */
static void writer_align(struct img_writer *w, uint64_t alignment)
{
	w->at = (w->at + alignment - 1) / alignment * alignment;
}

static int writer_put_header(struct img_writer *w)
{
	struct disk_header head = {
		.magic = IMG_MAGIC,
		.version = htole16(IMG_VERSION),
		.header_bytes = htole16(sizeof(head)),
		.page_size = htole32(IMG_PAGE_SIZE),
		.chunk_pages = htole32(IMG_CHUNK_PAGES),
		.flags = htole32(w->options.parent ? IMG_FLAG_PARENT : 0),
	};

	head.checksum = htole64(XXH3_64bits(&head, offsetof(struct disk_header, checksum)));
	return writer_put(w, &head, sizeof(head));
}

/* The first record of an incremental image. */
static int writer_put_parent(struct img_writer *w)
{
	const struct img_reader *parent = w->options.parent;
	struct img_parent said = { .content_id = { (void *)(uintptr_t)img_reader_content_id(parent), 16 } };
	struct stat st;

	if (!stat(w->place.path, &st) && img_reader_has_file(parent, st.st_dev, st.st_ino))
		return report_fail(w->rep, -EEXIST, "image %s: it is the parent of the new one, or one of its parents; choose another name",
		                   w->place.path);
	if (img_reader_chain(parent) >= IMG_MAX_CHAIN)
		return report_fail(w->rep, -EMLINK, "image %s: it has %u parents already; fold it, or make a whole image", img_reader_path(parent),
		                   img_reader_chain(parent));
	int err = img_parent_path(w->place.dir, img_reader_path(parent), &said.path);
	if (err)
		return report_fail(w->rep, err, "image %s: the way to its parent %s is not found: %s", w->place.path, img_reader_path(parent),
		                   strerror(-err));
	err = img_writer_record(w, &img_parent_schema, &said);
	free(said.path);
	w->same.parent = parent;
	return err;
}

int img_writer_create(struct reporter *rep, const char *path, const struct img_writer_options *options, struct img_writer **ret)
{
	struct img_writer *w = calloc(1, sizeof(*w));

	if (!w)
		return report_fail(rep, -ENOMEM, "image %s: out of memory", path);
	w->rep = rep;
	w->options = *options;
	w->place.dirfd = w->place.fd = -1;
	int err = place_create(rep, path, options->overwrite, &w->place);
	if (!err)
		err = writer_put_header(w);
	if (!err && options->parent)
		err = writer_put_parent(w);
	if (err) {
		img_writer_destroy(w);
		return err;
	}
	*ret = w;
	return 0;
}

static int writer_failed(struct img_writer *w, int err)
{
	if (err && !w->err)
		w->err = err;
	return err;
}

static int writer_add_record(struct img_writer *w, const struct img_schema *schema, const void *data, size_t size)
{
	struct disk_record head = { .version = htole16(schema->version),
		                    .flags = htole16(schema->flags),
		                    .length = htole64(size) };
	size_t need = w->records_size + sizeof(head) + size;

	if (need > IMG_MAX_RECORDS_BYTES)
		return report_fail(w->rep, -EFBIG,
		                   "image %s: record \"%s\": more than %llu MiB of records; this target is too large",
		                   w->place.path, schema->name, (unsigned long long)(IMG_MAX_RECORDS_BYTES >> 20));
	if (need > w->records_room) {
		size_t room = w->records_room * 2 > need ? w->records_room * 2 : need + 4096;
		char *more = realloc(w->records, room);
		if (!more)
			return writer_no_memory(w);
		w->records = more;
		w->records_room = room;
	}
	char *at = w->records + w->records_size;
	memcpy(head.tag, schema->tag, sizeof(head.tag));
	memcpy(at, &head, sizeof(head));
	memcpy(at + sizeof(head), data, size);
	uint64_t checksum = htole64(XXH3_64bits(at + sizeof(checksum), sizeof(head) - sizeof(checksum) + size));
	memcpy(at, &checksum, sizeof(checksum));
	w->records_size = need;
	w->n_records++;
	return 0;
}

int img_writer_record(struct img_writer *w, const struct img_schema *schema, const void *value)
{
	AUTO_FREE void *data = NULL;
	size_t size = 0;

	if (w->err)
		return w->err;
	int err = img_schema_encode(schema, value, &data, &size);
	if (err == -ENOMEM)
		err = writer_no_memory(w);
	else if (err)
		err = report_fail(w->rep, err,
		                  "image %s: record \"%s\": a required field is missing or a field is too large; this is an "
		                  "error in stasis",
		                  w->place.path, schema->name);
	else
		err = writer_add_record(w, schema, data, size);
	return writer_failed(w, err);
}

int img_writer_raw_record(struct img_writer *w, const struct img_raw_record *raw)
{
	struct img_schema schema = { .version = raw->version, .flags = raw->flags, .name = raw->tag };

	memcpy(schema.tag, raw->tag, sizeof(schema.tag));
	return w->err ? w->err : writer_failed(w, writer_add_record(w, &schema, raw->data, raw->size));
}

static int writer_put_chunk(struct img_writer *w, const void *stored, size_t stored_size, size_t raw_size, enum img_codec codec,
                            uint64_t checksum)
{
	if (codec == IMG_CODEC_NONE)
		writer_align(w, IMG_PAGE_SIZE);
	struct disk_chunk it = { w->at, (uint32_t)stored_size, (uint32_t)raw_size, codec, 0, checksum };
	int err = writer_put(w, stored, stored_size);
	if (!err && vec_push(&w->chunks, it))
		err = writer_no_memory(w);
	return err;
}

/* Writes the oldest chunk of the pool, which is packed, and gives it back. */
static int writer_put_oldest(struct img_writer *w, struct pool_chunk *it)
{
	int err = it->err;

	if (err == -ENOMEM)
		err = writer_no_memory(w);
	else if (err)
		err = report_fail(w->rep, err, "image %s: packing pages failed; choose another compression", w->place.path);
	else
		err = writer_put_chunk(w, it->stored, it->stored_size, it->raw_size, it->codec, it->checksum);
	pool_release(w->pool);
	return err;
}

/* Writes chunks that are packed; with `all` it waits for those under way, else it stops at the first that is not done. */
static int writer_drain(struct img_writer *w, bool all)
{
	struct pool_chunk *it;
	int err = 0;

	while (!err && (it = pool_oldest(w->pool, all)))
		err = writer_put_oldest(w, it);
	return err;
}

/* The chunk that is being filled; waits for a free one when all are under way. */
static int writer_slot(struct img_writer *w, struct pool_chunk **ret)
{
	struct pool_chunk *it = pool_slot(w->pool);

	if (!it) {
		int err = writer_put_oldest(w, pool_oldest(w->pool, true));
		if (err)
			return err;
		it = pool_slot(w->pool);
	}
	*ret = it;
	return 0;
}

static int writer_next_chunk(struct img_writer *w)
{
	if (w->filling == IMG_MAX_CHUNKS - 1)
		return report_fail(w->rep, -EFBIG, "image %s: more page data than an image can hold", w->place.path);
	w->filling++;
	w->filling_pages = 0;
	return 0;
}

static int writer_submit(struct img_writer *w)
{
	struct pool_chunk *it = pool_slot(w->pool);

	it->raw_size = w->filling_pages * IMG_PAGE_SIZE;
	pool_submit(w->pool);
	return writer_next_chunk(w);
}

static int writer_add_extent(struct img_writer *w, struct disk_extent it)
{
	int err = extents_add(&w->extents, it);

	if (err == -EFBIG)
		return report_fail(w->rep, -EFBIG, "image %s: more runs of pages than an image can hold", w->place.path);
	return err ? writer_no_memory(w) : 0;
}

static int writer_parent_run(struct img_writer *w, uint32_t space, uint64_t offset, uint64_t n_pages)
{
	w->stats.parent_bytes += n_pages * IMG_PAGE_SIZE;
	return writer_add_extent(w, (struct disk_extent){ space, (uint32_t)n_pages, offset, IMG_IN_PARENT, 0 });
}

static int writer_zero_run(struct img_writer *w, uint32_t space, uint64_t offset, uint64_t n_pages, bool drop)
{
	w->stats.zero_bytes += n_pages * IMG_PAGE_SIZE;
	while (!drop && n_pages) {
		uint32_t n = n_pages > UINT32_MAX ? UINT32_MAX : (uint32_t)n_pages;
		int err = writer_add_extent(w, (struct disk_extent){ space, n, offset, IMG_NO_CHUNK, 0 });
		if (err)
			return err;
		n_pages -= n;
		offset += (uint64_t)n * IMG_PAGE_SIZE;
	}
	return 0;
}

static int writer_data_run(struct img_writer *w, uint32_t space, uint64_t offset, const char *data, uint64_t n_pages)
{
	w->stats.page_bytes += n_pages * IMG_PAGE_SIZE;
	while (n_pages) {
		/* A whole chunk that need not be packed goes from the caller's memory to the file without a copy. */
		bool direct = w->options.codec == IMG_CODEC_NONE && !w->filling_pages && n_pages >= IMG_CHUNK_PAGES;
		uint64_t room = IMG_CHUNK_PAGES - w->filling_pages, n = n_pages < room ? n_pages : room;
		size_t size = n * IMG_PAGE_SIZE;
		struct disk_extent it = { space, (uint32_t)n, offset, w->filling, (uint32_t)w->filling_pages };
		int err = writer_add_extent(w, it);
		if (err)
			return err;
		if (direct) {
			err = writer_drain(w, true);
			if (!err)
				err = writer_put_chunk(w, data, size, size, IMG_CODEC_NONE, XXH3_64bits(data, size));
			if (!err)
				err = writer_next_chunk(w);
		} else {
			struct pool_chunk *slot = NULL;
			err = writer_slot(w, &slot);
			if (err)
				return err;
			memcpy(slot->raw + w->filling_pages * IMG_PAGE_SIZE, data, size);
			w->filling_pages += n;
			if (w->filling_pages == IMG_CHUNK_PAGES)
				err = writer_submit(w);
			if (!err)
				err = writer_drain(w, false);
		}
		if (err)
			return err;
		data += size;
		offset += size;
		n_pages -= n;
	}
	return 0;
}

/* A page is zero when its first bytes are and each byte equals the one 16 before; memcmp is the fastest loop there is. */
static bool writer_page_is_zero(const char *page)
{
	uint64_t first[2];

	memcpy(first, page, sizeof(first));
	return !(first[0] | first[1]) && !memcmp(page, page + sizeof(first), IMG_PAGE_SIZE - sizeof(first));
}

static int writer_check_pages(struct img_writer *w, uint64_t offset, size_t size)
{
	if (w->err)
		return w->err;
	if (report_cancelled(w->rep))
		return report_fail(w->rep, -ECANCELED, "image %s: cancelled; nothing was written", w->place.path);
	if (offset % IMG_PAGE_SIZE || size % IMG_PAGE_SIZE || size > UINT64_MAX - offset)
		return report_fail(w->rep, -EINVAL,
		                   "image %s: pages at 0x%llx, 0x%zx bytes: not whole pages; this is an error in stasis",
		                   w->place.path, (unsigned long long)offset, size);
	return w->pool || !pool_create(w->options.codec, w->options.level, &w->pool) ? 0 : writer_no_memory(w);
}

enum page_kind { PAGE_ZERO, PAGE_SAME, PAGE_DATA };

static int writer_page_kind(struct img_writer *w, const struct same *with, uint32_t space, uint64_t offset, const char *page, enum page_kind *ret)
{
	bool same = false;
	int err = 0;

	if (writer_page_is_zero(page))
		*ret = PAGE_ZERO;
	else if (!with->parent || !(err = same_page(&w->same, space, offset, page, &same)))
		*ret = same ? PAGE_SAME : PAGE_DATA;
	return err;
}

/* `with`: the writer's own, or one without a parent: no page is compared. */
static int writer_pages(struct img_writer *w, const struct same *with, uint32_t space, uint64_t offset, const void *data, size_t size, bool drop_zero)
{
	const char *p = data;
	size_t n_pages = size / IMG_PAGE_SIZE;
	enum page_kind kind = PAGE_DATA, next = PAGE_DATA;
	int err = writer_check_pages(w, offset, size);

	if (!err && n_pages)
		err = writer_page_kind(w, with, space, offset, p, &next);
	for (size_t i = 0, end; !err && i < n_pages; i = end) {
		kind = next;
		for (end = i + 1; !err && end < n_pages; end++)
			if ((err = writer_page_kind(w, with, space, offset + end * IMG_PAGE_SIZE, p + end * IMG_PAGE_SIZE, &next)) || next != kind)
				break;
		if (err)
			break;
		if (kind == PAGE_ZERO)
			err = writer_zero_run(w, space, offset + i * IMG_PAGE_SIZE, end - i, drop_zero);
		else if (kind == PAGE_SAME)
			err = writer_parent_run(w, space, offset + i * IMG_PAGE_SIZE, end - i);
		else
			err = writer_data_run(w, space, offset + i * IMG_PAGE_SIZE, p + i * IMG_PAGE_SIZE, end - i);
	}
	return writer_failed(w, err);
}

int img_writer_pages(struct img_writer *w, uint32_t space, uint64_t offset, const void *data, size_t size, bool drop_zero)
{
	return writer_pages(w, &w->same, space, offset, data, size, drop_zero);
}

int img_writer_changed_pages(struct img_writer *w, uint32_t space, uint64_t offset, const void *data, size_t size, bool drop_zero)
{
	return writer_pages(w, &(struct same){ 0 }, space, offset, data, size, drop_zero);
}

int img_writer_same_pages(struct img_writer *w, uint32_t space, uint64_t offset, uint64_t n_pages)
{
	int err = writer_check_pages(w, offset, n_pages * IMG_PAGE_SIZE);

	if (!err && !w->same.parent)
		err = report_fail(w->rep, -EINVAL, "image %s: pages as in a parent, but it has none; this is an error in stasis", w->place.path);
	while (!err && n_pages) {
		uint64_t n = n_pages > UINT32_MAX ? UINT32_MAX : n_pages;
		err = writer_parent_run(w, space, offset, n);
		n_pages -= n;
		offset += n * IMG_PAGE_SIZE;
	}
	return writer_failed(w, err);
}

int img_writer_zeros(struct img_writer *w, uint32_t space, uint64_t offset, uint64_t n_pages)
{
	int err = writer_check_pages(w, offset, n_pages * IMG_PAGE_SIZE);

	return writer_failed(w, err ? err : writer_zero_run(w, space, offset, n_pages, false));
}

int img_writer_keep(struct img_writer *w, uint32_t space, uint64_t start, uint64_t end, const struct ranges *keep)
{
	int err = w->err;

	if (!err && extents_keep(&w->extents, space, start, end, keep, &w->stats))
		err = writer_no_memory(w);
	return writer_failed(w, err);
}

int img_writer_flush(struct img_writer *w)
{
	int err = w->err;

	if (err || !w->pool)
		return err;
	if (w->filling_pages)
		err = writer_submit(w);
	if (!err)
		err = writer_drain(w, true);
	return writer_failed(w, err);
}

const uint8_t *img_writer_content_id(const struct img_writer *w)
{
	return w->committed ? w->content_id : NULL;
}

void img_writer_get_stats(const struct img_writer *w, struct img_writer_stats *ret)
{
	*ret = w->stats;
	ret->file_bytes = w->committed ? w->at : w->at + w->records_size;
}

static int writer_sort_extents(struct img_writer *w)
{
	const struct disk_extent *twice = extents_sort(&w->extents);

	return twice ? report_fail(w->rep, -EINVAL, "image %s: the page at 0x%llx of space %u was written twice; this is an error in stasis",
				   w->place.path, (unsigned long long)twice->offset, twice->space) : 0;
}

/* The hashes that the footer carries, as they come together while the tables are written. */
struct writer_sums {
	XXH3_state_t *index, *content;
};

static int writer_put_chunk_table(struct img_writer *w, const struct writer_sums *sums)
{
	AUTO_FREE struct disk_chunk *batch = calloc(WRITER_BATCH, sizeof(*batch));
	int err = batch ? 0 : writer_no_memory(w);

	for (size_t i = 0, n; !err && i < w->chunks.n; i += n) {
		for (n = 0; n < WRITER_BATCH && i + n < w->chunks.n; n++) {
			const struct disk_chunk *it = &w->chunks.items[i + n];
			batch[n] = (struct disk_chunk){ htole64(it->file_offset),
				                        htole32(it->stored_bytes),
				                        htole32(it->raw_bytes),
				                        htole32(it->codec),
				                        0,
				                        htole64(it->checksum) };
			XXH3_128bits_update(sums->content, &batch[n].checksum, sizeof(batch[n].checksum));
		}
		XXH3_64bits_update(sums->index, batch, n * sizeof(*batch));
		err = writer_put(w, batch, n * sizeof(*batch));
	}
	return err;
}

static int writer_put_extent_table(struct img_writer *w, const struct writer_sums *sums)
{
	AUTO_FREE struct disk_extent *batch = calloc(WRITER_BATCH, sizeof(*batch));
	int err = batch ? 0 : writer_no_memory(w);

	for (size_t i = 0, n; !err && i < w->extents.n; i += n) {
		for (n = 0; n < WRITER_BATCH && i + n < w->extents.n; n++) {
			const struct disk_extent *it = &w->extents.items[i + n];
			batch[n] = (struct disk_extent){ htole32(it->space), htole32(it->n_pages), htole64(it->offset),
				                         htole32(it->chunk), htole32(it->chunk_page) };
		}
		XXH3_128bits_update(sums->content, batch, n * sizeof(*batch));
		XXH3_64bits_update(sums->index, batch, n * sizeof(*batch));
		err = writer_put(w, batch, n * sizeof(*batch));
	}
	return err;
}

static int writer_put_tail(struct img_writer *w, const struct writer_sums *sums)
{
	struct disk_footer foot = { .magic = IMG_FOOTER_MAGIC };

	XXH3_64bits_reset(sums->index);
	XXH3_128bits_reset(sums->content);
	for (size_t at = 0; at < w->records_size;) {
		struct disk_record head;
		memcpy(&head, w->records + at, sizeof(head));
		XXH3_128bits_update(sums->content, &head.checksum, sizeof(head.checksum));
		at += sizeof(head) + le64toh(head.length);
	}
	writer_align(w, 8);
	foot.records_offset = htole64(w->at);
	foot.records_bytes = htole64(w->records_size);
	foot.record_count = htole64(w->n_records);
	int err = writer_put(w, w->records, w->records_size);
	foot.index_offset = htole64(w->at);
	foot.chunk_count = htole64(w->chunks.n);
	foot.extent_count = htole64(w->extents.n);
	if (!err)
		err = writer_put_chunk_table(w, sums);
	if (!err)
		err = writer_put_extent_table(w, sums);
	if (err)
		return err;
	foot.index_checksum = htole64(XXH3_64bits_digest(sums->index));
	XXH128_canonical_t id;
	XXH128_canonicalFromHash(&id, XXH3_128bits_digest(sums->content));
	memcpy(foot.content_id, id.digest, sizeof(foot.content_id));
	memcpy(w->content_id, id.digest, sizeof(w->content_id));
	foot.file_bytes = htole64(w->at + sizeof(foot));
	foot.checksum = htole64(XXH3_64bits(&foot, offsetof(struct disk_footer, checksum)));
	return writer_put(w, &foot, sizeof(foot));
}

int img_writer_commit(struct img_writer *w)
{
	int err = img_writer_flush(w);

	if (!err && w->committed)
		return -EINVAL;
	if (!err && report_cancelled(w->rep))
		err = report_fail(w->rep, -ECANCELED, "image %s: cancelled; nothing was written", w->place.path);
	if (!err)
		err = writer_sort_extents(w);
	if (!err) {
		struct writer_sums sums = { XXH3_createState(), XXH3_createState() };
		err = sums.index && sums.content ? writer_put_tail(w, &sums) : writer_no_memory(w);
		XXH3_freeState(sums.index);
		XXH3_freeState(sums.content);
	}
	if (!err)
		err = place_commit(&w->place);
	w->committed = !err;
	return writer_failed(w, err);
}

void img_writer_destroy(struct img_writer *w)
{
	if (!w)
		return;
	pool_destroy(w->pool);
	place_finish(&w->place);
	free(w->records);
	vec_finish(&w->chunks);
	vec_finish(&w->extents);
	free(w);
}
