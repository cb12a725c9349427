/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the tests of images/ share: a directory of their own, a reporter that remembers, a record with a field of every type
 * and a small image that has something of everything. */
#ifndef STASIS_TESTS_IMAGES_FIXTURE_H
#define STASIS_TESTS_IMAGES_FIXTURE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "base/report.h"
#include "format.h"

struct fixture {
	struct reporter rep;
	char last_error[1024]; /* "" when nothing went wrong since fixture_forget() */
	unsigned n_errors;
	uint64_t progress_done, progress_total;
	char dir[256];
	char path[300]; /* of an image in it, not there yet */
};

int fixture_setup(void **state);
int fixture_teardown(void **state); /* removes the directory and what is in it */
void fixture_forget(struct fixture *f);
size_t fixture_count_files(const char *dir); /* entries but "." and "..", hidden ones too */

/* Exactly one error was said since the last fixture_forget(), and it has this text in it. */
void fixture_assert_said(struct fixture *f, const char *text);

/* A record with a field of every type. */
struct sample {
	uint32_t u32;
	int32_t i32;
	uint64_t u64;
	int64_t i64;
	bool yes;
	char *text, *absent;
	struct img_bytes bytes, empty;
	uint32_t mode;
	uint64_t address;
};
extern const struct img_schema sample_schema;

/* Page contents: page `i` of a space under a seed is always the same; `kind` says whether it is zero or packs well. */
enum sample_kind { SAMPLE_ZERO, SAMPLE_TEXT, SAMPLE_NOISE };
void sample_fill_page(void *page, uint32_t space, uint64_t i, enum sample_kind kind);

/* Writes an image with two records and two spaces with data, zero pages and holes. */
void sample_write_image(struct fixture *f, const char *path, enum img_codec codec);

uint8_t *fixture_read_file(const char *path, size_t *ret_size);
void fixture_write_file(const char *path, const void *data, size_t size);

/* Runs `body` in a child, so that it may change its process for good; asserts that it returned 0. */
void fixture_in_child(struct fixture *f, int (*body)(struct fixture *f));

/* In the child: from now on this system call fails with `err` when argument `arg` has all the bits of `bits` (0: always). */
int fixture_fail_syscall(int number, unsigned arg, uint32_t bits, int err);

#endif
