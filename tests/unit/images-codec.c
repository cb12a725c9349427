// SPDX-License-Identifier: LGPL-2.1-or-later
/* The user's word for a codec, and chunks that are stored raw because packing would not shrink them. */
#include "images-fixture.h"

#include <stdlib.h>
#include <string.h>

static void words_for_codecs(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *text;
		enum img_codec codec;
		int level;
	} good[] = { { "none", IMG_CODEC_NONE, 0 },   { "zlib", IMG_CODEC_ZLIB, 0 }, { "zlib:1", IMG_CODEC_ZLIB, 1 },
		     { "zlib:9", IMG_CODEC_ZLIB, 9 }, { "zstd", IMG_CODEC_ZSTD, 0 }, { "zstd:19", IMG_CODEC_ZSTD, 19 } };
	static const struct {
		const char *text, *said;
	} bad[] = { { "", "not known" },
		    { "zst", "not known" },
		    { "zstdx", "not known" },
		    { "lz4", "not known" },
		    { ":3", "not known" },
		    { "none:1", "takes no level" },
		    { "zlib:", "from 1 to 9" },
		    { "zlib:0", "from 1 to 9" },
		    { "zlib:10", "from 1 to 9" },
		    { "zlib:-1", "from 1 to 9" },
		    { "zlib:3x", "from 1 to 9" },
		    { "zstd:99", "from 1 to" },
		    { "zstd:99999999999999999999", "from 1 to" } };
	enum img_codec codec;
	int level;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(img_parse_codec(&f->rep, good[i].text, &codec, &level), 0);
		assert_int_equal(codec, good[i].codec);
		assert_int_equal(level, good[i].level);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		codec = (enum img_codec)77;
		assert_int_equal(img_parse_codec(&f->rep, bad[i].text, &codec, &level), -EINVAL);
		assert_int_equal(codec, 77);
		fixture_assert_said(f, bad[i].said);
	}
}

static uint64_t write_chunks(struct fixture *f, enum img_codec codec, int level, bool noise)
{
	struct img_writer_options options = { .codec = codec, .level = level, .overwrite = true };
	struct img_writer *w = NULL;
	struct img_writer_stats stats;
	AUTO_FREE char *pages = aligned_alloc(IMG_PAGE_SIZE, 3 * IMG_CHUNK_BYTES);

	for (size_t i = 0; i < 3 * IMG_CHUNK_PAGES; i++)
		sample_fill_page(pages + i * IMG_PAGE_SIZE, 0, i,
		                 noise || i / IMG_CHUNK_PAGES == 1 ? SAMPLE_NOISE : SAMPLE_TEXT);
	assert_int_equal(img_writer_create(&f->rep, f->path, &options, &w), 0);
	assert_int_equal(img_writer_pages(w, 0, 0, pages, 3 * IMG_CHUNK_BYTES, true), 0);
	assert_int_equal(img_writer_commit(w), 0);
	img_writer_get_stats(w, &stats);
	img_writer_destroy(w);
	return stats.file_bytes;
}

static void what_does_not_shrink_is_stored_raw(void **state)
{
	struct fixture *f = *state;
	static const enum img_codec codecs[] = { IMG_CODEC_NONE, IMG_CODEC_ZLIB, IMG_CODEC_ZSTD };
	struct img_reader *r = NULL;

	for (size_t k = 0; k < ARRAY_SIZE(codecs); k++) {
		write_chunks(f, codecs[k], 0, false);
		assert_int_equal(img_reader_open(&f->rep, f->path, &r), 0);
		assert_int_equal(img_reader_chunk_count(r), 3);
		for (size_t i = 0; i < 3; i++) {
			const struct img_chunk *it = img_reader_chunk_info(r, i);
			assert_int_equal(it->codec, i == 1 ? IMG_CODEC_NONE : codecs[k]);
			assert_int_equal(it->raw_bytes, IMG_CHUNK_BYTES);
			if (it->codec == IMG_CODEC_NONE)
				assert_int_equal(it->file_offset % IMG_PAGE_SIZE, 0);
			else
				assert_true(it->stored_bytes < IMG_CHUNK_BYTES / 8);
		}
		img_reader_destroy(r);
	}
	/* Noise costs its own size, and what the index needs. */
	assert_true(write_chunks(f, IMG_CODEC_ZSTD, 0, true) < 3 * IMG_CHUNK_BYTES + 2 * IMG_PAGE_SIZE);
}

static void a_level_makes_a_difference(void **state)
{
	struct fixture *f = *state;

	assert_true(write_chunks(f, IMG_CODEC_ZSTD, 19, false) < write_chunks(f, IMG_CODEC_ZSTD, 1, false));
	assert_true(write_chunks(f, IMG_CODEC_ZLIB, 9, false) < write_chunks(f, IMG_CODEC_ZLIB, 1, false));
	assert_int_equal(write_chunks(f, IMG_CODEC_ZSTD, 0, false), write_chunks(f, IMG_CODEC_ZSTD, 1, false));
	assert_int_equal(write_chunks(f, IMG_CODEC_ZLIB, 0, false), write_chunks(f, IMG_CODEC_ZLIB, 1, false));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(words_for_codecs, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(what_does_not_shrink_is_stored_raw, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(a_level_makes_a_difference, fixture_setup, fixture_teardown),
	};

	return cmocka_run_group_tests_name("images-codec", tests, NULL, NULL);
}
