// SPDX-License-Identifier: LGPL-2.1-or-later
/* Damaged and hostile images: whatever is cut off, flipped or made up with right checksums is refused with one message, or
 * does no harm to what is read. */
#include "images-fixture.h"

#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xxhash.h>

#include "../fuzz/reseal.h"

static const enum img_codec codecs[] = { IMG_CODEC_NONE, IMG_CODEC_ZLIB, IMG_CODEC_ZSTD };

/* Reads everything there is; with `ret_sum` a hash of it all. */
static int read_everything(struct fixture *f, const char *path, uint64_t *ret_sum)
{
	struct img_reader *r = NULL;
	struct img_raw_record raw;
	AUTO_FREE void *buf = malloc(IMG_CHUNK_BYTES);
	struct sample *samples = NULL;
	size_t n = 0, size;
	uint64_t sum = 0;
	int err = img_reader_open(&f->rep, path, &r);

	if (err)
		return err;
	for (size_t i = 0; img_reader_record(r, i, &raw); i++)
		sum = XXH3_64bits_withSeed(raw.data, raw.size, sum + raw.version + raw.flags * 3u);
	const struct img_extent *extents = img_reader_all_extents(r, &n);
	sum = XXH3_64bits_withSeed(extents, n * sizeof(*extents), sum);
	for (size_t i = 0; !err && i < img_reader_chunk_count(r); i++)
		if (!(err = img_reader_chunk(r, i, buf, &size)))
			sum = XXH3_64bits_withSeed(buf, size, sum);
	if (!err && !(err = img_reader_load(r, &sample_schema, (void **)&samples, &n)))
		img_schema_free_array(&sample_schema, samples, n);
	img_reader_destroy(r);
	if (!err)
		*ret_sum = sum;
	return err;
}

static void cut_at_any_byte_it_is_refused(void **state)
{
	struct fixture *f = *state;
	uint64_t sum;
	size_t size;

	sample_write_image(f, f->path, IMG_CODEC_ZSTD);
	AUTO_FREE uint8_t *image = fixture_read_file(f->path, &size);
	for (size_t cut = size; cut-- > 0;) {
		assert_int_equal(truncate(f->path, (off_t)cut), 0);
		assert_int_equal(read_everything(f, f->path, &sum), -EBADMSG);
		fixture_assert_said(f, cut ? "truncated: " : "empty file");
	}
}

static void a_byte_too_many_is_refused(void **state)
{
	struct fixture *f = *state;
	uint64_t sum;
	size_t size;

	sample_write_image(f, f->path, IMG_CODEC_ZSTD);
	AUTO_FREE uint8_t *image = fixture_read_file(f->path, &size);
	fixture_write_file(f->path, image, size + 1); /* the reader of files ends what it read with a NUL */
	assert_int_equal(read_everything(f, f->path, &sum), -EBADMSG);
	fixture_assert_said(f, "footer missing");
}

/* Only bytes between chunks, which hold nothing, may change unseen. */
static void any_flipped_byte_is_refused_or_harmless(void **state)
{
	struct fixture *f = *state;

	for (size_t c = 0; c < ARRAY_SIZE(codecs); c++) {
		size_t size, refused = 0;
		uint64_t good = 0, sum = 0;
		sample_write_image(f, f->path, codecs[c]);
		assert_int_equal(read_everything(f, f->path, &good), 0);
		AUTO_FREE uint8_t *image = fixture_read_file(f->path, &size);
		AUTO_CLOSE int fd = open(f->path, O_WRONLY | O_CLOEXEC);
		for (size_t i = 0; i < size; i++) {
			uint8_t flipped = image[i] ^ (uint8_t)(1u << (i % 8));
			assert_int_equal(pwrite(fd, &flipped, 1, (off_t)i), 1);
			int err = read_everything(f, f->path, &sum);
			if (err) {
				assert_true(err == -EBADMSG || err == -EPROTONOSUPPORT);
				fixture_assert_said(f, f->path);
				refused++;
			} else {
				assert_int_equal(sum, good);
				assert_int_equal(image[i], 0);
			}
			assert_int_equal(pwrite(fd, &image[i], 1, (off_t)i), 1);
		}
		/* Padding: up to the first raw chunk, and before the records. Nothing else goes unseen. */
		assert_true(refused >= size - IMG_PAGE_SIZE - 8);
		assert_int_equal(read_everything(f, f->path, &sum), 0);
	}
}

