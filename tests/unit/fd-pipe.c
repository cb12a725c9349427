// SPDX-License-Identifier: LGPL-2.1-or-later
/* Pipes and FIFOs: contents, packets, capacity, several descriptions, missing ends. */
#include "fd-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

static void pipe_at(int out, int in, int flags)
{
	int ends[2];

	EXPECT_EQ(pipe2(ends, flags), 0);
	/* Numbers far from the lowest, so that moving one end cannot hit the other. */
	at_fd(ends[0], out);
	at_fd(ends[1], in);
}

static void make_contents(void)
{
	char *big = malloc(100000);

	memset(big, 'b', 100000);
	pipe_at(20, 21, 0);
	EXPECT_EQ(write(21, "hello", 5), 5);
	EXPECT_EQ(write(21, " world", 6), 6);
	pipe_at(22, 23, O_NONBLOCK | O_CLOEXEC);
	EXPECT_EQ(fcntl(23, F_SETPIPE_SZ, 1 << 18), 1 << 18);
	EXPECT_EQ(write(23, big, 100000), 100000);
	EXPECT_EQ(read(22, big, 1000), 1000);
	pipe_at(24, 25, O_DIRECT | O_NONBLOCK);
	EXPECT_EQ(write(25, "one", 3), 3);
	EXPECT_EQ(write(25, "second", 6), 6);
	EXPECT_EQ(write(25, "3", 1), 1);
	/* Two more descriptions of one pipe: another reader and one that does both. */
	pipe_at(26, 27, 0);
	at_fd(open("/proc/self/fd/26", O_RDONLY | O_NONBLOCK), 28);
	at_fd(open("/proc/self/fd/26", O_RDWR), 29);
	EXPECT_EQ(write(27, "shared", 6), 6);
	free(big);
}

static void check_contents(void)
{
	char buf[128], *big = malloc(200000);

	EXPECT_EQ(read(20, buf, sizeof(buf)), 11);
	EXPECT(!memcmp(buf, "hello world", 11));
	expect_open(20, NULL, O_RDONLY);
	expect_open(21, NULL, O_WRONLY);
	EXPECT_EQ(write(21, "again", 5), 5);
	EXPECT_EQ(read(20, buf, sizeof(buf)), 5);
	close(21);
	EXPECT_EQ(read(20, buf, sizeof(buf)), 0); /* nobody else holds the other end */
	EXPECT_EQ(fcntl(22, F_GETPIPE_SZ), 1 << 18);
	expect_open(22, NULL, O_RDONLY | O_NONBLOCK);
	EXPECT_EQ(fcntl(23, F_GETFD), FD_CLOEXEC);
	EXPECT_EQ(read(22, big, 200000), 99000);
	EXPECT(big[0] == 'b' && big[98999] == 'b');
	EXPECT_EQ(read(22, big, 200000), -1);
	expect_open(25, NULL, O_WRONLY | O_DIRECT | O_NONBLOCK);
	EXPECT_EQ(read(24, buf, sizeof(buf)), 3);
	EXPECT_EQ(read(24, buf, sizeof(buf)), 6);
	EXPECT_EQ(read(24, buf, sizeof(buf)), 1);
	EXPECT_EQ(read(24, buf, sizeof(buf)), -1);
	expect_open(28, NULL, O_RDONLY | O_NONBLOCK);
	expect_open(29, NULL, O_RDWR);
	EXPECT_EQ(read(28, buf, 3), 3);
	EXPECT_EQ(read(26, buf, sizeof(buf)), 3);
	EXPECT(!memcmp(buf, "red", 3));
	EXPECT_EQ(write(29, "x", 1), 1);
	EXPECT_EQ(read(28, buf, sizeof(buf)), 1);
	free(big);
}

static void pipe_keeps_contents_and_shape(void **state)
{
	fd_round_trip(*state, make_contents, check_contents);
}

static void make_ends(void)
{
	pipe_at(20, 21, 0);
	EXPECT_EQ(write(21, "last words", 10), 10);
	close(21);
	pipe_at(22, 23, 0);
	close(22);
}

