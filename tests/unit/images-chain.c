// SPDX-License-Identifier: LGPL-2.1-or-later
/* Incremental images: what a chain of them holds is, page by page, what a model in memory says, however pages changed, became
 * zero, went away or came back; and a chain that is not whole is refused with a reason. */
#include "images-fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fold.h"
#include "roll.h"

#define PAGES 2000u /* of the model: eight chunks */
#define LINKS 20
#define SPACE 3u

/* What a page is; a hole has no page at all. */
struct model {
	enum { HOLE, ZERO, DATA } kind[PAGES];
	uint32_t content[PAGES];
};

static void fill(void *page, uint32_t content)
{
	sample_fill_page(page, SPACE, content, content % 3 ? SAMPLE_TEXT : SAMPLE_NOISE);
}

static void change(struct model *m, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		uint32_t at = roll(PAGES), run = 1 + roll(8);
		for (uint32_t k = at; k < PAGES && k < at + run; k++) {
			m->kind[k] = (uint32_t[]){ HOLE, ZERO, DATA, DATA, DATA }[roll(5)];
			m->content[k] = 1 + roll(100000);
		}
	}
}

/* The page as it is in the model. With `before`, the model of the parent, the writer is told what has changed, and need not compare. */
static void write_page(struct img_writer *w, const struct model *m, const struct model *before, uint32_t i, char *page)
{
	uint64_t at = (uint64_t)i * IMG_PAGE_SIZE;

	if (before && before->kind[i] == m->kind[i] && before->content[i] == m->content[i]) {
		assert_int_equal(img_writer_same_pages(w, SPACE, at, 1), 0);
		return;
	}
	if (m->kind[i] == HOLE)
		return;
	memset(page, 0, IMG_PAGE_SIZE);
	if (m->kind[i] == DATA)
		fill(page, m->content[i]);
	assert_int_equal((before ? img_writer_changed_pages : img_writer_pages)(w, SPACE, at, page, IMG_PAGE_SIZE, false), 0);
}

static int write_link(struct fixture *f, const struct model *m, const struct model *before, const char *path, const struct img_reader *parent,
                      enum img_codec codec, struct img_writer_stats *stats)
{
	struct img_writer_options o = { .codec = codec, .parent = parent };
	struct sample record = { .u32 = 7, .text = (char *)path };
	AUTO_FREE char *page = aligned_alloc(IMG_PAGE_SIZE, IMG_PAGE_SIZE);
	struct img_writer *w;
	int err = img_writer_create(&f->rep, path, &o, &w);

	if (err)
		return err;
	assert_int_equal(img_writer_record(w, &sample_schema, &record), 0);
	assert_null(img_writer_content_id(w));
	for (uint32_t i = 0; i < PAGES; i++)
		write_page(w, m, before, i, page);
	err = img_writer_commit(w);
	assert_true(err || img_writer_content_id(w));
	img_writer_get_stats(w, stats);
	img_writer_destroy(w);
	return err;
}

/* Every page, and that holes are holes: a restart asks for the extents, so that no data may show where there is no page. */
static void assert_holds(const struct img_reader *r, const struct model *m)
{
	AUTO_FREE uint8_t *chunk = malloc(IMG_CHUNK_BYTES);
	AUTO_FREE char *want = malloc(IMG_PAGE_SIZE);
	size_t n, size;
	const struct img_extent *e = img_reader_extents(r, SPACE, &n);
	uint32_t at = 0;

	for (size_t i = 0; i < n; i++) {
		assert_false(e[i].parent);
		for (; at < e[i].offset / IMG_PAGE_SIZE; at++)
			assert_int_equal(m->kind[at], HOLE);
		if (!e[i].zero)
			assert_int_equal(img_reader_chunk(r, e[i].chunk, chunk, &size), 0);
		for (uint32_t k = 0; k < e[i].n_pages; k++, at++) {
			assert_int_equal(m->kind[at], e[i].zero ? ZERO : DATA);
			if (e[i].zero)
				continue;
			assert_true(((size_t)e[i].chunk_page + k + 1) * IMG_PAGE_SIZE <= size);
			fill(want, m->content[at]);
			assert_memory_equal(chunk + ((size_t)e[i].chunk_page + k) * IMG_PAGE_SIZE, want, IMG_PAGE_SIZE);
		}
	}
	for (; at < PAGES; at++)
		assert_int_equal(m->kind[at], HOLE);
}

