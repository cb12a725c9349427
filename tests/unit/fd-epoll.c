// SPDX-License-Identifier: LGPL-2.1-or-later
/* epoll: duplicated, closed and reused numbers, nesting, one-shot entries, signalfds. */
#include "fd-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>

static void add(int epoll, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event event = { .events = events, .data.u64 = data };

	EXPECT_EQ(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), 0);
}

static void signal_event(int fd)
{
	uint64_t one = 1;

	EXPECT_EQ(write(fd, &one, 8), 8);
}

static void take(int fd)
{
	uint64_t count;

	EXPECT_EQ(read(fd, &count, 8), 8);
}

/* The data of all that is ready, as a sum; every test uses powers of two. */
static uint64_t ready(int epoll)
{
	struct epoll_event events[16];
	uint64_t sum = 0;
	int n = epoll_wait(epoll, events, 16, 0);

	EXPECT(n >= 0);
	for (int i = 0; i < n; i++)
		sum += events[i].data.u64;
	return sum;
}

static void make_numbers(void)
{
	at_fd(epoll_create1(EPOLL_CLOEXEC), 40);
	for (int i = 0; i < 4; i++)
		at_fd(eventfd(0, EFD_NONBLOCK), 10 + i);
	add(40, 10, EPOLLIN, 1);
	/* Twice the same description. */
	EXPECT_EQ(dup2(10, 20), 20);
	add(40, 20, EPOLLIN, 2);
	/* The number is closed, the description lives on as 21. */
	add(40, 11, EPOLLIN, 4);
	EXPECT_EQ(dup2(11, 21), 21);
	close(11);
	/* The number is another file's by now, which is watched as well. */
	add(40, 12, EPOLLIN, 8);
	EXPECT_EQ(dup2(12, 22), 22);
	EXPECT_EQ(dup2(13, 12), 12);
	add(40, 12, EPOLLIN, 16);
	/* A number far above all others, closed. */
	EXPECT_EQ(dup2(13, 900), 900);
	add(40, 900, EPOLLIN, 32);
	close(900);
}

static void check_numbers(void)
{
	EXPECT_EQ(fcntl(40, F_GETFD), FD_CLOEXEC);
	EXPECT_EQ(fcntl(11, F_GETFD), -1);
	EXPECT_EQ(fcntl(900, F_GETFD), -1);
	EXPECT(same_description(10, 20) && same_description(12, 13) && !same_description(12, 22));
	EXPECT_EQ(ready(40), 0);
	signal_event(10);
	EXPECT_EQ(ready(40), 3);
	take(10);
	signal_event(21);
	EXPECT_EQ(ready(40), 4);
	take(21);
	signal_event(22);
	EXPECT_EQ(ready(40), 8);
	take(22);
	signal_event(13);
	EXPECT_EQ(ready(40), 48);
	take(13);
	EXPECT_EQ(ready(40), 0);
	/* The numbers are known to the epoll as they were. */
	EXPECT_EQ(epoll_ctl(40, EPOLL_CTL_DEL, 20, NULL), 0);
	EXPECT_EQ(epoll_ctl(40, EPOLL_CTL_DEL, 12, NULL), 0);
	EXPECT_EQ(epoll_ctl(40, EPOLL_CTL_DEL, 22, NULL), -1);
	EXPECT_EQ(errno, ENOENT);
}

static void epoll_entries_follow_the_description(void **state)
{
	fd_round_trip(*state, make_numbers, check_numbers);
}

static void make_modes(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	at_fd(epoll_create1(0), 5);
	at_fd(epoll_create1(0), 6);
	at_fd(eventfd(0, EFD_NONBLOCK), 7);
	at_fd(eventfd(1, EFD_NONBLOCK), 8);
	at_fd(eventfd(1, EFD_NONBLOCK), 9);
	at_fd(signalfd(-1, &set, SFD_NONBLOCK), 10);
	add(5, 7, EPOLLIN, 1);
	add(6, 5, EPOLLIN, 2); /* nested */
	add(6, 8, EPOLLIN | EPOLLONESHOT, 4);
	add(6, 9, EPOLLIN | EPOLLET, 8);
	add(6, 10, EPOLLIN, 16);
	add(5, 10, EPOLLIN | EPOLLEXCLUSIVE, 32);
	EXPECT_EQ(ready(6), 12); /* disarms 8 */
	EXPECT_EQ(ready(6), 0);
}

static void check_modes(void)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLONESHOT, .data.u64 = 4 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	/* The edge reports once more, the disarmed entry does not. */
	EXPECT_EQ(ready(6), 8);
	EXPECT_EQ(ready(6), 0);
	EXPECT_EQ(epoll_ctl(6, EPOLL_CTL_MOD, 8, &event), 0);
	EXPECT_EQ(ready(6), 4);
	EXPECT_EQ(ready(6), 0);
	signal_event(7);
	EXPECT_EQ(ready(6), 2);
	EXPECT_EQ(ready(5), 1);
	take(7);
	EXPECT_EQ(kill(getpid(), SIGUSR1), 0);
	EXPECT_EQ(ready(6), 18);
	EXPECT_EQ(ready(5), 32);
}

static void epoll_keeps_modes_and_nesting(void **state)
{
	fd_round_trip(*state, make_modes, check_modes);
}

/* A one-shot entry that has fired, on a pipe that was hung up since. */
static void make_hung_up(void)
{
	int ends[2];

	at_fd(epoll_create1(0), 5);
	EXPECT_EQ(pipe(ends), 0);
	at_fd(ends[0], 20);
	at_fd(ends[1], 21);
	EXPECT_EQ(write(21, "x", 1), 1);
	add(5, 20, EPOLLIN | EPOLLONESHOT, 1);
	EXPECT_EQ(ready(5), 1);
	close(21);
	EXPECT_EQ(ready(5), 0);
}

static void check_hung_up(void)
{
	EXPECT_EQ(ready(5), 0);
}

static void disarmed_entry_stays_silent_after_hangup(void **state)
{
	fd_round_trip(*state, make_hung_up, check_hung_up);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(epoll_entries_follow_the_description, fd_fixture_setup, fd_fixture_teardown),
		cmocka_unit_test_setup_teardown(epoll_keeps_modes_and_nesting, fd_fixture_setup, fd_fixture_teardown),
		cmocka_unit_test_setup_teardown(disarmed_entry_stays_silent_after_hangup, fd_fixture_setup,
		                                fd_fixture_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
