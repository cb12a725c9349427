// SPDX-License-Identifier: LGPL-2.1-or-later
/* What is written into an image comes back out of it: pages of many spaces in any order, under every codec, with zero pages
 * and holes for free, read one by one and by several threads at once. */
#include "images-fixture.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define KINDS 4096 /* pages of a large space */

static enum sample_kind kind_of(uint64_t i)
{
	/* Runs of different lengths, and among them many of one page. */
	return (enum sample_kind)((i / 5 ^ i / 64 ^ (i % 3 == 0)) % 3);
}

static struct img_writer *create(struct fixture *f, enum img_codec codec)
{
	struct img_writer_options options = { .codec = codec };
	struct img_writer *w = NULL;

	assert_int_equal(img_writer_create(&f->rep, f->path, &options, &w), 0);
	return w;
}

static struct img_reader *commit_and_open(struct fixture *f, struct img_writer *w)
{
	struct img_reader *r = NULL;

	assert_int_equal(img_writer_commit(w), 0);
	img_writer_destroy(w);
	assert_int_equal(img_reader_open(&f->rep, f->path, &r), 0);
	return r;
}

/* Pages go in with calls of different sizes, back to front, through both ways of treating zero pages. */
static void write_large_space(struct img_writer *w, uint32_t space)
{
	static const size_t steps[] = { 1, 700, 3, 256, 255, 257, 64, 2 };
	AUTO_FREE char *pages = aligned_alloc(IMG_PAGE_SIZE, 1024 * IMG_PAGE_SIZE);
	uint64_t end = KINDS;

	for (size_t k = 0; end; k++) {
		size_t n = steps[k % ARRAY_SIZE(steps)];
		n = n < end ? n : end;
		end -= n;
		for (size_t i = 0; i < n; i++)
			sample_fill_page(pages + i * IMG_PAGE_SIZE, space, end + i, kind_of(end + i));
		assert_int_equal(img_writer_pages(w, space, end * IMG_PAGE_SIZE, pages, n * IMG_PAGE_SIZE, k % 2), 0);
		memset(pages, 0xee, n * IMG_PAGE_SIZE); /* the writer has its copy */
	}
}

static void check_large_space(struct img_reader *r, uint32_t space)
{
	char page[IMG_PAGE_SIZE], expected[IMG_PAGE_SIZE];
	size_t all_size = KINDS * IMG_PAGE_SIZE;
	AUTO_FREE char *all = malloc(all_size);

	assert_int_equal(img_reader_read(r, space, 0, all, all_size), 0);
	for (uint64_t i = 0; i < KINDS; i++) {
		sample_fill_page(expected, space, i, kind_of(i));
		assert_memory_equal(all + i * IMG_PAGE_SIZE, expected, IMG_PAGE_SIZE);
	}
	for (uint64_t i = 7; i < KINDS; i += 501) {
		sample_fill_page(expected, space, i, kind_of(i));
		assert_int_equal(img_reader_read(r, space, i * IMG_PAGE_SIZE, page, sizeof(page)), 0);
		assert_memory_equal(page, expected, sizeof(page));
	}
	/* Neither end of a read need lie on a page. */
	assert_int_equal(img_reader_read(r, space, 3 * IMG_PAGE_SIZE + 100, page, 4000), 0);
	assert_memory_equal(page, all + 3 * IMG_PAGE_SIZE + 100, 4000);
}

static void check_extents(struct img_reader *r)
{
	size_t n;
	const struct img_extent *it = img_reader_all_extents(r, &n);

	for (size_t i = 1; i < n; i++) {
		uint64_t end = it[i - 1].offset + (uint64_t)it[i - 1].n_pages * IMG_PAGE_SIZE;
		assert_true(it[i].space > it[i - 1].space || (it[i].space == it[i - 1].space && it[i].offset >= end));
	}
	for (size_t i = 0; i < img_reader_chunk_count(r); i++) {
		const struct img_chunk *chunk = img_reader_chunk_info(r, i);
		if (chunk->codec == IMG_CODEC_NONE) {
			assert_int_equal(chunk->file_offset % IMG_PAGE_SIZE, 0);
			assert_int_equal(chunk->stored_bytes, chunk->raw_bytes);
		} else {
			assert_true(chunk->stored_bytes < chunk->raw_bytes);
		}
	}
	assert_null(img_reader_chunk_info(r, img_reader_chunk_count(r)));
}