static char *link_path(struct fixture *f, unsigned i)
{
	char *path;

	assert_true(asprintf(&path, "%s/%u.stasis", f->dir, i) > 0);
	return path;
}

/* Models of all links, in `m`; returns the bytes of the first and of all others together. */
static void make_chain_told(struct fixture *f, struct model *m, unsigned n, bool told, uint64_t *ret_first, uint64_t *ret_rest)
{
	struct img_writer_stats stats;

	*ret_rest = 0;
	memset(&m[0], 0, sizeof(m[0]));
	for (unsigned i = 0; i < 100; i++)
		change(&m[0], 20);
	for (unsigned i = 0; i < n; i++) {
		AUTO_FREE char *path = link_path(f, i), *before = i ? link_path(f, i - 1) : NULL;
		struct img_reader *parent = NULL;
		if (i) {
			m[i] = m[i - 1];
			change(&m[i], 4);
			assert_int_equal(img_reader_open(&f->rep, before, &parent), 0);
		}
		assert_int_equal(write_link(f, &m[i], told && i ? &m[i - 1] : NULL, path, parent, i % 3, &stats), 0);
		img_reader_destroy(parent);
		*(i ? ret_rest : ret_first) += stats.file_bytes;
	}
}

static void make_chain(struct fixture *f, struct model *m, unsigned n, uint64_t *ret_first, uint64_t *ret_rest)
{
	make_chain_told(f, m, n, false, ret_first, ret_rest);
}

static void chain_holds_its_pages(struct fixture *f, bool told)
{
	AUTO_FREE struct model *m = calloc(LINKS, sizeof(*m));
	uint64_t first = 0, rest;

	make_chain_told(f, m, LINKS, told, &first, &rest);
	for (unsigned i = 0; i < LINKS; i++) {
		AUTO_FREE char *path = link_path(f, i);
		struct img_reader *r;
		assert_int_equal(img_reader_open(&f->rep, path, &r), 0);
		assert_int_equal(img_reader_chain(r), i);
		assert_true(!img_reader_parent(r) == !i);
		assert_holds(r, &m[i]);
		assert_int_equal(img_reader_verify(r), 0);
		img_reader_destroy(r);
	}
	if (rest / (LINKS - 1) * 10 > first)
		fail_msg("a link has %lu bytes on average, the whole image %lu", rest / (LINKS - 1), first);
}

static void every_link_holds_its_pages(void **state)
{
	chain_holds_its_pages(*state, false);
}

static void every_link_holds_what_it_was_told(void **state)
{
	chain_holds_its_pages(*state, true);
}

static bool is_same(const struct model *a, const struct model *b, uint32_t i)
{
	return a->kind[i] == b->kind[i] && a->content[i] == b->content[i];
}

/* Gives the pages as they are in `draft`, then takes back, section by section, and gives anew those that are others in `m`. */
static void write_with_regret(struct fixture *f, const struct model *draft, const struct model *m, const struct img_writer_options *o,
                              struct img_writer_stats *stats)
{
	AUTO_FREE char *page = aligned_alloc(IMG_PAGE_SIZE, IMG_PAGE_SIZE);
	struct img_writer *w;

	assert_int_equal(img_writer_create(&f->rep, f->path, o, &w), 0);
	for (uint32_t i = 0; i < PAGES; i++)
		write_page(w, draft, NULL, i, page);
	if (roll(2)) /* what is taken back may be in the file, or not yet */
		assert_int_equal(img_writer_flush(w), 0);
	for (uint32_t at = 0, end; at < PAGES; at = end) {
		struct ranges keep = { 0 };
		end = at + 1 + roll(PAGES / 3);
		end = end < PAGES ? end : PAGES;
		for (uint32_t i = at; i < end; i++)
			if (is_same(draft, m, i))
				assert_int_equal(ranges_add(&keep, (uint64_t)i * IMG_PAGE_SIZE, (i + 1ull) * IMG_PAGE_SIZE), 0);
		assert_int_equal(img_writer_keep(w, SPACE + 1, (uint64_t)at * IMG_PAGE_SIZE, (uint64_t)end * IMG_PAGE_SIZE, &(struct ranges){ 0 }), 0);
		assert_int_equal(img_writer_keep(w, SPACE, (uint64_t)at * IMG_PAGE_SIZE, (uint64_t)end * IMG_PAGE_SIZE, &keep), 0);
		ranges_finish(&keep);
		for (uint32_t i = at; i < end; i++)
			if (!is_same(draft, m, i))
				write_page(w, m, NULL, i, page);
	}
	assert_int_equal(img_writer_commit(w), 0);
	img_writer_get_stats(w, stats);
	img_writer_destroy(w);
}

