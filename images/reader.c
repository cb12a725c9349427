// SPDX-License-Identifier: LGPL-2.1-or-later
/* Opens an image: header and footer, then records and index, each read with pread after its place was checked against the
 * size of the file (a mapping would die of SIGBUS when the file is cut short beneath it). */
#include "reader.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "opened.h"

#define READER_PIECE (UINT64_C(96) << 10) /* of the index, read at a time: a multiple of both entry sizes */

#define READER_COPY_AGAIN "the file is damaged - copy it again or use another checkpoint"

static int reader_damaged(const struct img_reader *r, const char *what)
{
	return report_fail(r->rep, -EBADMSG, "image %s: %s; " READER_COPY_AGAIN, r->path, what);
}

static int reader_pread(const struct img_reader *r, void *data, size_t size, uint64_t offset)
{
	int err = io_pread_all(r->fd, data, size, offset);

	if (err == -ENODATA)
		return report_fail(r->rep, -EBADMSG, "image %s: truncated while it was being read; copy it again", r->path);
	if (err)
		return report_fail(r->rep, err, "image %s: reading failed: %s; check the disk or copy the image elsewhere",
		                   r->path, strerror(-err));
	return 0;
}

/* Looks before it opens: opening a device or a FIFO may have effects of its own. */
static int reader_open_file(struct img_reader *r)
{
	struct stat st;
	int err = 0;

	if (stat(r->path, &st))
		err = -errno;
	else if (S_ISDIR(st.st_mode))
		return report_fail(r->rep, -EISDIR, "image %s: this is a directory; name the image file in it", r->path);
	else if (!S_ISREG(st.st_mode))
		return report_fail(r->rep, -EINVAL, "image %s: not a regular file; copy the image into one", r->path);
	else if ((r->fd = open(r->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)) < 0 || fstat(r->fd, &st))
		err = -errno;
	if (err == -ENOENT || err == -ENOTDIR)
		return report_fail(r->rep, err, "image %s: does not exist; check the path", r->path);
	if (err == -EACCES || err == -EPERM)
		return report_fail(r->rep, err,
		                   "image %s: no permission to read it; images can be read by their owner only - become "
		                   "that user or change the owner",
		                   r->path);
	if (err)
		return report_fail(r->rep, err, "image %s: cannot be opened: %s", r->path, strerror(-err));
	if (!S_ISREG(st.st_mode))
		return report_fail(r->rep, -EINVAL, "image %s: not a regular file; copy the image into one", r->path);
	if (!st.st_size)
		return report_fail(r->rep, -EBADMSG,
		                   "image %s: empty file; the checkpoint was not completed or the copy is partial - copy "
		                   "it again",
		                   r->path);
	r->file_bytes = (uint64_t)st.st_size;
	return 0;
}

static int reader_read_header(struct img_reader *r)
{
	struct disk_header head = { 0 };
	size_t n = r->file_bytes < sizeof(head) ? r->file_bytes : sizeof(head);
	size_t n_magic = n < sizeof(head.magic) ? n : sizeof(head.magic);
	int err = reader_pread(r, &head, n, 0);

	if (err)
		return err;
	if (memcmp(head.magic, IMG_MAGIC, n_magic))
		return report_fail(r->rep, -EBADMSG, "image %s: not a stasis image; name a file that stasis checkpoint wrote",
		                   r->path);
	if (n < sizeof(head))
		return report_fail(r->rep, -EBADMSG,
		                   "image %s: truncated: shorter than a header; the checkpoint was not completed or the copy "
		                   "is partial - copy it again",
		                   r->path);
	if (le64toh(head.checksum) != XXH3_64bits(&head, offsetof(struct disk_header, checksum)))
		return reader_damaged(r, "header checksum differs");
	if (le16toh(head.version) != IMG_VERSION)
		return report_fail(r->rep, -EPROTONOSUPPORT,
		                   "image %s: format version %u, this stasis reads version %u; use the stasis that "
		                   "wrote it",
		                   r->path, le16toh(head.version), IMG_VERSION);
	if (le16toh(head.header_bytes) != sizeof(head) || le32toh(head.page_size) != IMG_PAGE_SIZE ||
	    le32toh(head.chunk_pages) != IMG_CHUNK_PAGES || le32toh(head.flags) & ~IMG_FLAG_PARENT)
		return report_fail(r->rep, -EPROTONOSUPPORT,
		                   "image %s: page size %u, %u pages a chunk, flags 0x%x: not supported by this "
		                   "stasis; use the stasis that wrote it",
		                   r->path, le32toh(head.page_size), le32toh(head.chunk_pages), le32toh(head.flags));
	r->incremental = le32toh(head.flags) & IMG_FLAG_PARENT;
	return 0;
}

