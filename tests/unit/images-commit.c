// SPDX-License-Identifier: LGPL-2.1-or-later
/* An image appears whole or not at all: under every fault, full disk, cancel and kill, with and without overwriting, and on
 * kernels and file systems that lack what the writer would like to use. */
#include "images-fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/io.h"

#define SIZE (8u << 20)

static int begin(struct fixture *f, enum img_codec codec, bool overwrite, struct img_writer **ret)
{
	struct img_writer_options options = { .codec = codec, .overwrite = overwrite };

	return img_writer_create(&f->rep, f->path, &options, ret);
}

static int write_noise(struct img_writer *w)
{
	AUTO_FREE char *pages = aligned_alloc(IMG_PAGE_SIZE, SIZE);

	for (size_t i = 0; i < SIZE / IMG_PAGE_SIZE; i++)
		sample_fill_page(pages + i * IMG_PAGE_SIZE, 0, i, SAMPLE_NOISE);
	return img_writer_pages(w, 0, 0, pages, SIZE, false);
}

/* A whole checkpoint in small; the first failure ends it. */
static int write_image(struct fixture *f, enum img_codec codec, bool overwrite)
{
	struct img_writer *w = NULL;
	struct sample it = { .u32 = 1, .text = (char *)"x" };
	int err = begin(f, codec, overwrite, &w);

	if (!err)
		err = img_writer_record(w, &sample_schema, &it);
	if (!err)
		err = write_noise(w);
	if (!err)
		err = img_writer_commit(w);
	img_writer_destroy(w);
	return err;
}

static bool verifies_with(struct fixture *f, size_t n_records)
{
	struct img_reader *r = NULL;
	bool good = !img_reader_open(&f->rep, f->path, &r) && !img_reader_verify(r) && img_reader_record_count(r) == n_records;

	img_reader_destroy(r);
	return good;
}

static bool verifies(struct fixture *f)
{
	return verifies_with(f, 1);
}

static void nothing_is_seen_before_commit(void **state)
{
	struct fixture *f = *state;
	struct img_writer *w = NULL;
	struct stat st;

	mode_t mask = umask(0);
	assert_int_equal(begin(f, IMG_CODEC_ZSTD, false, &w), 0);
	assert_int_equal(write_noise(w), 0);
	assert_int_equal(fixture_count_files(f->dir), 0);
	assert_int_equal(img_writer_commit(w), 0);
	umask(mask);
	assert_int_equal(fixture_count_files(f->dir), 1);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_nlink, 1);
	assert_int_equal(img_writer_commit(w), -EINVAL);
	img_writer_destroy(w);
	assert_int_equal(fixture_count_files(f->dir), 1);
	img_writer_destroy(NULL);
}

static void a_writer_given_up_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct img_writer *w = NULL;

	assert_int_equal(begin(f, IMG_CODEC_ZSTD, false, &w), 0);
	assert_int_equal(write_noise(w), 0);
	img_writer_destroy(w);
	assert_int_equal(fixture_count_files(f->dir), 0);
}

static void an_image_that_exists_is_kept(void **state)
{
	struct fixture *f = *state;
	struct img_writer *w = NULL;
	char text[4];

	fixture_write_file(f->path, "old", 3);
	assert_int_equal(begin(f, IMG_CODEC_NONE, false, &w), -EEXIST);
	fixture_assert_said(f, "exists already");
	assert_int_equal(unlink(f->path), 0);

	/* It appears only while the image is being written. */
	assert_int_equal(begin(f, IMG_CODEC_NONE, false, &w), 0);
	fixture_write_file(f->path, "new", 3);
	assert_int_equal(img_writer_commit(w), -EEXIST);
	fixture_assert_said(f, "exists already");
	assert_int_equal(img_writer_commit(w), -EEXIST);
	assert_int_equal(f->n_errors, 0);
	img_writer_destroy(w);
	assert_int_equal(fixture_count_files(f->dir), 1);
	AUTO_CLOSE int fd = open(f->path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(fd, text, sizeof(text)), 3);
	assert_memory_equal(text, "new", 3);
}