static void round_trip(struct fixture *f, enum img_codec codec)
{
	struct img_writer *w = create(f, codec);
	struct sample in = { .u32 = 1, .text = (char *)"between the pages" }, *out = NULL;
	struct img_writer_stats stats;
	struct stat st;
	size_t n;

	write_large_space(w, 3);
	for (in.u32 = 0; in.u32 < 50; in.u32++)
		assert_int_equal(img_writer_record(w, &sample_schema, &in), 0);
	write_large_space(w, 1);
	struct img_reader *r = NULL;
	assert_int_equal(img_writer_commit(w), 0);
	img_writer_get_stats(w, &stats);
	img_writer_destroy(w);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(stats.file_bytes, st.st_size);
	assert_int_equal(stats.page_bytes + stats.zero_bytes, 2 * KINDS * IMG_PAGE_SIZE);

	assert_int_equal(img_reader_open(&f->rep, f->path, &r), 0);
	assert_int_equal(img_reader_verify(r), 0);
	assert_int_equal(f->progress_done, f->progress_total);
	check_extents(r);
	check_large_space(r, 1);
	check_large_space(r, 3);
	assert_int_equal(img_reader_load(r, &sample_schema, (void **)&out, &n), 0);
	assert_int_equal(n, 50);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(out[i].u32, i);
	img_schema_free_array(&sample_schema, out, n);
	img_reader_destroy(r);
	assert_int_equal(f->n_errors, 0);
}

static void pages_come_back_raw(void **state)
{
	round_trip(*state, IMG_CODEC_NONE);
}

static void pages_come_back_from_zlib(void **state)
{
	round_trip(*state, IMG_CODEC_ZLIB);
}

static void pages_come_back_from_zstd(void **state)
{
	round_trip(*state, IMG_CODEC_ZSTD);
}

static void an_empty_image_is_an_image(void **state)
{
	struct fixture *f = *state;
	struct img_reader *r = commit_and_open(f, create(f, IMG_CODEC_ZSTD));
	struct img_raw_record raw;
	char page[IMG_PAGE_SIZE];
	size_t n = 1;

	assert_int_equal(img_reader_record_count(r), 0);
	assert_false(img_reader_record(r, 0, &raw));
	assert_null(img_reader_extents(r, 0, &n));
	assert_int_equal(n, 0);
	assert_int_equal(img_reader_verify(r), 0);
	memset(page, 1, sizeof(page));
	assert_int_equal(img_reader_read(r, 0, 0, page, sizeof(page)), 0);
	assert_true(page[0] == 0 && page[IMG_PAGE_SIZE - 1] == 0);
	img_reader_destroy(r);
}

/* 512 MiB of zero pages, given in pieces: an image of one extent. With drop_zero not even that. */
static void zero_pages_cost_nothing(void **state)
{
	struct fixture *f = *state;
	size_t size = 64 << 20, n;
	AUTO_FREE char *zeros = calloc(1, size);
	struct img_writer *w = create(f, IMG_CODEC_NONE);
	struct img_writer_stats stats;

	for (uint64_t i = 0; i < 4; i++) {
		assert_int_equal(img_writer_pages(w, 0, i * size, zeros, size, false), 0);
		assert_int_equal(img_writer_pages(w, 9, i * size, zeros, size, true), 0);
	}
	assert_int_equal(img_writer_commit(w), 0);
	img_writer_get_stats(w, &stats);
	img_writer_destroy(w);
	assert_int_equal(stats.zero_bytes, 8 * size);
	assert_int_equal(stats.page_bytes, 0);
	assert_int_equal(stats.file_bytes,
	                 sizeof(struct disk_header) + sizeof(struct disk_extent) + sizeof(struct disk_footer));
	struct img_reader *r = NULL;
	assert_int_equal(img_reader_open(&f->rep, f->path, &r), 0);
	const struct img_extent *it = img_reader_all_extents(r, &n);
	assert_int_equal(n, 1);
	assert_true(it->zero && it->space == 0 && it->n_pages == 4 * size / IMG_PAGE_SIZE);
	img_reader_destroy(r);
}