static void pages_taken_back_are_as_if_never_given(void **state)
{
	struct fixture *f = *state;
	AUTO_FREE struct model *m = calloc(3, sizeof(*m));
	AUTO_FREE char *first = link_path(f, 0), *plain = link_path(f, 1);
	uint64_t a = 0, b;

	make_chain(f, m, 1, &a, &b);
	for (unsigned round = 0; round < 12; round++) {
		struct img_writer_options o = { .codec = round % 3, .overwrite = true };
		struct img_writer_stats stats, without;
		struct img_reader *parent = NULL, *r;
		assert_int_equal(img_reader_open(&f->rep, first, &parent), 0);
		o.parent = round % 2 ? parent : NULL;
		m[1] = m[0];
		change(&m[1], 1 + roll(50));
		m[2] = m[1];
		change(&m[2], 1 + roll(100));
		write_with_regret(f, &m[1], &m[2], &o, &stats);
		unlink(plain);
		assert_int_equal(write_link(f, &m[2], NULL, plain, o.parent, o.codec, &without), 0);
		assert_int_equal(stats.page_bytes, without.page_bytes);
		assert_int_equal(stats.zero_bytes, without.zero_bytes);
		assert_int_equal(stats.parent_bytes, without.parent_bytes);
		assert_int_equal(img_reader_open(&f->rep, f->path, &r), 0);
		assert_holds(r, &m[2]);
		assert_int_equal(img_reader_verify(r), 0);
		img_reader_destroy(r);
		img_reader_destroy(parent);
	}
}

static void pages_as_in_a_parent_need_one(void **state)
{
	struct fixture *f = *state;
	struct img_writer *w;

	assert_int_equal(img_writer_create(&f->rep, f->path, &(struct img_writer_options){ 0 }, &w), 0);
	assert_int_equal(img_writer_same_pages(w, SPACE, 0, 1), -EINVAL);
	fixture_assert_said(f, "it has none");
	assert_int_equal(img_writer_commit(w), -EINVAL);
	img_writer_destroy(w);
}

static void fold_is_whole_and_independent(void **state)
{
	struct fixture *f = *state;
	AUTO_FREE struct model *m = calloc(LINKS, sizeof(*m));
	AUTO_FREE char *last = link_path(f, LINKS - 1), *other = link_path(f, 4);
	struct img_writer_options o = { .codec = IMG_CODEC_ZSTD, .overwrite = true };
	struct img_writer_stats stats;
	struct img_raw_record raw;
	struct img_reader *r;
	uint64_t first = 0, rest;

	make_chain(f, m, LINKS, &first, &rest);
	assert_int_equal(img_reader_open(&f->rep, last, &r), 0);
	assert_int_equal(img_fold(&f->rep, r, other, &o, &stats), -EEXIST);
	fixture_assert_said(f, "part of the chain");
	assert_int_equal(img_fold(&f->rep, r, f->path, &o, &stats), 0);
	img_reader_destroy(r);
	for (unsigned i = 0; i < LINKS; i++) {
		AUTO_FREE char *path = link_path(f, i);
		assert_int_equal(unlink(path), 0);
	}
	assert_int_equal(img_reader_open(&f->rep, f->path, &r), 0);
	assert_null(img_reader_parent(r));
	assert_int_equal(img_reader_record_count(r), 1);
	assert_true(img_reader_record(r, 0, &raw));
	assert_string_equal(raw.tag, "SMPL");
	assert_holds(r, &m[LINKS - 1]);
	img_reader_destroy(r);
}