static void overwriting_replaces_in_one_step(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	fixture_write_file(f->path, "old", 3);
	assert_int_equal(chmod(f->path, 0644), 0);
	AUTO_CLOSE int old = open(f->path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(write_image(f, IMG_CODEC_NONE, true), 0);
	assert_true(verifies(f));
	assert_int_equal(fixture_count_files(f->dir), 1);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(fstat(old, &st), 0);
	assert_int_equal(st.st_size, 3); /* who had the old one open still has it */
	assert_int_equal(st.st_nlink, 0);
	assert_int_equal(write_image(f, IMG_CODEC_ZLIB, true), 0);
	assert_true(verifies(f));
}

static void only_regular_files_are_replaced(void **state)
{
	struct fixture *f = *state;
	struct img_writer *w = NULL;

	assert_int_equal(symlink("/nowhere", f->path), 0);
	assert_int_equal(begin(f, IMG_CODEC_NONE, true, &w), -EEXIST);
	fixture_assert_said(f, "symbolic link");
	assert_int_equal(unlink(f->path), 0);
	assert_int_equal(mkfifo(f->path, 0600), 0);
	assert_int_equal(begin(f, IMG_CODEC_NONE, true, &w), -EEXIST);
	fixture_assert_said(f, "not a regular file");
	assert_int_equal(unlink(f->path), 0);
	assert_int_equal(mkdir(f->path, 0700), 0);
	assert_int_equal(begin(f, IMG_CODEC_NONE, true, &w), -EISDIR);
	fixture_assert_said(f, "this is a directory");
}

static int create_at(struct fixture *f, const char *fmt)
{
	char path[sizeof(f->path) + 300];
	struct img_writer_options options = { 0 };
	struct img_writer *w = NULL;

	snprintf(path, sizeof(path), fmt, f->dir);
	int err = img_writer_create(&f->rep, path, &options, &w);
	img_writer_destroy(w);
	return err;
}

static int create_as_nobody(struct fixture *f)
{
	if (!geteuid() && (setgid(65534) || setuid(65534)))
		return 1;
	return create_at(f, "%s/x") != -EACCES || !strstr(f->last_error, "no permission to write in directory");
}

static void a_bad_place_is_named_at_once(void **state)
{
	struct fixture *f = *state;

	fixture_write_file(f->path, "file", 4);
	assert_int_equal(create_at(f, "%s/missing/x"), -ENOENT);
	fixture_assert_said(f, "/missing does not exist; create it first");
	assert_int_equal(create_at(f, "%s/sample.stasis/x"), -ENOTDIR);
	fixture_assert_said(f, "sample.stasis is not a directory");
	assert_int_equal(create_at(f, "%s/"), -EISDIR);
	fixture_assert_said(f, "add a file name");
	assert_int_equal(create_at(f, "%s/."), -EISDIR);
	fixture_assert_said(f, "add a file name");
	char name[300] = "%s/";
	memset(name + 3, 'n', 256);
	assert_int_equal(create_at(f, name), -ENAMETOOLONG);
	fixture_assert_said(f, "choose a shorter name");
	assert_int_equal(chmod(f->dir, 0555), 0);
	fixture_in_child(f, create_as_nobody);
	assert_int_equal(chmod(f->dir, 0700), 0);
	/* A path without a directory is one in the current directory. */
	char was[4096];
	assert_non_null(getcwd(was, sizeof(was)));
	assert_int_equal(chdir(f->dir), 0);
	struct img_writer_options options = { 0 };
	struct img_writer *w = NULL;
	assert_int_equal(img_writer_create(&f->rep, "plain", &options, &w), 0);
	assert_int_equal(img_writer_commit(w), 0);
	img_writer_destroy(w);
	assert_int_equal(access("plain", F_OK), 0);
	assert_int_equal(chdir(was), 0);
}

static void every_fault_point_leaves_things_as_they_were(void **state)
{
	struct fixture *f = *state;
	static const char *const points[] = { "image.create", "image.write=28", "image.fsync", "image.rename" };
	static const enum img_codec codecs[] = { IMG_CODEC_NONE, IMG_CODEC_ZLIB, IMG_CODEC_ZSTD };
	size_t size;

	for (size_t i = 0; i < ARRAY_SIZE(points) * ARRAY_SIZE(codecs); i++) {
		bool old = i % 2;
		if (old)
			fixture_write_file(f->path, "old", 3);
		assert_int_equal(report_arm_faults(&f->rep, points[i % ARRAY_SIZE(points)]), 0);
		int err = write_image(f, codecs[i / ARRAY_SIZE(points)], old);
		assert_int_equal(err, strchr(points[i % ARRAY_SIZE(points)], '=') ? -ENOSPC : -EIO);
		fixture_assert_said(f, "fault point image.");
		assert_int_equal(report_arm_faults(&f->rep, NULL), 0);
		assert_int_equal(fixture_count_files(f->dir), old);
		if (old) {
			AUTO_FREE uint8_t *text = fixture_read_file(f->path, &size);
			assert_int_equal(size, 3);
			assert_memory_equal(text, "old", 3);
			assert_int_equal(unlink(f->path), 0);
		}
	}
}

static void a_failed_writer_stays_failed(void **state)
{
	struct fixture *f = *state;
	struct img_writer *w = NULL;
	struct sample it = { .u32 = 1 };

	assert_int_equal(begin(f, IMG_CODEC_ZSTD, false, &w), 0);
	assert_int_equal(report_arm_faults(&f->rep, "image.write=5"), 0);
	assert_int_equal(write_noise(w), -EIO);
	assert_int_equal(report_arm_faults(&f->rep, NULL), 0);
	fixture_assert_said(f, "fault point");
	assert_int_equal(write_noise(w), -EIO);
	assert_int_equal(img_writer_record(w, &sample_schema, &it), -EIO);
	assert_int_equal(img_writer_flush(w), -EIO);
	assert_int_equal(img_writer_commit(w), -EIO);
	assert_int_equal(f->n_errors, 0); /* it was said once */
	img_writer_destroy(w);
	assert_int_equal(fixture_count_files(f->dir), 0);
}

static void a_cancelled_writer_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	struct img_writer *w = NULL;
	volatile int cancel = 0;

	f->rep.cancel = &cancel;
	for (int at_commit = 0; at_commit < 2; at_commit++) {
		cancel = 0;
		assert_int_equal(begin(f, IMG_CODEC_ZSTD, false, &w), 0);
		assert_int_equal(write_noise(w), 0);
		cancel = 1;
		assert_int_equal(at_commit ? img_writer_commit(w) : write_noise(w), -ECANCELED);
		fixture_assert_said(f, "cancelled");
		img_writer_destroy(w);
		assert_int_equal(fixture_count_files(f->dir), 0);
	}
	f->rep.cancel = NULL;
}

