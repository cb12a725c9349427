// SPDX-License-Identifier: LGPL-2.1-or-later
/* Terminals: a pseudo terminal inside of the target, one that it got from whoever started it, and what becomes 0-2. */
#include "fd-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>

static void make_pty(void)
{
	struct termios settings;
	struct winsize size = { 43, 132, 0, 0 };
	int on = 1;
	char name[64];

	at_fd(posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK), 10);
	EXPECT_EQ(unlockpt(10), 0);
	EXPECT_EQ(ptsname_r(10, name, sizeof(name)), 0);
	at_fd(open(name, O_RDWR | O_NOCTTY), 11);
	EXPECT_EQ(tcgetattr(11, &settings), 0);
	cfmakeraw(&settings);
	settings.c_cc[VMIN] = 7;
	cfsetspeed(&settings, B115200);
	EXPECT_EQ(tcsetattr(11, TCSANOW, &settings), 0);
	EXPECT_EQ(ioctl(11, TIOCSWINSZ, &size), 0);
	/* A second one in packet mode, locked, whose other side was opened and closed. */
	at_fd(posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK), 12);
	EXPECT_EQ(unlockpt(12), 0);
	EXPECT_EQ(ptsname_r(12, name, sizeof(name)), 0);
	close(open(name, O_RDWR | O_NOCTTY));
	EXPECT_EQ(ioctl(12, TIOCPKT, &on), 0);
	EXPECT_EQ(ioctl(12, TIOCSPTLCK, &on), 0);
}

static void check_pty(void)
{
	struct pollfd hung_up = { .fd = 12, .events = POLLIN };
	struct termios settings;
	struct winsize size;
	char buf[16], name[64];
	int number;

	EXPECT_EQ(ptsname_r(10, name, sizeof(name)), 0);
	expect_open(10, "/dev/ptmx", O_RDWR | O_NONBLOCK);
	expect_open(11, name, O_RDWR);
	EXPECT_EQ(tcgetattr(11, &settings), 0);
	EXPECT_EQ(settings.c_cc[VMIN], 7);
	EXPECT_EQ(settings.c_lflag & (ICANON | ECHO | ISIG), 0);
	EXPECT_EQ(cfgetospeed(&settings), B115200);
	EXPECT_EQ(ioctl(11, TIOCGWINSZ, &size), 0);
	EXPECT(size.ws_row == 43 && size.ws_col == 132);
	EXPECT_EQ(write(11, "out", 3), 3);
	EXPECT_EQ(read(10, buf, sizeof(buf)), 3);
	EXPECT_EQ(write(10, "1234567", 7), 7);
	EXPECT_EQ(read(11, buf, sizeof(buf)), 7);
	EXPECT_EQ(ioctl(12, TIOCGPKT, &number), 0);
	EXPECT_EQ(number, 1);
	EXPECT_EQ(ioctl(12, TIOCGPTLCK, &number), 0);
	EXPECT_EQ(number, 1);
	EXPECT_EQ(poll(&hung_up, 1, 0), 1);
	EXPECT(hung_up.revents & POLLHUP);
}

static void pty_inside_keeps_settings_and_sides(void **state)
{
	fd_round_trip(*state, make_pty, check_pty);
}

/* ---- 0-2 ---- */

/* The terminal of the test: its slave's name in name[0], another one's in name[1]. */
static int open_terminal(char *name)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);

	assert_true(master >= 0);
	assert_int_equal(unlockpt(master), 0);
	assert_int_equal(ptsname_r(master, name, 256), 0);
	return master;
}

static void make_on_terminal(void)
{
	struct termios settings;

	at_fd(open(fd_shared->name[0], O_RDWR | O_NOCTTY), 0);
	EXPECT_EQ(dup2(0, 1), 1);
	EXPECT_EQ(dup2(0, 2), 2);
	EXPECT_EQ(dup2(0, 7), 7);
	at_fd(open(fd_shared->name[0], O_WRONLY | O_NOCTTY | O_NONBLOCK), 8);
	EXPECT_EQ(fcntl(0, F_SETFL, O_RDWR | O_NONBLOCK), 0);
	EXPECT_EQ(tcgetattr(0, &settings), 0);
	settings.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	EXPECT_EQ(tcsetattr(0, TCSANOW, &settings), 0);
}

static void check_on_terminal(void)
{
	struct termios settings;

	for (int fd = 0; fd < 3; fd++)
		expect_open(fd, fd_shared->name[1], O_RDWR | O_NONBLOCK);
	EXPECT(same_description(0, 7));
	EXPECT(same_description(0, 2));
	expect_open(8, fd_shared->name[1], O_WRONLY | O_NONBLOCK);
	EXPECT(!same_description(0, 8));
	EXPECT_EQ(tcgetattr(0, &settings), 0);
	EXPECT_EQ(settings.c_lflag & (ICANON | ECHO), 0);
	EXPECT_EQ(write(1, "hello", 5), 5);
}