/* The same with every checksum made right again: the reader must hold without them. Pages and texts may then differ. */
static void any_flipped_byte_with_right_checksums_does_no_harm(void **state)
{
	struct fixture *f = *state;

	for (size_t c = 0; c < ARRAY_SIZE(codecs); c++) {
		size_t size, refused = 0, accepted = 0;
		uint64_t sum;
		sample_write_image(f, f->path, codecs[c]);
		AUTO_FREE uint8_t *image = fixture_read_file(f->path, &size);
		AUTO_FREE uint8_t *copy = malloc(size);
		/* The page data itself is tried at some places only; all that surrounds it at every byte. */
		for (size_t i = 0; i < size; i += (i <= 80 || i >= size - 1500) ? 1 : 61) {
			memcpy(copy, image, size);
			copy[i] ^= (uint8_t)(1u << (i % 8));
			reseal_image(copy, size);
			fixture_write_file(f->path, copy, size);
			if (read_everything(f, f->path, &sum)) {
				refused++;
				fixture_assert_said(f, f->path);
			} else {
				accepted++;
			}
		}
		assert_true(refused > 300 && accepted > 10);
	}
}

enum part { HEADER, FOOTER, CHUNK, EXTENT, RECORD };

/* One number of one part of the sample image set to something else. */
struct hostile {
	enum part part;
	size_t i; /* which chunk, extent or record */
	size_t offset, width;
	uint64_t value;
	const char *said;
};

#define SET(part, type, i, member, value, said)                                                            \
	{                                                                                                  \
		part, i, offsetof(struct type, member), sizeof(((struct type *)NULL)->member), value, said \
	}

/* The raw sample image has two chunks of three pages, at 4096 and 16384, and five extents: space 1 at 0 (two pages), 0x2000
 * (zero) and 0x3000, space 5 at 0x10000 (two pages) and 0x13000. */