static int64_t milliseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void *cancel_soon(void *cancel)
{
	usleep(100000);
	*(volatile int *)cancel = 1;
	return NULL;
}

static void a_pace_is_kept_and_left_when_cancelled(void **state)
{
	struct fixture *f = *state;
	volatile int cancel = 0;
	struct img_writer *w;
	pthread_t thread;

	f->rep.cancel = &cancel;
	assert_int_equal(begin(f, IMG_CODEC_NONE, true, &w), 0);
	const int64_t start = milliseconds();
	img_writer_pace(w, 4 * SIZE);
	assert_int_equal(write_noise(w), 0);
	assert_int_equal(img_writer_commit(w), 0);
	assert_true(milliseconds() - start >= 240);
	img_writer_destroy(w);
	assert_true(verifies_with(f, 0));

	assert_int_equal(begin(f, IMG_CODEC_NONE, true, &w), 0);
	img_writer_pace(w, 1); /* some ninety days */
	assert_int_equal(pthread_create(&thread, NULL, cancel_soon, (void *)(uintptr_t)&cancel), 0);
	assert_int_equal(write_noise(w), -ECANCELED);
	pthread_join(thread, NULL);
	img_writer_destroy(w);
	f->rep.cancel = NULL;
	assert_true(verifies_with(f, 0));
}

static void what_is_not_pages_is_refused(void **state)
{
	struct fixture *f = *state;
	static const struct {
		uint64_t offset;
		size_t size;
	} bad[] = { { 1, IMG_PAGE_SIZE }, { 0, 100 }, { UINT64_MAX - 4095, 2 * IMG_PAGE_SIZE } };
	static char pages[2 * IMG_PAGE_SIZE] = "x";

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct img_writer *w = NULL;
		assert_int_equal(begin(f, IMG_CODEC_NONE, false, &w), 0);
		assert_int_equal(img_writer_pages(w, 0, bad[i].offset, pages, bad[i].size, false), -EINVAL);
		fixture_assert_said(f, "not whole pages");
		img_writer_destroy(w);
	}
}