/* A page of which only one byte is not zero, at any place, is not a zero page. */
static void one_byte_makes_a_page(void **state)
{
	struct fixture *f = *state;
	static const size_t places[] = { 0, 1, 7, 8, 15, 16, 17, 2048, 4079, 4080, 4088, 4095 };
	struct img_writer *w = create(f, IMG_CODEC_NONE);
	char page[IMG_PAGE_SIZE];

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		memset(page, 0, sizeof(page));
		page[places[i]] = 1;
		assert_int_equal(img_writer_pages(w, 0, i * IMG_PAGE_SIZE, page, sizeof(page), true), 0);
	}
	struct img_reader *r = commit_and_open(f, w);
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		assert_int_equal(img_reader_read(r, 0, i * IMG_PAGE_SIZE, page, sizeof(page)), 0);
		for (size_t k = 0; k < sizeof(page); k++)
			assert_int_equal(page[k], k == places[i]);
	}
	img_reader_destroy(r);
}

/* Single pages far apart, up to the last page of the address space that an extent can name. */
static void sparse_spaces_keep_their_holes(void **state)
{
	struct fixture *f = *state;
	static const uint64_t offsets[] = {
		0, 0x1000, 0x400000, 0x7ffffffff000, UINT64_C(0xffffffffff600000), UINT64_C(0xffffffffffffe000)
	};
	struct img_writer *w = create(f, IMG_CODEC_ZSTD);
	char page[IMG_PAGE_SIZE], got[IMG_PAGE_SIZE];
	size_t n;

	for (size_t i = ARRAY_SIZE(offsets); i-- > 0;) {
		sample_fill_page(page, 2, i, SAMPLE_TEXT);
		assert_int_equal(img_writer_pages(w, 2, offsets[i], page, sizeof(page), false), 0);
	}
	struct img_reader *r = commit_and_open(f, w);
	assert_non_null(img_reader_extents(r, 2, &n));
	assert_int_equal(n,
	                 ARRAY_SIZE(offsets)); /* back to front, so that neighbours in memory are not neighbours in the chunk */
	for (size_t i = 0; i < ARRAY_SIZE(offsets); i++) {
		sample_fill_page(page, 2, i, SAMPLE_TEXT);
		assert_int_equal(img_reader_read(r, 2, offsets[i], got, sizeof(got)), 0);
		assert_memory_equal(page, got, sizeof(page));
	}
	memset(page, 0, sizeof(page));
	assert_int_equal(img_reader_read(r, 2, 0x800000, got, sizeof(got)), 0);
	assert_memory_equal(page, got, sizeof(page));
	assert_int_equal(img_reader_read(r, 2, UINT64_MAX - 10, got, sizeof(got)), -EINVAL);
	fixture_assert_said(f, "past the end");
	img_reader_destroy(r);
}

static void many_spaces_are_kept_apart(void **state)
{
	struct fixture *f = *state;
	struct img_writer *w = create(f, IMG_CODEC_ZSTD);
	char page[IMG_PAGE_SIZE], got[IMG_PAGE_SIZE];
	size_t n;

	for (uint32_t space = 0; space < 3000; space++) {
		sample_fill_page(page, space * 7, space, SAMPLE_TEXT);
		assert_int_equal(img_writer_pages(w, space * 7, 0x10000, page, sizeof(page), false), 0);
	}
	sample_fill_page(page, UINT32_MAX, 0, SAMPLE_TEXT);
	assert_int_equal(img_writer_pages(w, UINT32_MAX, 0x10000, page, sizeof(page), false), 0);
	struct img_reader *r = commit_and_open(f, w);
	assert_int_equal(img_reader_chunk_count(r), 3001 / IMG_CHUNK_PAGES + 1);
	for (uint32_t space = 0; space < 3000; space += 13) {
		sample_fill_page(page, space * 7, space, SAMPLE_TEXT);
		assert_int_equal(img_reader_read(r, space * 7, 0x10000, got, sizeof(got)), 0);
		assert_memory_equal(page, got, sizeof(page));
		assert_non_null(img_reader_extents(r, space * 7, &n));
		assert_int_equal(n, 1);
		assert_null(img_reader_extents(r, space * 7 + 1, &n));
		assert_int_equal(n, 0);
	}
	assert_non_null(img_reader_extents(r, UINT32_MAX, &n));
	assert_int_equal(n, 1);
	img_reader_destroy(r);
}