static const struct hostile hostiles[] = {
	SET(HEADER, disk_header, 0, version, 2, "format version 2, this stasis reads version 1"),
	SET(HEADER, disk_header, 0, version, 0, "format version 0"),
	SET(HEADER, disk_header, 0, header_bytes, 72, "not supported"),
	SET(HEADER, disk_header, 0, page_size, 65536, "page size 65536"),
	SET(HEADER, disk_header, 0, chunk_pages, 512, "512 pages a chunk"),
	SET(HEADER, disk_header, 0, flags, 2, "flags 0x2"),
	SET(HEADER, disk_header, 0, flags, 1, "does not say clearly what its parent is"),
	SET(FOOTER, disk_footer, 0, file_bytes, 0, "footer does not fit"),
	SET(FOOTER, disk_footer, 0, records_offset, 0, "footer does not fit"),
	SET(FOOTER, disk_footer, 0, records_offset, UINT64_MAX - 7, "footer does not fit"),
	SET(FOOTER, disk_footer, 0, records_offset, 28680, "footer does not fit"),
	SET(FOOTER, disk_footer, 0, records_bytes, UINT64_MAX, "footer does not fit"),
	SET(FOOTER, disk_footer, 0, records_bytes, 0, "footer does not fit"),
	SET(FOOTER, disk_footer, 0, record_count, UINT64_MAX, "footer does not fit"),
	SET(FOOTER, disk_footer, 0, record_count, 3, "outside the record section"),
	SET(FOOTER, disk_footer, 0, record_count, 1, "left over in the record section"),
	SET(FOOTER, disk_footer, 0, record_count, 0, "left over in the record section"),
	SET(FOOTER, disk_footer, 0, index_offset, UINT64_MAX, "footer does not fit"),
	SET(FOOTER, disk_footer, 0, chunk_count, UINT64_MAX, "footer does not fit"),
	SET(FOOTER, disk_footer, 0, chunk_count, UINT64_C(1) << 59 | 2,
	    "footer does not fit"), /* times 32 this is 2 chunks again */
	SET(FOOTER, disk_footer, 0, chunk_count, 3, "footer does not fit"),
	SET(FOOTER, disk_footer, 0, extent_count, UINT64_MAX, "footer does not fit"),
	SET(FOOTER, disk_footer, 0, extent_count, UINT64_C(1) << 61 | 5, "footer does not fit"),
	SET(FOOTER, disk_footer, 0, extent_count, 4, "footer does not fit"),
	SET(CHUNK, disk_chunk, 0, file_offset, 0, "chunk table is out of range"),
	SET(CHUNK, disk_chunk, 0, file_offset, UINT64_MAX & ~UINT64_C(4095), "chunk table is out of range"),
	SET(CHUNK, disk_chunk, 0, file_offset, 4097, "chunk table is out of range"),
	SET(CHUNK, disk_chunk, 1, file_offset, 4096, "chunk table is out of range"),
	SET(CHUNK, disk_chunk, 1, file_offset, 20480, "chunk table is out of range"),
	SET(CHUNK, disk_chunk, 1, stored_bytes, UINT32_MAX, "chunk table is out of range"),
	SET(CHUNK, disk_chunk, 1, stored_bytes, 0, "chunk table is out of range"),
	SET(CHUNK, disk_chunk, 1, raw_bytes, 0, "chunk table is out of range"),
	SET(CHUNK, disk_chunk, 1, raw_bytes, UINT32_MAX, "chunk table is out of range"),
	SET(CHUNK, disk_chunk, 1, raw_bytes, UINT32_MAX & ~4095u, "chunk table is out of range"),
	SET(CHUNK, disk_chunk, 1, codec, 3, "chunk table is out of range"),
	SET(CHUNK, disk_chunk, 1, codec, 2, "chunk table is out of range"),
	SET(CHUNK, disk_chunk, 1, reserved, 1, "chunk table is out of range"),
	SET(EXTENT, disk_extent, 0, n_pages, 0, "extent table is out of range"),
	SET(EXTENT, disk_extent, 0, n_pages, UINT32_MAX, "extent table is out of range"),
	SET(EXTENT, disk_extent, 0, n_pages, 4, "extent table is out of range"),
	SET(EXTENT, disk_extent, 0, n_pages, 3, "extent table is out of range or out of order"),
	SET(EXTENT, disk_extent, 1, n_pages, 2, "extent table is out of range or out of order"),
	SET(EXTENT, disk_extent, 0, offset, 1, "extent table is out of range"),
	SET(EXTENT, disk_extent, 4, offset, UINT64_MAX, "extent table is out of range"),
	SET(EXTENT, disk_extent, 4, offset, UINT64_C(0xfffffffffffff000), "extent table is out of range"),
	SET(EXTENT, disk_extent, 1, offset, 0x1000, "extent table is out of range or out of order"),
	SET(EXTENT, disk_extent, 0, space, 2, "extent table is out of range or out of order"),
	SET(EXTENT, disk_extent, 0, chunk, 2, "extent table is out of range"),
	SET(EXTENT, disk_extent, 0, chunk_page, 2, "extent table is out of range"),
	SET(EXTENT, disk_extent, 0, chunk_page, UINT32_MAX, "extent table is out of range"),
	SET(EXTENT, disk_extent, 1, chunk_page, 1, "extent table is out of range"),
	SET(RECORD, disk_record, 0, length, UINT64_MAX - 7, "outside the record section"),
	SET(RECORD, disk_record, 0, length, UINT64_C(1) << 32, "outside the record section"),
	SET(RECORD, disk_record, 0, length, 9, "outside the record section"),
	SET(RECORD, disk_record, 0, tag, 0x1b6d305b, "tag is not text"), /* an escape sequence for terminals */
};

