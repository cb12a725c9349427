// SPDX-License-Identifier: LGPL-2.1-or-later
/* Devices, pidfds, and what nobody knows: opened again, or named with a remedy before anything is stopped. */
#include "fd-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

static void make_devices(void)
{
	at_fd(open("/dev/null", O_WRONLY | O_CLOEXEC), 10);
	at_fd(open("/dev/zero", O_RDWR), 11);
	at_fd(open("/dev/urandom", O_RDONLY | O_NONBLOCK), 12);
	at_fd(open("/dev/full", O_WRONLY), 13);
	at_fd(open("/dev/random", O_RDONLY), 14);
}

static void check_devices(void)
{
	char buf[8];

	expect_open(10, "/dev/null", O_WRONLY);
	EXPECT_EQ(fcntl(10, F_GETFD), FD_CLOEXEC);
	EXPECT_EQ(write(10, "x", 1), 1);
	expect_open(11, "/dev/zero", O_RDWR);
	EXPECT_EQ(read(11, buf, 8), 8);
	expect_open(12, "/dev/urandom", O_RDONLY | O_NONBLOCK);
	EXPECT_EQ(read(12, buf, 8), 8);
	EXPECT_EQ(write(13, "x", 1), -1);
	EXPECT_EQ(errno, ENOSPC);
	expect_open(14, "/dev/random", O_RDONLY);
}

static void devices_are_opened_again(void **state)
{
	fd_round_trip(*state, make_devices, check_devices);
}

static void make_block(void)
{
	at_fd(open("/dev/loop0", O_RDONLY | O_NONBLOCK), 10);
	at_fd(open("/dev/loop0", O_RDWR | O_NONBLOCK), 11);
}

static void check_block(void)
{
	expect_open(10, "/dev/loop0", O_RDONLY | O_NONBLOCK);
	expect_open(11, "/dev/loop0", O_RDWR | O_NONBLOCK);
}

static void block_device_is_the_users_to_keep(void **state)
{
	struct fd_fixture *f = *state;

	if (access("/dev/loop0", R_OK | W_OK)) {
		print_message("no block device may be opened here: not tested\n");
		skip();
	}
	fd_start(f, make_block);
	assert_int_equal(fd_checkpoint(f), -EOPNOTSUPP);
	assert_null(fd_finding(f, "fd 10")->obstacle);
	assert_non_null(strstr(fd_finding(f, "fd 11")->remedy, "--disk=none"));
	f->disk = STASIS_DISK_NONE;
	fd_round_trip(f, make_block, check_block);
}

static void make_pidfds(void)
{
	int status;
	pid_t child = fork();

	if (child == 0)
		_exit(0);
	at_fd((int)syscall(SYS_pidfd_open, getpid(), 0), 10);
	at_fd((int)syscall(SYS_pidfd_open, child, 0), 11);
	EXPECT_EQ(waitpid(child, &status, 0), child);
}

static void check_pidfds(void)
{
	struct pollfd ended = { .fd = 11, .events = POLLIN }, self = { .fd = 10, .events = POLLIN };

	EXPECT_EQ(poll(&ended, 1, 0), 1);
	EXPECT_EQ(poll(&self, 1, 0), 0);
	EXPECT_EQ(syscall(SYS_pidfd_send_signal, 11, 0, NULL, 0), -1);
	EXPECT_EQ(errno, ESRCH);
	EXPECT_EQ(fcntl(10, F_GETFD), FD_CLOEXEC & fcntl(10, F_GETFD));
	signal(SIGUSR1, SIG_IGN);
	EXPECT_EQ(syscall(SYS_pidfd_send_signal, 10, SIGUSR1, NULL, 0), 0);
	EXPECT_EQ(wait(NULL), -1);
	EXPECT_EQ(errno, ECHILD);
}

static void pidfds_mean_the_same_processes(void **state)
{
	if (geteuid()) {
		print_message("process ids can be chosen by root only: not tested\n");
		skip();
	}
	fd_round_trip(*state, make_pidfds, check_pidfds);
}

static void make_pidfd_of_parent(void)
{
	at_fd((int)syscall(SYS_pidfd_open, getppid(), 0), 10);
}

static void pidfd_of_an_outsider_is_an_obstacle(void **state)
{
	struct fd_fixture *f = *state;

	fd_start(f, make_pidfd_of_parent);
	fd_look_at(f);
	const struct finding *it = fd_finding(f, "fd 10");
	assert_non_null(it);
	assert_non_null(strstr(it->obstacle, "not part of the target"));
}

static void make_unknown(void)
{
	at_fd(eventfd(0, 0), 10);
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | 1 /* UFFD_USER_MODE_ONLY */);
	fd_shared->value[0] = fd >= 0;
	if (fd >= 0)
		at_fd(fd, 11);
	at_fd(open("/proc/self/ns/net", O_RDONLY), 12);
	at_fd(open("/proc/1/status", O_RDONLY), 13);
}

static void unknown_kinds_are_named(void **state)
{
	struct fd_fixture *f = *state;

	fd_start(f, make_unknown);
	fd_look_at(f);
	if (fd_shared->value[0]) {
		assert_non_null(strstr(fd_finding(f, "fd 11")->obstacle, "userfaultfd"));
		assert_non_null(fd_finding(f, "fd 11")->remedy);
	}
	assert_non_null(strstr(fd_finding(f, "fd 12")->obstacle, "net:["));
	assert_non_null(strstr(fd_finding(f, "fd 13")->obstacle, "another process"));
	assert_null(fd_finding(f, "fd 10")->obstacle);
	assert_int_equal(fd_checkpoint(f), -EOPNOTSUPP);
	/* The target was not harmed. */
	assert_int_equal(kill(f->target, 0), 0);
}

static void claims_word_the_obstacle(void **state)
{
	static const struct fd_claim claims[] = {
		{ "anon_inode:\\[event*]", "clockwork", "clockwork cannot be saved", "wind it down first" },
		{ "*", "never reached", "never reached", "never reached" },
	};
	struct fd_fixture *f = *state;

	f->claims = claims;
	f->n_claims = 1;
	fd_start(f, make_unknown);
	fd_look_at(f);
	const struct finding *it = fd_finding(f, "fd 10");
	assert_string_equal(it->kind, "clockwork");
	assert_string_equal(it->obstacle, "clockwork cannot be saved");
	assert_string_equal(it->remedy, "wind it down first");
}

static void make_duplicates(void)
{
	at_fd(eventfd(0, 0), 10);
	EXPECT_EQ(dup2(10, 11), 11);
}

static void every_descriptor_has_a_finding(void **state)
{
	struct fd_fixture *f = *state;

	fd_start(f, make_duplicates);
	fd_look_at(f);
	for (int fd = 0; fd < 3; fd++) {
		char object[16];

		snprintf(object, sizeof(object), "fd %d", fd);
		assert_non_null(fd_finding(f, object));
		assert_string_equal(fd_finding(f, object)->kind, "device");
	}
	assert_non_null(strstr(fd_finding(f, "fd 10")->action, "count 0"));
	assert_non_null(strstr(fd_finding(f, "fd 11")->action, "fd 10"));
	assert_int_equal(f->findings.obstacles, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fd_fixture_setup, fd_fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(devices_are_opened_again),       TEST(block_device_is_the_users_to_keep),
		TEST(pidfds_mean_the_same_processes), TEST(pidfd_of_an_outsider_is_an_obstacle),
		TEST(unknown_kinds_are_named),        TEST(claims_word_the_obstacle),
		TEST(every_descriptor_has_a_finding),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