/* The parts follow each other: header, chunks, records, chunk table, extent table, footer; nothing else fits between. */
static bool reader_footer_fits(const struct img_reader *r)
{
	const struct disk_footer *f = &r->foot;
	uint64_t end = r->file_bytes - sizeof(*f);

	return f->file_bytes == r->file_bytes && f->records_offset >= sizeof(struct disk_header) &&
	       f->records_offset % 8 == 0 && f->records_offset <= end && f->records_bytes <= end - f->records_offset &&
	       f->records_bytes <= IMG_MAX_RECORDS_BYTES && f->record_count <= f->records_bytes / sizeof(struct disk_record) &&
	       f->index_offset == f->records_offset + f->records_bytes && f->chunk_count <= IMG_MAX_CHUNKS &&
	       f->extent_count <= IMG_MAX_EXTENTS &&
	       end - f->index_offset ==
	               f->chunk_count * sizeof(struct disk_chunk) + f->extent_count * sizeof(struct disk_extent);
}

static int reader_read_footer(struct img_reader *r)
{
	struct disk_footer foot;
	struct disk_footer *f = &r->foot;

	if (r->file_bytes < sizeof(struct disk_header) + sizeof(foot))
		return report_fail(r->rep, -EBADMSG,
		                   "image %s: truncated: footer missing; the checkpoint was not completed or the copy is "
		                   "partial - copy it again",
		                   r->path);
	int err = reader_pread(r, &foot, sizeof(foot), r->file_bytes - sizeof(foot));
	if (err)
		return err;
	if (memcmp(foot.magic, IMG_FOOTER_MAGIC, sizeof(foot.magic)))
		return report_fail(r->rep, -EBADMSG,
		                   "image %s: truncated: footer missing; the checkpoint was not completed or the copy is "
		                   "partial - copy it again",
		                   r->path);
	if (le64toh(foot.checksum) != XXH3_64bits(&foot, offsetof(struct disk_footer, checksum)))
		return reader_damaged(r, "footer checksum differs");
	*f = foot;
	f->file_bytes = le64toh(foot.file_bytes);
	f->records_offset = le64toh(foot.records_offset);
	f->records_bytes = le64toh(foot.records_bytes);
	f->record_count = le64toh(foot.record_count);
	f->index_offset = le64toh(foot.index_offset);
	f->chunk_count = le64toh(foot.chunk_count);
	f->extent_count = le64toh(foot.extent_count);
	f->index_checksum = le64toh(foot.index_checksum);
	if (!reader_footer_fits(r))
		return reader_damaged(r, "the footer does not fit the file");
	return 0;
}

/* Makes room for `more` entries after the `n` there are, never for more than `total`: what is not yet read takes no memory. */
static int reader_grow(void **items, size_t n, size_t more, size_t total, size_t *room, size_t size)
{
	if (n + more <= *room)
		return 0;
	size_t want = *room * 2 < n + more ? n + more : *room * 2;
	if (want > total)
		want = total;
	void *p = reallocarray(*items, want, size);
	if (!p)
		return -ENOMEM;
	*items = p;
	*room = want;
	return 0;
}