static uint8_t *part_of(uint8_t *image, size_t size, enum part part, size_t i)
{
	struct disk_footer foot;
	struct disk_record head;

	memcpy(&foot, image + size - sizeof(foot), sizeof(foot));
	switch (part) {
	case HEADER:
		return image;
	case FOOTER:
		return image + size - sizeof(foot);
	case CHUNK:
		return image + foot.index_offset + i * sizeof(struct disk_chunk);
	case EXTENT:
		return image + foot.index_offset + foot.chunk_count * sizeof(struct disk_chunk) +
		       i * sizeof(struct disk_extent);
	default:
		image += foot.records_offset;
		for (; i; i--) {
			memcpy(&head, image, sizeof(head));
			image += sizeof(head) + head.length;
		}
		return image;
	}
}

static void hostile_numbers_are_refused(void **state)
{
	struct fixture *f = *state;
	size_t size;
	uint64_t sum;

	sample_write_image(f, f->path, IMG_CODEC_NONE);
	AUTO_FREE uint8_t *image = fixture_read_file(f->path, &size);
	AUTO_FREE uint8_t *copy = malloc(size);
	for (size_t k = 0; k < ARRAY_SIZE(hostiles); k++) {
		const struct hostile *it = &hostiles[k];
		memcpy(copy, image, size);
		memcpy(part_of(copy, size, it->part, it->i) + it->offset, &it->value, it->width);
		/* Without right checksums it is refused for those ... */
		fixture_write_file(f->path, copy, size);
		assert_int_equal(read_everything(f, f->path, &sum), -EBADMSG);
		fixture_forget(f);
		/* ... and with them for what it says. */
		reseal_image(copy, size);
		fixture_write_file(f->path, copy, size);
		if (!read_everything(f, f->path, &sum))
			fail_msg("number %zu (\"%s\") was accepted", k, it->said);
		fixture_assert_said(f, it->said);
	}
}

/* All checksums right, but the content id is another image's. */
static void a_foreign_content_id_is_refused(void **state)
{
	struct fixture *f = *state;
	struct disk_footer foot;
	size_t size;
	uint64_t sum;

	sample_write_image(f, f->path, IMG_CODEC_ZSTD);
	AUTO_FREE uint8_t *image = fixture_read_file(f->path, &size);
	memcpy(&foot, image + size - sizeof(foot), sizeof(foot));
	foot.content_id[15] ^= 1;
	foot.checksum = XXH3_64bits(&foot, offsetof(struct disk_footer, checksum));
	memcpy(image + size - sizeof(foot), &foot, sizeof(foot));
	fixture_write_file(f->path, image, size);
	assert_int_equal(read_everything(f, f->path, &sum), -EBADMSG);
	fixture_assert_said(f, "content id differs");
}

/* The packed data of a chunk must give exactly the pages that the table promises. */
static void a_chunk_must_unpack_to_its_size(void **state)
{
	struct fixture *f = *state;
	static const enum img_codec packed[] = { IMG_CODEC_ZLIB, IMG_CODEC_ZSTD };
	uint64_t sum;
	size_t size;

	for (size_t k = 0; k < ARRAY_SIZE(packed); k++) {
		sample_write_image(f, f->path, packed[k]);
		AUTO_FREE uint8_t *image = fixture_read_file(f->path, &size);
		struct disk_chunk *it = (struct disk_chunk *)part_of(image, size, CHUNK, 1);
		assert_int_equal(it->codec, packed[k]);
		for (int round = 0; round < 4; round++) {
			struct disk_chunk was = *it;
			if (round == 0)
				it->raw_bytes += IMG_PAGE_SIZE;
			else if (round == 1)
				it->raw_bytes = IMG_CHUNK_BYTES;
			else if (round == 2)
				it->stored_bytes--;
			else
				it->codec = packed[k] == IMG_CODEC_ZLIB ? IMG_CODEC_ZSTD : IMG_CODEC_ZLIB;
			reseal_image(image, size);
			fixture_write_file(f->path, image, size);
			assert_int_equal(read_everything(f, f->path, &sum), -EBADMSG);
			fixture_assert_said(f, "page chunk 1: cannot be unpacked");
			*it = was;
		}
	}
}