static void a_page_written_twice_is_found(void **state)
{
	struct fixture *f = *state;
	static const struct {
		uint64_t offset;
		size_t pages;
	} second[] = { { 0x3000, 1 }, { 0, 100 }, { 0xf000, 2 }, { 0x2000, 1 } };
	AUTO_FREE char *pages = aligned_alloc(IMG_PAGE_SIZE, 100 * IMG_PAGE_SIZE);

	memset(pages, 7, 100 * IMG_PAGE_SIZE);
	memset(pages + 2 * IMG_PAGE_SIZE, 0, IMG_PAGE_SIZE);
	for (size_t i = 0; i < ARRAY_SIZE(second); i++) {
		struct img_writer *w = NULL;
		assert_int_equal(begin(f, IMG_CODEC_ZSTD, false, &w), 0);
		assert_int_equal(img_writer_pages(w, 4, 0, pages, 16 * IMG_PAGE_SIZE, false), 0);
		assert_int_equal(img_writer_pages(w, 3, 0x3000, pages, 16 * IMG_PAGE_SIZE, false),
		                 0); /* another space is no matter */
		assert_int_equal(img_writer_pages(w, 4, second[i].offset, pages, second[i].pages * IMG_PAGE_SIZE, false), 0);
		assert_int_equal(img_writer_commit(w), -EINVAL);
		fixture_assert_said(f, "of space 4 was written twice");
		img_writer_destroy(w);
		assert_int_equal(fixture_count_files(f->dir), 0);
	}
}

/* The limit stands for a full disk where there is no privilege to make one. */
static int write_beyond_the_limit(struct fixture *f)
{
	struct rlimit limit = { SIZE / 2, SIZE / 2 };

	signal(SIGXFSZ, SIG_IGN);
	if (setrlimit(RLIMIT_FSIZE, &limit))
		return 1;
	if (write_image(f, IMG_CODEC_ZSTD, false) != -EFBIG || !strstr(f->last_error, "may not grow beyond") ||
	    f->n_errors != 1)
		return 2;
	return fixture_count_files(f->dir) != 0;
}

static void beyond_the_file_size_limit_nothing_is_left(void **state)
{
	fixture_in_child(*state, write_beyond_the_limit);
}

static int write_to_full_disk(struct fixture *f)
{
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("none", f->dir, "tmpfs", 0, "size=4m"))
		return 77;
	for (enum img_codec codec = IMG_CODEC_NONE; codec <= IMG_CODEC_ZSTD; codec++) {
		if (write_image(f, codec, false) != -ENOSPC || !strstr(f->last_error, "no space left") || f->n_errors != 1)
			return 2;
		if (fixture_count_files(f->dir))
			return 3;
		fixture_forget(f);
	}
	return 0;
}

static void on_a_full_disk_nothing_is_left(void **state)
{
	struct fixture *f = *state;
	int status = -1;

	fflush(NULL);
	pid_t pid = fork();
	if (!pid)
		_exit(write_to_full_disk(f));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
		print_message("SKIP: on_a_full_disk_nothing_is_left: mounting a tmpfs needs root\n");
		skip();
	}
	assert_int_equal(status, 0);
}

/* Killed at any moment, the writer leaves no file of any name. */
static void a_killed_writer_leaves_nothing(void **state)
{
	struct fixture *f = *state;
	static const char *const points[] = { "image.write=hang", "image.fsync=hang", "image.rename=hang",
		                              "image.rename=kill" };

	for (size_t i = 0; i < ARRAY_SIZE(points); i++) {
		int status = -1;
		fflush(NULL);
		pid_t pid = fork();
		assert_true(pid >= 0);
		if (!pid) {
			struct img_writer *w = NULL;
			if (begin(f, IMG_CODEC_ZSTD, false, &w) || report_arm_faults(&f->rep, points[i]) || write_noise(w))
				_exit(1);
			_exit(img_writer_commit(w) ? 2 : 3);
		}
		usleep(200000);
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		assert_int_equal(fixture_count_files(f->dir), 0);
	}
}

static int commit_and_count(struct fixture *f, size_t hidden)
{
	struct img_writer *w = NULL;
	struct stat st;

	umask(0777); /* the mode is 0600 whatever the mask says */
	if (begin(f, IMG_CODEC_ZSTD, false, &w) || write_noise(w) || fixture_count_files(f->dir) != hidden)
		return 1;
	img_writer_destroy(w);
	if (fixture_count_files(f->dir))
		return 2;
	umask(0);
	if (write_image(f, IMG_CODEC_ZSTD, false) || !verifies(f) || fixture_count_files(f->dir) != 1)
		return 3;
	if (write_image(f, IMG_CODEC_ZSTD, true) || !verifies(f) || fixture_count_files(f->dir) != 1)
		return 4;
	if (stat(f->path, &st) || (st.st_mode & 07777) != 0600)
		return 5;
	/* The other one appears after the look and before the name is taken: the file system has the last word. */
	return f->n_errors ? 6 : unlink(f->path) ? 7 : 0;
}

/* __O_TMPFILE without O_DIRECTORY: the bit that tells it from opening a directory. */
static int without_nameless_files(struct fixture *f)
{
	return fixture_fail_syscall(SYS_openat, 2, O_TMPFILE & ~(unsigned)O_DIRECTORY, EOPNOTSUPP) ? 77
	                                                                                           : commit_and_count(f, 1);
}