/* Has the first `need` bytes of the record section in memory, and some more. */
static int reader_records_upto(struct img_reader *r, uint64_t need, size_t *have, size_t *room)
{
	uint64_t size = r->foot.records_bytes, want = need < READER_PIECE ? READER_PIECE : need + need / 2;

	if (need <= *have)
		return 0;
	if (want > size)
		want = size;
	if (reader_grow((void **)&r->records, *have, want - *have, size, room, 1))
		return report_fail(r->rep, -ENOMEM, "image %s: out of memory for its records", r->path);
	int err = reader_pread(r, r->records + *have, want - *have, r->foot.records_offset + *have);
	if (!err)
		*have = want;
	return err;
}

/* The record at `at` of the section: its place noted, its checksum compared and added to the content id. */
static int reader_add_record(struct img_reader *r, uint64_t at, size_t *have, size_t *room, XXH3_state_t *content,
                             uint64_t *ret_next)
{
	struct disk_record head;
	uint64_t size = r->foot.records_bytes;
	int err = 0;

	if (size - at < sizeof(head))
		return reader_damaged(r, "a record lies outside the record section");
	if ((err = reader_records_upto(r, at + sizeof(head), have, room)))
		return err;
	memcpy(&head, r->records + at, sizeof(head));
	uint64_t length = le64toh(head.length);
	if (length > size - at - sizeof(head) || length % 8)
		return reader_damaged(r, "a record lies outside the record section");
	for (size_t i = 0; i < sizeof(head.tag); i++)
		if (head.tag[i] < ' ' || head.tag[i] > '~')
			return reader_damaged(r, "a record's tag is not text");
	if ((err = reader_records_upto(r, at + sizeof(head) + length, have, room)))
		return err;
	const char *summed = r->records + at + sizeof(head.checksum);
	if (le64toh(head.checksum) != XXH3_64bits(summed, sizeof(head) - sizeof(head.checksum) + length))
		return reader_damaged(r, "a record's checksum differs");
	XXH3_128bits_update(content, &head.checksum, sizeof(head.checksum));
	*ret_next = at + sizeof(head) + length;
	return 0;
}

/* Finds the records in their section. It is read as it proves to hold records, so that a hole costs no memory. */
static int reader_read_records(struct img_reader *r, XXH3_state_t *content)
{
	size_t have = 0, room = 0, at_room = 0;
	uint64_t at = 0, next = 0;

	for (; r->n_records < r->foot.record_count; at = next) {
		if (reader_grow((void **)&r->record_at, r->n_records, 1, r->foot.record_count, &at_room, sizeof(*r->record_at)))
			return report_fail(r->rep, -ENOMEM, "image %s: out of memory for its records", r->path);
		int err = reader_add_record(r, at, &have, &room, content, &next);
		if (err)
			return err;
		r->record_at[r->n_records++] = at;
	}
	return at == r->foot.records_bytes ? 0 : reader_damaged(r, "bytes left over in the record section");
}

/* A chunk lies after the one before it and before the records; `floor` is where the one before ends. */
static bool reader_chunk_fits(const struct img_reader *r, const struct disk_chunk *it, uint64_t *floor)
{
	if (it->file_offset < *floor || it->file_offset > r->foot.records_offset ||
	    it->stored_bytes > r->foot.records_offset - it->file_offset)
		return false;
	if (!it->stored_bytes || !it->raw_bytes || it->raw_bytes % IMG_PAGE_SIZE || it->raw_bytes > IMG_CHUNK_BYTES ||
	    it->reserved)
		return false;
	*floor = it->file_offset + it->stored_bytes;
	if (it->codec == IMG_CODEC_NONE)
		return it->stored_bytes == it->raw_bytes && it->file_offset % IMG_PAGE_SIZE == 0;
	return it->codec <= IMG_CODEC_ZSTD && it->stored_bytes < it->raw_bytes;
}