/* A small file may claim to be huge by a hole. It costs little to find out: the time limit of the test would tell. */
static void a_file_of_holes_is_refused(void **state)
{
	struct fixture *f = *state;
	struct disk_header head;
	struct disk_footer foot;
	size_t size;
	uint64_t sum;

	sample_write_image(f, f->path, IMG_CODEC_NONE);
	AUTO_FREE uint8_t *image = fixture_read_file(f->path, &size);
	memcpy(&head, image, sizeof(head));
	memcpy(&foot, image + size - sizeof(foot), sizeof(foot));
	for (int round = 0; round < 2; round++) {
		foot.record_count = round ? 0 : IMG_MAX_RECORDS_BYTES / 24;
		foot.records_offset = sizeof(head);
		foot.records_bytes = round ? 0 : IMG_MAX_RECORDS_BYTES / 2;
		foot.record_count /= 2;
		foot.index_offset = foot.records_offset + foot.records_bytes;
		foot.chunk_count = 0;
		foot.extent_count = round ? IMG_MAX_EXTENTS : 0;
		foot.file_bytes = foot.index_offset + foot.extent_count * sizeof(struct disk_extent) + sizeof(foot);
		foot.checksum = XXH3_64bits(&foot, offsetof(struct disk_footer, checksum));
		AUTO_CLOSE int fd = open(f->path, O_WRONLY | O_TRUNC | O_CLOEXEC);
		assert_int_equal(pwrite(fd, &head, sizeof(head), 0), sizeof(head));
		assert_int_equal(pwrite(fd, &foot, sizeof(foot), (off_t)(foot.file_bytes - sizeof(foot))), sizeof(foot));
		assert_int_equal(read_everything(f, f->path, &sum), -EBADMSG);
		fixture_assert_said(f, f->path);
	}
}

static void what_is_no_image_is_named(void **state)
{
	struct fixture *f = *state;
	uint64_t sum;
	char other[sizeof(f->path) + 16];

	assert_int_equal(read_everything(f, f->path, &sum), -ENOENT);
	fixture_assert_said(f, "does not exist");
	assert_int_equal(read_everything(f, f->dir, &sum), -EISDIR);
	fixture_assert_said(f, "this is a directory");
	assert_int_equal(read_everything(f, "/dev/null", &sum), -EINVAL);
	fixture_assert_said(f, "not a regular file");
	fixture_write_file(f->path, "", 0);
	assert_int_equal(read_everything(f, f->path, &sum), -EBADMSG);
	fixture_assert_said(f, "empty file");
	snprintf(other, sizeof(other), "%s/below", f->path);
	assert_int_equal(read_everything(f, other, &sum), -ENOTDIR);
	fixture_assert_said(f, "does not exist");
	for (size_t n = 1; n < 400; n += n < 20 ? 1 : 50) {
		char text[400];
		memset(text, 'x', sizeof(text));
		fixture_write_file(f->path, text, n);
		assert_int_equal(read_everything(f, f->path, &sum), -EBADMSG);
		fixture_assert_said(f, "not a stasis image");
	}
	/* A FIFO must not be waited for. */
	snprintf(other, sizeof(other), "%s/fifo", f->dir);
	assert_int_equal(mkfifo(other, 0600), 0);
	assert_int_equal(read_everything(f, other, &sum), -EINVAL);
	fixture_assert_said(f, "not a regular file");
}

static int read_as_nobody(struct fixture *f)
{
	uint64_t sum;

	if (!geteuid() && (setgid(65534) || setuid(65534)))
		return 1;
	return read_everything(f, f->path, &sum) != -EACCES || !strstr(f->last_error, "no permission to read it");
}

static void without_permission_it_says_so(void **state)
{
	struct fixture *f = *state;

	sample_write_image(f, f->path, IMG_CODEC_NONE);
	if (!geteuid())
		assert_int_equal(chmod(f->dir, 0755), 0);
	else
		assert_int_equal(chmod(f->path, 0), 0);
	fixture_in_child(f, read_as_nobody);
}

struct note {
	uint32_t number;
};
static const struct img_field note_fields[] = { IMG_FIELD(1, note, number, IMG_U32, IMG_DEC) };

