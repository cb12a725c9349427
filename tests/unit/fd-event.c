// SPDX-License-Identifier: LGPL-2.1-or-later
/* eventfd and signalfd: counts, semaphores, masks, shared descriptions, owners. */
#include "fd-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>

static void make_eventfds(void)
{
	uint64_t much = UINT64_MAX - 1;

	at_fd(eventfd(7, EFD_NONBLOCK), 10);
	at_fd(eventfd(3, EFD_SEMAPHORE | EFD_CLOEXEC), 20);
	EXPECT_EQ(dup2(10, 11), 11);
	at_fd(eventfd(0, EFD_NONBLOCK), 12);
	at_fd(eventfd(0, EFD_NONBLOCK), 13);
	EXPECT_EQ(write(13, &much, sizeof(much)), 8);
	EXPECT_EQ(fcntl(20, F_DUPFD_CLOEXEC, 500), 500);
}

static void check_eventfds(void)
{
	uint64_t count;

	EXPECT(same_description(10, 11));
	EXPECT(!same_description(10, 12));
	EXPECT(same_description(20, 500));
	EXPECT_EQ(fcntl(10, F_GETFD), 0);
	EXPECT_EQ(fcntl(20, F_GETFD), FD_CLOEXEC);
	EXPECT_EQ(fcntl(500, F_GETFD), FD_CLOEXEC);
	expect_open(10, "anon_inode:[eventfd]", O_RDWR | O_NONBLOCK);
	expect_open(20, NULL, O_RDWR);
	EXPECT_EQ(fcntl(14, F_GETFD), -1);
	EXPECT_EQ(fcntl(501, F_GETFD), -1);
	EXPECT_EQ(read(10, &count, 8), 8);
	EXPECT_EQ(count, 7);
	EXPECT_EQ(read(11, &count, 8), -1);
	EXPECT_EQ(errno, EAGAIN);
	for (int i = 0; i < 3; i++) {
		EXPECT_EQ(read(20, &count, 8), 8);
		EXPECT_EQ(count, 1);
	}
	struct pollfd empty = { .fd = 20, .events = POLLIN };
	EXPECT_EQ(poll(&empty, 1, 0), 0);
	EXPECT_EQ(read(12, &count, 8), -1);
	EXPECT_EQ(read(13, &count, 8), 8);
	EXPECT_EQ(count, UINT64_MAX - 1);
}

static void eventfd_keeps_count_and_kind(void **state)
{
	fd_round_trip(*state, make_eventfds, check_eventfds);
}

static void make_signalfd(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGRTMAX);
	sigprocmask(SIG_BLOCK, &set, NULL);
	at_fd(signalfd(-1, &set, SFD_NONBLOCK), 5);
}

static void check_signalfd(void)
{
	struct signalfd_siginfo info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGRTMAX);
	sigprocmask(SIG_BLOCK, &set, NULL);
	expect_open(5, "anon_inode:[signalfd]", O_RDWR | O_NONBLOCK);
	EXPECT_EQ(kill(getpid(), SIGUSR2), 0);
	EXPECT_EQ(read(5, &info, sizeof(info)), -1);
	EXPECT_EQ(kill(getpid(), SIGRTMAX), 0);
	EXPECT_EQ(kill(getpid(), SIGUSR1), 0);
	EXPECT_EQ(read(5, &info, sizeof(info)), sizeof(info));
	EXPECT_EQ(info.ssi_signo, SIGUSR1);
	EXPECT_EQ(read(5, &info, sizeof(info)), sizeof(info));
	EXPECT_EQ(info.ssi_signo, SIGRTMAX);
}

static void signalfd_keeps_its_mask(void **state)
{
	fd_round_trip(*state, make_signalfd, check_signalfd);
}

static void make_owner(void)
{
	int ends[2];
	struct f_owner_ex owner = { F_OWNER_PID, getpid() };

	EXPECT_EQ(pipe(ends), 0);
	at_fd(ends[0], 30);
	at_fd(ends[1], 31);
	EXPECT_EQ(fcntl(30, F_SETOWN_EX, &owner), 0);
	EXPECT_EQ(fcntl(30, F_SETSIG, SIGUSR2), 0);
	EXPECT_EQ(fcntl(30, F_SETFL, O_ASYNC | O_NONBLOCK), 0);
}

static void check_owner(void)
{
	struct f_owner_ex owner = { 0 };
	struct timespec wait = { 2, 0 };
	siginfo_t info;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	EXPECT_EQ(fcntl(30, F_GETOWN_EX, &owner), 0);
	EXPECT_EQ(fcntl(30, F_GETSIG), SIGUSR2);
	expect_open(30, NULL, O_RDONLY | O_ASYNC | O_NONBLOCK);
	/* The pid is the old one again only where it may be chosen. */
	if (owner.pid == 0)
		return;
	EXPECT_EQ(owner.type, F_OWNER_PID);
	EXPECT_EQ(owner.pid, getpid());
	EXPECT_EQ(write(31, "x", 1), 1);
	EXPECT_EQ(sigtimedwait(&set, &info, &wait), SIGUSR2);
	EXPECT_EQ(info.si_fd, 30);
}

static void signal_owner_comes_back(void **state)
{
	fd_round_trip(*state, make_owner, check_owner);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(eventfd_keeps_count_and_kind, fd_fixture_setup, fd_fixture_teardown),
		cmocka_unit_test_setup_teardown(signalfd_keeps_its_mask, fd_fixture_setup, fd_fixture_teardown),
		cmocka_unit_test_setup_teardown(signal_owner_comes_back, fd_fixture_setup, fd_fixture_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
