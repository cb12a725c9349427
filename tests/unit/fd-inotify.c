// SPDX-License-Identifier: LGPL-2.1-or-later
/* inotify: watches with their numbers, found by handle or by search. */
#include "fd-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>

static char *path_of(const char *name)
{
	static char path[300];

	snprintf(path, sizeof(path), "%s/%s", fd_shared->name[0], name);
	return path;
}

static void make_watches(void)
{
	at_fd(inotify_init1(IN_NONBLOCK | IN_CLOEXEC), 10);
	EXPECT_EQ(mkdir(path_of("a"), 0700), 0);
	EXPECT_EQ(mkdir(path_of("a/b"), 0700), 0);
	put_file(path_of("a/b/file"), "x");
	put_file(path_of("once"), "x");
	EXPECT_EQ(inotify_add_watch(10, path_of("a"), IN_CREATE | IN_DELETE | IN_EXCL_UNLINK), 1);
	/* Numbers 2 to 9 were used and given up. */
	for (int i = 2; i < 10; i++) {
		EXPECT_EQ(inotify_add_watch(10, path_of("once"), IN_ATTRIB), i);
		EXPECT_EQ(inotify_rm_watch(10, i), 0);
	}
	EXPECT_EQ(inotify_add_watch(10, path_of("a/b/file"), IN_MODIFY), 10);
	EXPECT_EQ(inotify_add_watch(10, path_of("once"), IN_ATTRIB | IN_ONESHOT), 11);
	at_fd(inotify_init1(0), 11);
}

/* The next event: its watch number, its mask and name through the parameters. */
static int next_event(uint32_t *ret_mask, char *ret_name)
{
	static char buf[4096] __attribute__((aligned(8)));
	static ssize_t n, at;

	if (at >= n) {
		at = 0;
		n = read(10, buf, sizeof(buf));
		if (n < 0) {
			EXPECT_EQ(errno, EAGAIN);
			return -1;
		}
	}
	const struct inotify_event *event = (const void *)(buf + at);
	at += (ssize_t)sizeof(*event) + event->len;
	*ret_mask = event->mask;
	if (event->len)
		strcpy(ret_name, event->name);
	return event->wd;
}

static void check_watches(void)
{
	char name[256] = "";
	uint32_t mask;

	expect_open(10, "anon_inode:inotify", O_RDONLY | O_NONBLOCK);
	EXPECT_EQ(fcntl(10, F_GETFD), FD_CLOEXEC);
	expect_open(11, "anon_inode:inotify", O_RDONLY);
	EXPECT_EQ(next_event(&mask, name), -1);
	put_file(path_of("a/fresh"), "x");
	EXPECT_EQ(next_event(&mask, name), 1);
	EXPECT_EQ(mask, IN_CREATE);
	EXPECT(!strcmp(name, "fresh"));
	EXPECT_EQ(unlink(path_of("a/fresh")), 0);
	EXPECT_EQ(next_event(&mask, name), 1);
	EXPECT_EQ(mask, IN_DELETE);
	int fd = open(path_of("a/b/file"), O_WRONLY);
	EXPECT_EQ(write(fd, "y", 1), 1);
	EXPECT_EQ(next_event(&mask, name), 10);
	EXPECT_EQ(mask, IN_MODIFY);
	EXPECT_EQ(chmod(path_of("once"), 0600), 0);
	EXPECT_EQ(next_event(&mask, name), 11);
	EXPECT_EQ(mask, IN_ATTRIB);
	EXPECT_EQ(next_event(&mask, name), 11);
	EXPECT_EQ(mask, IN_IGNORED);
	EXPECT_EQ(chmod(path_of("once"), 0644), 0);
	EXPECT_EQ(next_event(&mask, name), -1);
	EXPECT_EQ(inotify_rm_watch(10, 10), 0);
	EXPECT_EQ(inotify_rm_watch(10, 5), -1);
}

static void remove_tree(const char *dir)
{
	char cmd[400];

	snprintf(cmd, sizeof(cmd), "rm -rf %s/a %s/once", dir, dir);
	assert_int_equal(system(cmd), 0);
}

static void watches_keep_number_and_mask(void **state)
{
	struct fd_fixture *f = *state;

	strcpy(fd_shared->name[0], f->dir);
	for (int generations = 1; generations <= 2; generations++) {
		fd_start(f, make_watches);
		for (int i = 1; i <= generations; i++)
			if (fd_checkpoint(f) || fd_restart(f, i == generations ? check_watches : NULL))
				fail_msg("%s", f->said);
		fd_end_target(f);
		remove_tree(f->dir);
	}
}

static void make_lost_watch(void)
{
	put_file(path_of("once"), "x");
	int fd = open(path_of("once"), O_RDONLY);
	at_fd(inotify_init1(0), 10);
	EXPECT_EQ(inotify_add_watch(10, path_of("once"), IN_MODIFY), 1);
	/* The inode lives on without a name, and so does the watch. */
	EXPECT_EQ(unlink(path_of("once")), 0);
	at_fd(fd, 11);
}

static void watch_without_a_path_is_an_obstacle(void **state)
{
	struct fd_fixture *f = *state;

	strcpy(fd_shared->name[0], f->dir);
	fd_start(f, make_lost_watch);
	assert_int_equal(fd_checkpoint(f), -EOPNOTSUPP);
	const struct finding *it = fd_finding(f, "fd 10");
	assert_non_null(it);
	assert_non_null(it->obstacle);
	assert_non_null(strstr(it->obstacle, "inotify watch 1"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fd_fixture_setup, fd_fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(watches_keep_number_and_mask),
		TEST(watch_without_a_path_is_an_obstacle),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