static struct img_reader *image_with(struct fixture *f, const struct img_schema *extra)
{
	struct img_writer_options options = { .overwrite = true };
	struct img_writer *w = NULL;
	struct img_reader *r = NULL;
	struct sample a = { .u32 = 1 };
	struct note b = { 2 };

	assert_int_equal(img_writer_create(&f->rep, f->path, &options, &w), 0);
	assert_int_equal(img_writer_record(w, extra, &b), 0);
	assert_int_equal(img_writer_record(w, &sample_schema, &a), 0);
	assert_int_equal(img_writer_commit(w), 0);
	img_writer_destroy(w);
	assert_int_equal(img_reader_open(&f->rep, f->path, &r), 0);
	return r;
}

static void unknown_records_are_refused_or_skipped(void **state)
{
	struct fixture *f = *state;
	struct img_schema note = IMG_SCHEMA("NOTE", 1, 0, "note", note, note_fields);
	const struct img_schema *known[] = { &sample_schema, &note };
	struct note *notes = NULL;
	size_t n;

	struct img_reader *r = image_with(f, &note);
	assert_int_equal(img_reader_require_known(r, known, 1), 0);
	img_reader_destroy(r);

	note.flags = IMG_MUST_UNDERSTAND;
	r = image_with(f, &note);
	assert_int_equal(img_reader_require_known(r, known, 1), -EBADMSG);
	fixture_assert_said(f, "record \"NOTE\" is needed");
	assert_int_equal(img_reader_require_known(r, known, 2), 0);
	img_reader_destroy(r);

	/* The same record from the future. */
	note.version = 2;
	r = image_with(f, &note);
	note.version = 1;
	assert_int_equal(img_reader_require_known(r, known, 2), -EBADMSG);
	fixture_assert_said(f, "record \"note\" of version 2, this stasis knows version 1");
	assert_int_equal(img_reader_load(r, &note, (void **)&notes, &n), -EBADMSG);
	fixture_assert_said(f, "version 2");
	img_reader_destroy(r);

	note.flags = 0;
	note.version = 2;
	r = image_with(f, &note);
	note.version = 1;
	assert_int_equal(img_reader_require_known(r, known, 2), 0);
	assert_int_equal(img_reader_load(r, &note, (void **)&notes, &n), 0);
	assert_int_equal(n, 0);
	free(notes);
	img_reader_destroy(r);
	assert_int_equal(f->n_errors, 0);
}

/* The file is cut while the image is open: what was read stays, what is then missing is an error and no SIGBUS. */
static void cut_while_open_it_fails_cleanly(void **state)
{
	struct fixture *f = *state;
	struct img_reader *r = NULL;
	AUTO_FREE void *buf = malloc(IMG_CHUNK_BYTES);
	size_t size;

	sample_write_image(f, f->path, IMG_CODEC_NONE);
	assert_int_equal(img_reader_open(&f->rep, f->path, &r), 0);
	assert_int_equal(truncate(f->path, 5000), 0);
	assert_int_equal(img_reader_chunk(r, 0, buf, &size), -EBADMSG);
	fixture_assert_said(f, "truncated while it was being read");
	assert_int_equal(img_reader_verify(r), -EBADMSG);
	img_reader_destroy(r);
}

int main(void)
{
	/* Some ten thousand readers come and go: what they free is kept, since new memory is slow to get. */
	mallopt(M_MMAP_THRESHOLD, 1 << 30);
	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(cut_at_any_byte_it_is_refused, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(a_byte_too_many_is_refused, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(any_flipped_byte_is_refused_or_harmless, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(any_flipped_byte_with_right_checksums_does_no_harm, fixture_setup,
		                                fixture_teardown),
		cmocka_unit_test_setup_teardown(hostile_numbers_are_refused, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(a_foreign_content_id_is_refused, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(a_chunk_must_unpack_to_its_size, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(a_file_of_holes_is_refused, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(what_is_no_image_is_named, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(without_permission_it_says_so, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(unknown_records_are_refused_or_skipped, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(cut_while_open_it_fails_cleanly, fixture_setup, fixture_teardown),
	};

	return cmocka_run_group_tests_name("images-damage", tests, NULL, NULL);
}