/* Sorted, not overlapping, not past the end of the address space, within its chunk. */
static bool reader_extent_fits(const struct img_reader *r, const struct disk_extent *it)
{
	const struct img_extent *last = r->n_extents ? &r->extents[r->n_extents - 1] : NULL;
	uint64_t size = (uint64_t)it->n_pages * IMG_PAGE_SIZE;

	if (!size || it->offset % IMG_PAGE_SIZE || size > UINT64_MAX - it->offset)
		return false;
	if (last && (it->space < last->space ||
	             (it->space == last->space && it->offset < last->offset + (uint64_t)last->n_pages * IMG_PAGE_SIZE)))
		return false;
	if (it->chunk == IMG_NO_CHUNK)
		return it->chunk_page == 0;
	if (it->chunk == IMG_IN_PARENT)
		return r->incremental && it->chunk_page == 0;
	if (it->chunk >= r->n_chunks)
		return false;
	uint32_t chunk_pages = r->chunks[it->chunk].raw_bytes / IMG_PAGE_SIZE;
	return it->chunk_page < chunk_pages && it->n_pages <= chunk_pages - it->chunk_page;
}

static int reader_add_chunks(struct img_reader *r, const char *piece, size_t n, size_t *room, uint64_t *floor,
                             XXH3_state_t *content)
{
	if (reader_grow((void **)&r->chunks, r->n_chunks, n, r->foot.chunk_count, room, sizeof(*r->chunks)))
		return report_fail(r->rep, -ENOMEM, "image %s: out of memory for its index", r->path);
	for (size_t i = 0; i < n; i++) {
		struct disk_chunk it;
		memcpy(&it, piece + i * sizeof(it), sizeof(it));
		XXH3_128bits_update(content, &it.checksum, sizeof(it.checksum));
		it = (struct disk_chunk){ le64toh(it.file_offset), le32toh(it.stored_bytes), le32toh(it.raw_bytes),
			                  le32toh(it.codec),       le32toh(it.reserved),     le64toh(it.checksum) };
		if (!reader_chunk_fits(r, &it, floor))
			return reader_damaged(r, "an entry of the chunk table is out of range");
		r->chunks[r->n_chunks++] =
		        (struct img_chunk){ it.file_offset, it.stored_bytes, it.raw_bytes, it.codec, it.checksum };
	}
	return 0;
}

static int reader_add_extents(struct img_reader *r, const char *piece, size_t n, size_t *room, XXH3_state_t *content)
{
	if (reader_grow((void **)&r->extents, r->n_extents, n, r->foot.extent_count, room, sizeof(*r->extents)))
		return report_fail(r->rep, -ENOMEM, "image %s: out of memory for its index", r->path);
	XXH3_128bits_update(content, piece, n * sizeof(struct disk_extent));
	for (size_t i = 0; i < n; i++) {
		struct disk_extent it;
		memcpy(&it, piece + i * sizeof(it), sizeof(it));
		it = (struct disk_extent){ le32toh(it.space), le32toh(it.n_pages), le64toh(it.offset), le32toh(it.chunk),
			                   le32toh(it.chunk_page) };
		if (!reader_extent_fits(r, &it))
			return reader_damaged(r, "an entry of the extent table is out of range or out of order");
		r->extents[r->n_extents++] = (struct img_extent){ .space = it.space, .offset = it.offset, .n_pages = it.n_pages,
			                                          .zero = it.chunk == IMG_NO_CHUNK, .parent = it.chunk == IMG_IN_PARENT,
			                                          .chunk = it.chunk, .chunk_page = it.chunk_page };
	}
	return 0;
}