static void fold_that_fails_leaves_nothing(void **state)
{
	static const char *const points[] = { "fold.records", "fold.pages", "image.write", "image.fsync", "image.rename" };
	struct fixture *f = *state;
	AUTO_FREE struct model *m = calloc(3, sizeof(*m));
	AUTO_FREE char *last = link_path(f, 2);
	struct img_writer_options o = { .codec = IMG_CODEC_ZLIB };
	struct img_writer_stats stats;
	struct img_reader *r;
	uint64_t first = 0, rest;

	make_chain(f, m, 3, &first, &rest);
	assert_int_equal(img_reader_open(&f->rep, last, &r), 0);
	for (size_t i = 0; i < ARRAY_SIZE(points); i++) {
		assert_int_equal(report_arm_faults(&f->rep, points[i]), 0);
		assert_int_equal(img_fold(&f->rep, r, f->path, &o, &stats), -EIO);
		fixture_assert_said(f, points[i]);
		assert_int_equal(report_arm_faults(&f->rep, NULL), 0);
		assert_int_equal(fixture_count_files(f->dir), 3);
	}
	img_reader_destroy(r);
}

static void missing_or_other_parent_is_refused(void **state)
{
	struct fixture *f = *state;
	AUTO_FREE struct model *m = calloc(3, sizeof(*m));
	AUTO_FREE char *first = link_path(f, 0), *middle = link_path(f, 1), *last = link_path(f, 2), *dir = NULL, *moved = NULL;
	struct img_open_options o = { 0 };
	struct img_reader *r;
	uint64_t a = 0, b;

	make_chain(f, m, 3, &a, &b);
	assert_true(asprintf(&dir, "%s/else", f->dir) > 0 && asprintf(&moved, "%s/else/1.stasis", f->dir) > 0);
	assert_int_equal(mkdir(dir, 0700), 0);
	assert_int_equal(rename(middle, moved), 0);
	assert_int_equal(img_reader_open(&f->rep, last, &r), -ENOENT);
	fixture_assert_said(f, "--parent-dir");
	/* Where it is now its own parent is not beside it. */
	o.parent_dir = dir;
	assert_int_equal(img_reader_open_with(&f->rep, last, &o, &r), -ENOENT);
	fixture_assert_said(f, "0.stasis is not there");
	/* Alone it can be looked at all the same. */
	o = (struct img_open_options){ .alone = true };
	assert_int_equal(img_reader_open_with(&f->rep, last, &o, &r), 0);
	assert_string_equal(img_reader_parent(r)->path, "1.stasis");
	img_reader_destroy(r);
	/* Another image under the name. */
	assert_int_equal(rename(moved, middle), 0);
	assert_int_equal(unlink(middle), 0);
	struct img_writer_stats stats;
	assert_int_equal(write_link(f, &m[0], NULL, middle, NULL, IMG_CODEC_ZSTD, &stats), 0);
	assert_int_equal(img_reader_open(&f->rep, last, &r), -ESTALE);
	fixture_assert_said(f, "is not the parent that it was made from");
	assert_int_equal(unlink(first), 0);
	assert_int_equal(rmdir(dir), 0);
}

static void parents_in_another_directory_are_found(void **state)
{
	struct fixture *f = *state;
	AUTO_FREE struct model *m = calloc(3, sizeof(*m));
	AUTO_FREE char *first = link_path(f, 0), *dir = NULL, *there = NULL, *child = NULL;
	struct img_writer_stats stats;
	struct img_reader *r, *parent;
	uint64_t a = 0, b;

	make_chain(f, m, 1, &a, &b);
	assert_true(asprintf(&dir, "%s/a", f->dir) > 0 && asprintf(&child, "%s/a/child.stasis", f->dir) > 0 &&
	            asprintf(&there, "%s/a/0.stasis", f->dir) > 0);
	assert_int_equal(mkdir(dir, 0700), 0);
	assert_int_equal(img_reader_open(&f->rep, first, &parent), 0);
	m[1] = m[0];
	change(&m[1], 5);
	assert_int_equal(write_link(f, &m[1], NULL, child, parent, IMG_CODEC_NONE, &stats), 0);
	img_reader_destroy(parent);
	assert_int_equal(img_reader_open(&f->rep, child, &r), 0);
	assert_string_equal(img_reader_parent(r)->path, "../0.stasis");
	assert_holds(r, &m[1]);
	img_reader_destroy(r);
	assert_int_equal(rename(first, there), 0);
	assert_int_equal(img_reader_open_with(&f->rep, child, &(struct img_open_options){ .parent_dir = dir }, &r), 0);
	assert_holds(r, &m[1]);
	img_reader_destroy(r);
	unlink(child), unlink(there), rmdir(dir);
}

