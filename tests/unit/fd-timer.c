// SPDX-License-Identifier: LGPL-2.1-or-later
/* timerfd: time left, periods, unread expirations, wall clock time. */
#include "fd-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/timerfd.h>
#include <time.h>

#define NS 1000000000ll

static struct itimerspec spec_of(int64_t value_ns, int64_t interval_ns)
{
	return (struct itimerspec){ { interval_ns / NS, interval_ns % NS }, { value_ns / NS, value_ns % NS } };
}

static int64_t now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * NS + ts.tv_nsec;
}

static void make_timers(void)
{
	struct itimerspec far = spec_of(1000 * NS, 0), once = spec_of(1000000, 0), often = spec_of(1000000, 10000 * NS);
	struct itimerspec monotonic = spec_of(now_ns(CLOCK_MONOTONIC) + 2000 * NS, 5 * NS);
	struct itimerspec wall = spec_of(now_ns(CLOCK_REALTIME) + 3000 * NS, 7 * NS), fast = spec_of(1000000, 1000000);

	at_fd(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), 10);
	EXPECT_EQ(timerfd_settime(10, 0, &far, NULL), 0);
	at_fd(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), 11);
	EXPECT_EQ(timerfd_settime(11, 0, &once, NULL), 0);
	at_fd(timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK), 12);
	EXPECT_EQ(timerfd_settime(12, 0, &often, NULL), 0);
	at_fd(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), 13);
	EXPECT_EQ(timerfd_settime(13, TFD_TIMER_ABSTIME, &monotonic, NULL), 0);
	at_fd(timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC), 14);
	EXPECT_EQ(timerfd_settime(14, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &wall, NULL), 0);
	at_fd(timerfd_create(CLOCK_MONOTONIC, 0), 15);
	at_fd(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK), 16);
	EXPECT_EQ(timerfd_settime(16, 0, &fast, NULL), 0);
	fd_shared->value[0] = wall.it_value.tv_sec * NS + wall.it_value.tv_nsec;
	fd_shared->value[1] = now_ns(CLOCK_MONOTONIC);
	/* All short ones expire; nobody reads. */
	usleep(20000);
}

static int64_t left(int fd, int64_t *ret_interval)
{
	struct itimerspec now;

	EXPECT_EQ(timerfd_gettime(fd, &now), 0);
	*ret_interval = now.it_interval.tv_sec * NS + now.it_interval.tv_nsec;
	return now.it_value.tv_sec * NS + now.it_value.tv_nsec;
}

static void check_timers(void)
{
	int64_t interval, age = now_ns(CLOCK_MONOTONIC) - fd_shared->value[1], rest;
	uint64_t ticks;

	/* The test has no time namespace, so clocks went on while the timers stood still: never less than the clock says. */
	rest = left(10, &interval);
	EXPECT(interval == 0 && rest <= 1000 * NS && rest >= 1000 * NS - age - NS);
	EXPECT_EQ(read(10, &ticks, 8), -1);
	EXPECT_EQ(errno, EAGAIN);
	EXPECT_EQ(left(11, &interval), 0);
	EXPECT_EQ(read(11, &ticks, 8), 8);
	EXPECT_EQ(ticks, 1);
	rest = left(12, &interval);
	EXPECT(interval == 10000 * NS && rest <= 10000 * NS && rest > 9900 * NS);
	EXPECT_EQ(read(12, &ticks, 8), 8);
	EXPECT_EQ(ticks, 1);
	rest = left(13, &interval);
	EXPECT(interval == 5 * NS && rest <= 2000 * NS && rest >= 2000 * NS - age - NS);
	rest = left(14, &interval);
	EXPECT_EQ(interval, 7 * NS);
	rest += now_ns(CLOCK_REALTIME) - fd_shared->value[0];
	EXPECT(rest > -NS && rest < NS);
	EXPECT_EQ(fcntl(14, F_GETFD), FD_CLOEXEC);
	EXPECT_EQ(left(15, &interval), 0);
	expect_open(15, "anon_inode:[timerfd]", O_RDWR);
	/* 20 ms of 1 ms periods and more since; it runs on, as the second reading proves. Nothing is left of a period just going off. */
	rest = left(16, &interval);
	EXPECT(interval == 1000000 && rest >= 0 && rest <= 1000000);
	EXPECT_EQ(read(16, &ticks, 8), 8);
	EXPECT(ticks >= 15);
	usleep(3000);
	EXPECT_EQ(read(16, &ticks, 8), 8);
	EXPECT(ticks >= 2 && ticks < 60000);
}

static void timerfd_goes_on(void **state)
{
	fd_round_trip(*state, make_timers, check_timers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(timerfd_goes_on, fd_fixture_setup, fd_fixture_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