static void check_ends(void)
{
	struct pollfd poll_fd = { .fd = 20, .events = POLLIN };
	char buf[32];

	signal(SIGPIPE, SIG_IGN);
	EXPECT_EQ(poll(&poll_fd, 1, 0), 1);
	EXPECT_EQ(poll_fd.revents, POLLIN | POLLHUP);
	EXPECT_EQ(read(20, buf, sizeof(buf)), 10);
	EXPECT_EQ(read(20, buf, sizeof(buf)), 0);
	EXPECT_EQ(write(23, "x", 1), -1);
	EXPECT_EQ(errno, EPIPE);
}

static void pipe_with_one_end_is_hung_up(void **state)
{
	fd_round_trip(*state, make_ends, check_ends);
}

/* The test process keeps the other end. */
static void make_reader_of_outside(void)
{
	at_fd(open(fd_shared->name[0], O_RDONLY), 20);
}

static void check_outside(void)
{
	char buf[32];

	EXPECT_EQ(read(20, buf, sizeof(buf)), 6);
	EXPECT(!memcmp(buf, "unread", 6));
	EXPECT_EQ(read(20, buf, sizeof(buf)), 0);
}

static void pipe_to_outside_ends(void **state)
{
	struct fd_fixture *f = *state;
	int outside[2];

	assert_int_equal(pipe2(outside, O_CLOEXEC), 0);
	assert_int_equal(write(outside[1], "unread", 6), 6);
	snprintf(fd_shared->name[0], sizeof(fd_shared->name[0]), "/proc/%d/fd/%d", getpid(), outside[0]);
	fd_start(f, make_reader_of_outside);
	fd_shared->value[63] = f->target;
	assert_int_equal(fd_checkpoint(f), 0);
	const struct finding *it = fd_finding(f, "fd 20");
	assert_non_null(it);
	assert_non_null(strstr(it->action, "outside"));
	assert_int_equal(fd_restart(f, check_outside), 0);
	close(outside[0]);
	close(outside[1]);
}

static void make_fifo(void)
{
	EXPECT_EQ(mkfifo(fd_shared->name[0], 0620), 0);
	at_fd(open(fd_shared->name[0], O_RDWR), 30);
	at_fd(open(fd_shared->name[0], O_RDONLY | O_NONBLOCK), 31);
	at_fd(open(fd_shared->name[0], O_WRONLY), 32);
	EXPECT_EQ(write(32, "queued", 6), 6);
}

static void check_fifo(void)
{
	char buf[32];
	struct stat st;

	EXPECT_EQ(stat(fd_shared->name[0], &st), 0);
	EXPECT(S_ISFIFO(st.st_mode));
	expect_open(30, fd_shared->name[0], O_RDWR);
	expect_open(31, fd_shared->name[0], O_RDONLY | O_NONBLOCK);
	expect_open(32, fd_shared->name[0], O_WRONLY);
	EXPECT_EQ(read(31, buf, sizeof(buf)), 6);
	EXPECT_EQ(read(31, buf, sizeof(buf)), -1);
	EXPECT_EQ(write(32, "more", 4), 4);
	EXPECT_EQ(read(30, buf, sizeof(buf)), 4);
}

static void fifo_is_opened_and_filled_again(void **state)
{
	struct fd_fixture *f = *state;

	for (int i = 0; i < 2; i++) {
		snprintf(fd_shared->name[0], sizeof(fd_shared->name[0]), "%s/fifo%d", f->dir, i);
		fd_start(f, make_fifo);
		fd_shared->value[63] = f->target;
		assert_int_equal(fd_checkpoint(f), 0);
		if (i)
			unlink(fd_shared->name[0]);
		if (fd_restart(f, check_fifo))
			fail_msg("%s", f->said);
		fd_end_target(f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(pipe_keeps_contents_and_shape, fd_fixture_setup, fd_fixture_teardown),
		cmocka_unit_test_setup_teardown(pipe_with_one_end_is_hung_up, fd_fixture_setup, fd_fixture_teardown),
		cmocka_unit_test_setup_teardown(pipe_to_outside_ends, fd_fixture_setup, fd_fixture_teardown),
		cmocka_unit_test_setup_teardown(fifo_is_opened_and_filled_again, fd_fixture_setup, fd_fixture_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