static int without_exclusive_rename(struct fixture *f)
{
	if (fixture_fail_syscall(SYS_openat, 2, O_TMPFILE & ~(unsigned)O_DIRECTORY, EOPNOTSUPP) ||
	    fixture_fail_syscall(SYS_renameat2, 4, 1 /* RENAME_NOREPLACE */, EINVAL))
		return 77;
	return commit_and_count(f, 1);
}

static int without_proc(struct fixture *f)
{
	return fixture_fail_syscall(SYS_linkat, 4, AT_SYMLINK_FOLLOW, ENOENT) ? 77 : commit_and_count(f, 0);
}

static int without_threads(struct fixture *f)
{
	if (fixture_fail_syscall(SYS_clone3, 0, 0, ENOSYS) || fixture_fail_syscall(SYS_clone, 0, 0, EAGAIN))
		return 77;
	return commit_and_count(f, 0);
}

static void without_nameless_files_a_hidden_name_serves(void **state)
{
	fixture_in_child(*state, without_nameless_files);
}

static void without_exclusive_rename_a_link_serves(void **state)
{
	fixture_in_child(*state, without_exclusive_rename);
}

static void without_proc_the_descriptor_is_linked(void **state)
{
	struct fixture *f = *state;

	if (geteuid()) {
		print_message("SKIP: without_proc_the_descriptor_is_linked: older kernels let only root link a descriptor\n");
		skip();
	}
	fixture_in_child(f, without_proc);
}

static void without_threads_it_packs_by_itself(void **state)
{
	fixture_in_child(*state, without_threads);
}

/* Whether all threads of this process but the first have every signal blocked; how many they are. */
static size_t count_deaf_threads(size_t *ret_all)
{
	AUTO_CLOSEDIR DIR *d = opendir("/proc/self/task");
	struct dirent *it;
	size_t deaf = 0;

	*ret_all = 0;
	while ((it = readdir(d))) {
		AUTO_FREE char *status = NULL;
		if (it->d_name[0] == '.' || atoi(it->d_name) == getpid())
			continue;
		assert_int_equal(io_read_filef(&status, NULL, "/proc/self/task/%s/status", it->d_name), 0);
		++*ret_all;
		/* All but SIGKILL, SIGSTOP and the two signals that glibc keeps for itself. */
		deaf += (strtoull(strstr(status, "SigBlk:") + 7, NULL, 16) | 0x180040100) == UINT64_MAX;
	}
	return deaf;
}

static int look_at_threads(struct fixture *f)
{
	struct img_writer *w = NULL;
	size_t before, during, after, deaf;

	count_deaf_threads(&before); /* a sanitizer may have one of its own */
	if (begin(f, IMG_CODEC_ZSTD, false, &w))
		return 1;
	count_deaf_threads(&after);
	if (after != before)
		return 2; /* a caller may fork until the first pages */
	if (write_noise(w))
		return 3;
	deaf = count_deaf_threads(&during);
	if (deaf < during - before)
		return 4;
	img_writer_destroy(w);
	if (begin(f, IMG_CODEC_NONE, false, &w) || write_noise(w))
		return 5;
	count_deaf_threads(&after);
	img_writer_destroy(w);
	return after != before ? 6 : 0;
}

static void threads_start_late_and_hear_no_signal(void **state)
{
	fixture_in_child(*state, look_at_threads);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_is_seen_before_commit, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(a_writer_given_up_leaves_nothing, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(an_image_that_exists_is_kept, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(overwriting_replaces_in_one_step, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(only_regular_files_are_replaced, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(a_bad_place_is_named_at_once, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(every_fault_point_leaves_things_as_they_were, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(a_failed_writer_stays_failed, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(a_cancelled_writer_leaves_nothing, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(a_pace_is_kept_and_left_when_cancelled, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(what_is_not_pages_is_refused, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(a_page_written_twice_is_found, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(beyond_the_file_size_limit_nothing_is_left, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(on_a_full_disk_nothing_is_left, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(a_killed_writer_leaves_nothing, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(without_nameless_files_a_hidden_name_serves, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(without_exclusive_rename_a_link_serves, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(without_proc_the_descriptor_is_linked, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(without_threads_it_packs_by_itself, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(threads_start_late_and_hear_no_signal, fixture_setup, fixture_teardown),
	};

	return cmocka_run_group_tests_name("images-commit", tests, NULL, NULL);
}