static void path_from_directory_to_file(void **state)
{
	AUTO_FREE char *up = NULL, *down = NULL, *root = NULL;

	(void)state;
	assert_int_equal(img_parent_path("/usr/bin", "/usr/lib/os-release", &up), 0);
	assert_string_equal(up, "../lib/os-release");
	assert_int_equal(img_parent_path("/", "/usr/lib/os-release", &root), 0);
	assert_string_equal(root, "usr/lib/os-release");
	assert_int_equal(img_parent_path("/usr", "/usr/lib/os-release", &down), 0);
	assert_string_equal(down, "lib/os-release");
}

static void own_parent_is_never_replaced(void **state)
{
	struct fixture *f = *state;
	AUTO_FREE struct model *m = calloc(2, sizeof(*m));
	AUTO_FREE char *first = link_path(f, 0), *last = link_path(f, 1);
	struct img_reader *parent;
	uint64_t a = 0, b;

	make_chain(f, m, 2, &a, &b);
	assert_int_equal(img_reader_open(&f->rep, last, &parent), 0);
	struct img_writer_options o = { .overwrite = true, .parent = parent };
	struct img_writer *w;
	assert_int_equal(img_writer_create(&f->rep, last, &o, &w), -EEXIST);
	fixture_assert_said(f, "choose another name");
	assert_int_equal(img_writer_create(&f->rep, first, &o, &w), -EEXIST);
	fixture_assert_said(f, "choose another name");
	img_reader_destroy(parent);
}

/* A damaged parent is found when it is verified or read, not taken for what it was. */
static void damaged_parent_is_found(void **state)
{
	struct fixture *f = *state;
	AUTO_FREE struct model *m = calloc(2, sizeof(*m));
	AUTO_FREE char *first = link_path(f, 0), *last = link_path(f, 1);
	struct img_reader *r;
	struct img_writer_stats stats;
	uint64_t a = 0, b;
	size_t size;

	make_chain(f, m, 2, &a, &b);
	AUTO_FREE uint8_t *bytes = fixture_read_file(first, &size);
	bytes[5000] ^= 1;
	fixture_write_file(first, bytes, size);
	assert_int_equal(img_reader_open(&f->rep, last, &r), 0);
	assert_int_equal(img_reader_verify(r), -EBADMSG);
	fixture_assert_said(f, "0.stasis");
	/* Nor is a new image made by comparing with it. */
	struct img_writer_options o = { .parent = r };
	struct img_writer *w;
	AUTO_FREE char *page = calloc(1, IMG_PAGE_SIZE);
	int err = 0;
	assert_int_equal(img_writer_create(&f->rep, f->path, &o, &w), 0);
	for (uint32_t i = 0; i < PAGES && !err; i++) {
		fill(page, 1);
		err = img_writer_pages(w, SPACE, (uint64_t)i * IMG_PAGE_SIZE, page, IMG_PAGE_SIZE, false);
	}
	assert_int_equal(err, -EBADMSG);
	fixture_assert_said(f, "checksum differs");
	img_writer_destroy(w);
	img_reader_destroy(r);
	(void)stats;
	/* Cut short. */
	fixture_write_file(first, bytes, size / 2);
	assert_int_equal(img_reader_open(&f->rep, last, &r), -EBADMSG);
	fixture_assert_said(f, "0.stasis: truncated");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_link_holds_its_pages, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(every_link_holds_what_it_was_told, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(pages_taken_back_are_as_if_never_given, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(pages_as_in_a_parent_need_one, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(fold_is_whole_and_independent, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(fold_that_fails_leaves_nothing, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(missing_or_other_parent_is_refused, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(parents_in_another_directory_are_found, fixture_setup, fixture_teardown),
		cmocka_unit_test(path_from_directory_to_file),
		cmocka_unit_test_setup_teardown(own_parent_is_never_replaced, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(damaged_parent_is_found, fixture_setup, fixture_teardown),
	};
	return cmocka_run_group_tests_name("images-chain", tests, NULL, NULL);
}