static int reader_read_index(struct img_reader *r, XXH3_state_t *index, XXH3_state_t *content)
{
	AUTO_FREE char *piece = malloc(READER_PIECE);
	uint64_t at = r->foot.index_offset, floor = sizeof(struct disk_header);
	uint64_t extents = at + r->foot.chunk_count * sizeof(struct disk_chunk);
	uint64_t end = extents + r->foot.extent_count * sizeof(struct disk_extent);
	size_t chunk_room = 0, extent_room = 0;
	int err = piece ? 0 : report_fail(r->rep, -ENOMEM, "image %s: out of memory for its index", r->path);

	while (!err && at < end) {
		uint64_t stop = at < extents ? extents : end;
		size_t n = stop - at < READER_PIECE ? stop - at : READER_PIECE;
		err = reader_pread(r, piece, n, at);
		if (err)
			break;
		XXH3_64bits_update(index, piece, n);
		if (at < extents)
			err = reader_add_chunks(r, piece, n / sizeof(struct disk_chunk), &chunk_room, &floor, content);
		else
			err = reader_add_extents(r, piece, n / sizeof(struct disk_extent), &extent_room, content);
		at += n;
	}
	if (!err && XXH3_64bits_digest(index) != r->foot.index_checksum)
		err = reader_damaged(r, "index checksum differs");
	return err;
}

static int reader_read_all(struct img_reader *r, XXH3_state_t *index, XXH3_state_t *content)
{
	XXH128_canonical_t id;

	if (!index || !content)
		return report_fail(r->rep, -ENOMEM, "image %s: out of memory", r->path);
	XXH3_64bits_reset(index);
	XXH3_128bits_reset(content);
	int err = reader_open_file(r);
	if (!err)
		err = reader_read_header(r);
	if (!err)
		err = reader_read_footer(r);
	if (!err)
		err = reader_read_records(r, content);
	if (!err)
		err = reader_read_index(r, index, content);
	if (err)
		return err;
	XXH128_canonicalFromHash(&id, XXH3_128bits_digest(content));
	if (memcmp(id.digest, r->foot.content_id, sizeof(id.digest)))
		return reader_damaged(r, "content id differs");
	return 0;
}

int img_reader_open_one(struct reporter *rep, const char *path, struct img_reader **ret)
{
	struct img_reader *r = calloc(1, sizeof(*r));

	if (!r)
		return report_fail(rep, -ENOMEM, "image %s: out of memory", path);
	r->rep = rep;
	r->fd = -1;
	pthread_mutex_init(&r->lock, NULL);
	XXH3_state_t *index = XXH3_createState(), *content = XXH3_createState();
	r->path = strdup(path);
	int err = r->path ? reader_read_all(r, index, content) : report_fail(rep, -ENOMEM, "image %s: out of memory", path);
	XXH3_freeState(index);
	XXH3_freeState(content);
	r->n_own = r->n_chunks;
	if (err) {
		img_reader_destroy(r);
		return err;
	}
	*ret = r;
	return 0;
}

int img_reader_open(struct reporter *rep, const char *path, struct img_reader **ret)
{
	return img_reader_open_with(rep, path, &(struct img_open_options){ 0 }, ret);
}

void img_reader_destroy(struct img_reader *r)
{
	if (!r)
		return;
	if (r->fd >= 0)
		close(r->fd);
	img_reader_destroy(r->parent);
	img_schema_clear(&img_parent_schema, &r->said);
	img_reader_free_scratch(r);
	pthread_mutex_destroy(&r->lock);
	free(r->path);
	free(r->records);
	free(r->record_at);
	free(r->chunks);
	free(r->extents);
	free(r);
}

const char *img_reader_path(const struct img_reader *r)
{
	return r->path;
}

int img_reader_fd(const struct img_reader *r)
{
	return r->fd;
}

bool img_reader_has_fd(const struct img_reader *r, int fd)
{
	while (r && r->fd != fd)
		r = r->parent;
	return r;
}

uint64_t img_reader_file_bytes(const struct img_reader *r)
{
	return r->file_bytes;
}

struct reporter *img_reader_reporter(const struct img_reader *r)
{
	return r->rep;
}

const uint8_t *img_reader_content_id(const struct img_reader *r)
{
	return r->foot.content_id;
}
