// SPDX-License-Identifier: LGPL-2.1-or-later
/* Whoever maps a file is noticed, on whatever processor and however short it lasts, and so is a process that forks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "track/mapped.h"

static struct stat file;
static int memory;
static unsigned mapped, forked, lost;
static pid_t by;

static void count(void *ctx, const struct mapped_event *e)
{
	(void)ctx;
	if (e->what == MAPPED_LOST)
		lost++;
	else if (e->what == MAPPED_FORK && e->pid == getpid())
		forked++;
	else if (e->what == MAPPED_FILE && e->ino == file.st_ino && makedev(e->dev_major, e->dev_minor) == file.st_dev) {
		mapped++;
		by = e->pid;
	}
}

static void begin(struct mapped *m)
{
	*m = (struct mapped){ 0 };
	int err = mapped_open(m);
	if (err) {
		print_message("[  SKIPPED ] no perf events for all processors: %s\n", strerror(-err));
		skip();
	}
	mapped = forked = lost = 0;
}

static void map_and_unmap(void)
{
	void *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);

	assert_true(p != MAP_FAILED);
	munmap(p, 8192);
}

static void in_a_child(void (*what)(void), pid_t *ret)
{
	int status;

	*ret = fork();
	if (!*ret) {
		what();
		_exit(0);
	}
	assert_true(waitpid(*ret, &status, 0) == *ret && !status);
}

static void nothing(void)
{
}

static void a_mapping_that_is_gone_again_is_noticed(void **state)
{
	struct mapped m;

	(void)state;
	begin(&m);
	map_and_unmap();
	mapped_read(&m, count, NULL);
	assert_int_equal(mapped, 1);
	assert_int_equal(by, getpid());
	assert_int_equal(lost, 0);
	mapped_read(&m, count, NULL); /* once */
	assert_int_equal(mapped, 1);
	mapped_finish(&m);
}

static void a_mapping_of_somebody_else_is_noticed_and_a_fork(void **state)
{
	struct mapped m;
	pid_t child;

	(void)state;
	begin(&m);
	in_a_child(map_and_unmap, &child);
	mapped_read(&m, count, NULL);
	assert_int_equal(mapped, 1);
	assert_int_equal(by, child);
	assert_int_equal(forked, 1);
	mapped_finish(&m);
}

static void what_is_mapped_otherwise_is_not_counted(void **state)
{
	struct mapped m;

	(void)state;
	begin(&m);
	void *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	munmap(p, 8192);
	mapped_read(&m, count, NULL);
	assert_int_equal(mapped + forked, 0);
	mapped_finish(&m);
}

static void too_many_are_not_passed_over_in_silence(void **state)
{
	struct mapped m;

	(void)state;
	begin(&m);
	for (int i = 0; i < 20000; i++)
		map_and_unmap();
	mapped_read(&m, count, NULL);
	assert_true(lost > 0 || mapped == 20000);
	mapped_finish(&m);
}

static void without_any_ring_nothing_is_certain(void **state)
{
	struct mapped m = { 0 };

	(void)state;
	lost = 0;
	mapped_read(&m, count, NULL);
	assert_int_equal(lost, 1);
}

static void who_has_it_mapped_is_found(void **state)
{
	int fds[2];
	char byte;
	pid_t child;

	(void)state;
	in_a_child(nothing, &child);
	assert_int_equal(pipe(fds), 0);
	child = fork();
	if (!child) {
		void *p = mmap(NULL, 8192, PROT_READ, MAP_SHARED, memory, 0);
		if (p == MAP_FAILED || write(fds[1], "", 1) != 1)
			_exit(1);
		pause();
	}
	assert_int_equal(read(fds[0], &byte, 1), 1);
	/* The child is asked about first or not at all; a process that may not be looked at makes it uncertain. */
	int there = mapped_elsewhere(1, major(file.st_dev), minor(file.st_dev), file.st_ino);
	int but_for_it = mapped_elsewhere(child, major(file.st_dev), minor(file.st_dev), file.st_ino);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	close(fds[0]);
	close(fds[1]);
	assert_true(there == 1 || there < 0);
	assert_true(but_for_it <= 0);
	if (!geteuid())
		assert_int_equal(there, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_mapping_that_is_gone_again_is_noticed),
		cmocka_unit_test(a_mapping_of_somebody_else_is_noticed_and_a_fork),
		cmocka_unit_test(what_is_mapped_otherwise_is_not_counted),
		cmocka_unit_test(too_many_are_not_passed_over_in_silence),
		cmocka_unit_test(without_any_ring_nothing_is_certain),
		cmocka_unit_test(who_has_it_mapped_is_found),
	};
	memory = memfd_create("mapped", MFD_CLOEXEC);
	return memory < 0 || ftruncate(memory, 8192) || fstat(memory, &file) || cmocka_run_group_tests_name("track-mapped", tests, NULL, NULL);
}