struct loader {
	const struct img_reader *r;
	const uint64_t *sums;
	unsigned seed;
	size_t bad;
};

static uint64_t sum_of(const uint64_t *data, size_t size)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < size / sizeof(*data); i++)
		sum = sum * 31 + data[i];
	return sum;
}

static void *load_chunks(void *arg)
{
	struct loader *it = arg;
	void *buf = malloc(IMG_CHUNK_BYTES);
	size_t size;

	for (int i = 0; i < 100; i++) {
		size_t chunk = (size_t)rand_r(&it->seed) % img_reader_chunk_count(it->r);
		it->bad += img_reader_chunk(it->r, chunk, buf, &size) || sum_of(buf, size) != it->sums[chunk];
	}
	free(buf);
	return NULL;
}

static void threads_load_chunks_at_once(void **state)
{
	struct fixture *f = *state;
	struct img_writer *w = create(f, IMG_CODEC_ZSTD);
	uint64_t sums[64];
	AUTO_FREE void *buf = malloc(IMG_CHUNK_BYTES);
	pthread_t threads[4];
	struct loader loaders[ARRAY_SIZE(threads)];
	size_t size;

	write_large_space(w, 0);
	struct img_reader *r = commit_and_open(f, w);
	assert_true(img_reader_chunk_count(r) > 4 && img_reader_chunk_count(r) <= ARRAY_SIZE(sums));
	for (size_t i = 0; i < img_reader_chunk_count(r); i++) {
		assert_int_equal(img_reader_chunk(r, i, buf, &size), 0);
		sums[i] = sum_of(buf, size);
	}
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		loaders[i] = (struct loader){ r, sums, (unsigned)i, 0 };
		assert_int_equal(pthread_create(&threads[i], NULL, load_chunks, &loaders[i]), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(loaders[i].bad, 0);
	}
	assert_int_equal(img_reader_chunk(r, img_reader_chunk_count(r), buf, &size), -EINVAL);
	img_reader_destroy(r);
}

/* The content id follows what is inside, not where or when it was written. */
static void the_content_id_follows_the_content(void **state)
{
	struct fixture *f = *state;
	uint8_t first[16];
	struct img_reader *r = NULL;
	struct sample it = { .u32 = 1 };

	for (int round = 0; round < 3; round++) {
		struct img_writer_options options = { .codec = IMG_CODEC_ZSTD, .overwrite = true };
		struct img_writer *w = NULL;
		assert_int_equal(img_writer_create(&f->rep, f->path, &options, &w), 0);
		write_large_space(w, 0);
		it.u32 = round == 2 ? 2 : 1;
		assert_int_equal(img_writer_record(w, &sample_schema, &it), 0);
		r = commit_and_open(f, w);
		if (!round)
			memcpy(first, img_reader_content_id(r), sizeof(first));
		else
			assert_int_equal(!memcmp(first, img_reader_content_id(r), sizeof(first)), round == 1);
		img_reader_destroy(r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(pages_come_back_raw, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(pages_come_back_from_zlib, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(pages_come_back_from_zstd, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(an_empty_image_is_an_image, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(zero_pages_cost_nothing, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(one_byte_makes_a_page, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(sparse_spaces_keep_their_holes, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(many_spaces_are_kept_apart, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(threads_load_chunks_at_once, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(the_content_id_follows_the_content, fixture_setup, fixture_teardown),
	};

	return cmocka_run_group_tests_name("images-round-trip", tests, NULL, NULL);
}