/* Runs a restart with descriptors 0-2 of the test put aside. */
static int restart_with(struct fd_fixture *f, const int fds[3], void (*check)(void))
{
	int saved[3], err;

	fflush(NULL);
	for (int i = 0; i < 3; i++) {
		saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 100);
		dup2(fds[i], i);
	}
	f->stdio_inherit = true;
	err = fd_restart(f, check);
	fflush(NULL);
	for (int i = 0; i < 3; i++) {
		dup2(saved[i], i);
		close(saved[i]);
	}
	return err;
}

static void terminal_of_the_restart_takes_the_place(void **state)
{
	struct fd_fixture *f = *state;
	int old = open_terminal(fd_shared->name[0]), fresh = open_terminal(fd_shared->name[1]);
	int fd = open(fd_shared->name[1], O_RDWR | O_NOCTTY | O_CLOEXEC);
	char buf[16];

	assert_true(fd >= 0);
	fd_start(f, make_on_terminal);
	if (fd_checkpoint(f))
		fail_msg("%s", f->said);
	if (restart_with(f, (int[3]){ fd, fd, fd }, check_on_terminal))
		fail_msg("%s", f->said);
	assert_int_equal(read(fresh, buf, sizeof(buf)), 5);
	/* The description that was lent is as it was. */
	assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	fd_end_target(f);
	/* Without 0-2 the terminal has to be named. */
	f->stdio_inherit = false;
	assert_int_equal(fd_restart(f, check_on_terminal), -EOPNOTSUPP);
	assert_non_null(strstr(fd_finding(f, "fd 0")->remedy, "--map file:"));
	close(fd);
	close(old);
	close(fresh);
}

static void check_on_nothing(void)
{
	struct pollfd poll_fd = { .fd = 0, .events = POLLIN };
	char buf[8];

	EXPECT_EQ(poll(&poll_fd, 1, 0), 1);
	EXPECT_EQ(read(0, buf, sizeof(buf)), 0);
	expect_file(fd_shared->name[2], "");
	EXPECT_EQ(write(1, "out", 3), 3);
	expect_file(fd_shared->name[2], "out");
}

static void terminal_may_become_a_file(void **state)
{
	struct fd_fixture *f = *state;
	int old = open_terminal(fd_shared->name[0]);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), file;

	snprintf(fd_shared->name[2], 256, "%s/out", f->dir);
	file = open(fd_shared->name[2], O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	fd_start(f, make_on_terminal);
	if (fd_checkpoint(f))
		fail_msg("%s", f->said);
	if (restart_with(f, (int[3]){ null, file, file }, check_on_nothing))
		fail_msg("%s", f->said);
	close(null);
	close(file);
	close(old);
}

/* ---- pipes and redirections as 0-2 ---- */

static void make_redirected(void)
{
	at_fd(open(fd_shared->name[0], O_RDONLY), 0); /* a pipe of the test's */
	at_fd(open(fd_shared->name[1], O_WRONLY), 1);
	at_fd(open(fd_shared->name[2], O_RDWR | O_CREAT, 0600), 2);
	EXPECT_EQ(write(2, "kept", 4), 4);
}

static void check_redirected(void)
{
	char buf[16];

	EXPECT_EQ(read(0, buf, sizeof(buf)), 3);
	EXPECT(!memcmp(buf, "new", 3));
	EXPECT_EQ(write(1, "answer", 6), 6);
	expect_open(2, fd_shared->name[2], O_RDWR);
	EXPECT_EQ(lseek(2, 0, SEEK_CUR), 4);
}

static void pipes_to_outside_become_those_of_the_restart(void **state)
{
	struct fd_fixture *f = *state;
	int in[2], out[2], fresh_in[2], fresh_out[2];
	char buf[16];

	assert_int_equal(
	        pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC) | pipe2(fresh_in, O_CLOEXEC) | pipe2(fresh_out, O_CLOEXEC), 0);
	snprintf(fd_shared->name[0], 256, "/proc/%d/fd/%d", getpid(), in[0]);
	snprintf(fd_shared->name[1], 256, "/proc/%d/fd/%d", getpid(), out[1]);
	snprintf(fd_shared->name[2], 256, "%s/file", f->dir);
	fd_start(f, make_redirected);
	if (fd_checkpoint(f))
		fail_msg("%s", f->said);
	assert_int_equal(write(fresh_in[1], "new", 3), 3);
	if (restart_with(f, (int[3]){ fresh_in[0], fresh_out[1], fresh_out[1] }, check_redirected))
		fail_msg("%s", f->said);
	assert_int_equal(read(fresh_out[0], buf, sizeof(buf)), 6);
	for (int i = 0; i < 2; i++) {
		close(in[i]);
		close(out[i]);
		close(fresh_in[i]);
		close(fresh_out[i]);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fd_fixture_setup, fd_fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(pty_inside_keeps_settings_and_sides),
		TEST(terminal_of_the_restart_takes_the_place),
		TEST(terminal_may_become_a_file),
		TEST(pipes_to_outside_become_those_of_the_restart),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
