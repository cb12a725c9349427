// SPDX-License-Identifier: LGPL-2.1-or-later
/* The tests' directory, reporter and sample image. */
#include "images-fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/io.h"

static void fixture_message(void *ctx, enum report_level level, const char *text)
{
	struct fixture *f = ctx;

	if (level != REPORT_ERROR)
		return;
	f->n_errors++;
	snprintf(f->last_error, sizeof(f->last_error), "%s", text);
}

static void fixture_progress(void *ctx, const char *phase, uint64_t done, uint64_t total)
{
	struct fixture *f = ctx;

	(void)phase;
	f->progress_done = done;
	f->progress_total = total;
}

int fixture_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const char *tmp = getenv("TMPDIR");

	if (!f)
		return -1;
	struct report_sink sink = { .message = fixture_message, .progress = fixture_progress, .ctx = f };
	report_init(&f->rep, &sink, REPORT_DEBUG);
	snprintf(f->dir, sizeof(f->dir), "%s/stasis-images-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(f->dir))
		return -1;
	snprintf(f->path, sizeof(f->path), "%s/sample.stasis", f->dir);
	*state = f;
	return 0;
}

static void fixture_each_file(const char *dir, void (*visit)(int dirfd, const char *name, void *ctx), void *ctx)
{
	AUTO_CLOSEDIR DIR *d = opendir(dir);
	struct dirent *it;

	while (d && (it = readdir(d)))
		if (strcmp(it->d_name, ".") && strcmp(it->d_name, ".."))
			visit(dirfd(d), it->d_name, ctx);
}

static void fixture_remove_one(int dir, const char *name, void *ctx)
{
	(void)ctx;
	if (unlinkat(dir, name, 0))
		unlinkat(dir, name, AT_REMOVEDIR);
}

static void fixture_count_one(int dir, const char *name, void *ctx)
{
	(void)dir;
	(void)name;
	++*(size_t *)ctx;
}

int fixture_teardown(void **state)
{
	struct fixture *f = *state;

	fixture_each_file(f->dir, fixture_remove_one, NULL);
	int err = rmdir(f->dir);
	report_finish(&f->rep);
	free(f);
	return err;
}

void fixture_forget(struct fixture *f)
{
	f->last_error[0] = '\0';
	f->n_errors = 0;
	free(f->rep.first_error);
	f->rep.first_error = NULL;
}

size_t fixture_count_files(const char *dir)
{
	size_t n = 0;

	fixture_each_file(dir, fixture_count_one, &n);
	return n;
}

void fixture_assert_said(struct fixture *f, const char *text)
{
	if (!strstr(f->last_error, text))
		fail_msg("expected \"%s\" in what was said: \"%s\"", text, f->last_error);
	assert_int_equal(f->n_errors, 1);
	fixture_forget(f);
}

static const struct img_field sample_fields[] = {
	IMG_FIELD_REQUIRED(1, sample, u32, IMG_U32, IMG_DEC), IMG_FIELD(2, sample, i32, IMG_I32, IMG_DEC),
	IMG_FIELD(3, sample, u64, IMG_U64, IMG_DEC),          IMG_FIELD(4, sample, i64, IMG_I64, IMG_DEC),
	IMG_FIELD(5, sample, yes, IMG_BOOL, IMG_DEC),         IMG_FIELD(6, sample, text, IMG_STR, IMG_DEC),
	IMG_FIELD(7, sample, absent, IMG_STR, IMG_DEC),       IMG_FIELD(8, sample, bytes, IMG_BYTES, IMG_DEC),
	IMG_FIELD(9, sample, empty, IMG_BYTES, IMG_DEC),      IMG_FIELD(10, sample, mode, IMG_U32, IMG_OCT),
	IMG_FIELD(11, sample, address, IMG_U64, IMG_HEX),
};
const struct img_schema sample_schema = IMG_SCHEMA("SMPL", 2, IMG_MUST_UNDERSTAND, "sample", sample, sample_fields);

void sample_fill_page(void *page, uint32_t space, uint64_t i, enum sample_kind kind)
{
	uint64_t x = (space + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ (i + 1) * UINT64_C(0xc2b2ae3d27d4eb4f);
	uint64_t *p = page;

	memset(page, 0, IMG_PAGE_SIZE);
	if (kind == SAMPLE_TEXT)
		snprintf(page, IMG_PAGE_SIZE, "space %u page %llu", space, (unsigned long long)i);
	for (size_t k = 0; kind == SAMPLE_NOISE && k < IMG_PAGE_SIZE / sizeof(*p); k++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		p[k] = x;
	}
}

void sample_write_image(struct fixture *f, const char *path, enum img_codec codec)
{
	struct img_writer_options options = { .codec = codec, .overwrite = true };
	struct sample a = { .u32 = 7, .text = (char *)"first", .bytes = { (void *)"\x01\x02\x03", 3 } };
	struct sample b = { .u32 = 8, .text = (char *)"second", .i32 = -1, .address = 0x7f0000001000 };
	struct img_writer *w;
	static const enum sample_kind kinds[] = { SAMPLE_TEXT, SAMPLE_NOISE, SAMPLE_ZERO, SAMPLE_TEXT };
	AUTO_FREE char *pages = aligned_alloc(IMG_PAGE_SIZE, ARRAY_SIZE(kinds) * IMG_PAGE_SIZE);

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		sample_fill_page(pages + i * IMG_PAGE_SIZE, 1, i, kinds[i]);
	assert_int_equal(img_writer_create(&f->rep, path, &options, &w), 0);
	assert_int_equal(img_writer_record(w, &sample_schema, &a), 0);
	assert_int_equal(img_writer_pages(w, 1, 0, pages, ARRAY_SIZE(kinds) * IMG_PAGE_SIZE, false), 0);
	assert_int_equal(img_writer_flush(w), 0); /* so that there are two chunks */
	assert_int_equal(img_writer_record(w, &sample_schema, &b), 0);
	assert_int_equal(img_writer_pages(w, 5, 0x10000, pages, ARRAY_SIZE(kinds) * IMG_PAGE_SIZE, true), 0);
	assert_int_equal(img_writer_commit(w), 0);
	img_writer_destroy(w);
}

uint8_t *fixture_read_file(const char *path, size_t *ret_size)
{
	char *text = NULL;

	assert_int_equal(io_read_file_at(AT_FDCWD, path, &text, ret_size), 0);
	return (uint8_t *)text;
}

void fixture_write_file(const char *path, const void *data, size_t size)
{
	/* Not O_TRUNC: ext4 writes a file that was truncated to nothing to the disk when it is closed, thousands of times here.
	 */
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(io_write_all(fd, data, size), 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
}

void fixture_in_child(struct fixture *f, int (*body)(struct fixture *f))
{
	int status = -1;

	fflush(NULL);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		_exit(body(f));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (status)
		fail_msg("the child ended with status 0x%x", status);
}

int fixture_fail_syscall(int number, unsigned arg, uint32_t bits, int err)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 4),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(offsetof(struct seccomp_data, args) + 8 * arg)),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, bits),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, bits, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)err),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { .len = ARRAY_SIZE(code), .filter = code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -errno;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) ? -errno : 0;
}
