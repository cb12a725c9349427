// SPDX-License-Identifier: LGPL-2.1-or-later
/* Timer descriptors on three clocks: a long one keeps its remaining time, a fast one its expirations that were not yet read and
 * its rhythm, an absolute real-time one its point in time, an unarmed one stays so. */
#include <errno.h>
#include <fcntl.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "target.h"

#define LONG_S 1000
#define SLACK_MS 2000 /* less than the time that the target is off */

static int create(clockid_t clock, int flags, int64_t value_ns, int64_t interval_ns)
{
	struct itimerspec its = { { interval_ns / 1000000000, interval_ns % 1000000000 },
		                  { value_ns / 1000000000, value_ns % 1000000000 } };
	int fd = timerfd_create(clock, TFD_NONBLOCK | TFD_CLOEXEC);

	target_check(fd >= 0, "%m");
	target_check(timerfd_settime(fd, flags, &its, NULL) == 0, "%m");
	return fd;
}

static int64_t left(int fd)
{
	struct itimerspec its;

	target_check(timerfd_gettime(fd, &its) == 0, "%m");
	return its.it_value.tv_sec * 1000000000 + its.it_value.tv_nsec;
}

int main(int argc, char **argv)
{
	int64_t begun, gone, l, point;
	int lasting[2], fast, unread, absolute, unarmed;
	uint64_t ticks, all = 0;

	target_init(argc, argv);
	begun = target_now(CLOCK_MONOTONIC);
	point = target_now(CLOCK_REALTIME) + LONG_S * 1000000000L;
	lasting[0] = create(CLOCK_MONOTONIC, 0, LONG_S * 1000000000L, 0);
	lasting[1] = create(CLOCK_BOOTTIME, TFD_TIMER_ABSTIME, target_now(CLOCK_BOOTTIME) + LONG_S * 1000000000L, 0);
	fast = create(CLOCK_MONOTONIC, 0, 10 * TARGET_MS, 10 * TARGET_MS);
	unread = create(CLOCK_MONOTONIC, 0, 10 * TARGET_MS, 10 * TARGET_MS);
	absolute = create(CLOCK_REALTIME, TFD_TIMER_ABSTIME, point, 0);
	unarmed = create(CLOCK_MONOTONIC, 0, 0, 0);
	target_sleep_ms(50);
	target_option("off=2500");
	target_ready();
	while (target_turn()) {
		/* We may be away between any two of these. */
		for (int i = 0; i < 2; i++) {
			int64_t before = target_now(CLOCK_MONOTONIC) - begun;
			l = left(lasting[i]);
			gone = target_now(CLOCK_MONOTONIC) - begun;
			target_check(l + gone > (LONG_S * 1000L - SLACK_MS) * TARGET_MS &&
			                     l + before < (LONG_S * 1000L + SLACK_MS) * TARGET_MS,
			             "long timer %d: %ld to %ld ms gone, %ld ms left", i, before / TARGET_MS, gone / TARGET_MS,
			             l / TARGET_MS);
		}
		gone = target_now(CLOCK_REALTIME);
		l = left(absolute);
		target_check(l + gone - point < 300 * TARGET_MS && l + target_now(CLOCK_REALTIME) - point > -300 * TARGET_MS,
		             "absolute timer is off by %ld ms", (l + gone - point) / TARGET_MS);
		target_check(left(unarmed) == 0, "the unarmed timer is armed");
		if (read(fast, &ticks, 8) == 8)
			all += ticks;
		target_check(fcntl(fast, F_GETFL) & O_NONBLOCK, "flags");
	}
	gone = (target_now(CLOCK_MONOTONIC) - begun) / TARGET_MS;
	target_check(all > (uint64_t)gone / 10 / 4 && all <= (uint64_t)gone / 10 + 2, "fast timer: %lu ticks in %ld ms", all,
	             gone);
	target_check(read(unread, &ticks, 8) == 8, "%m");
	target_check(ticks > (uint64_t)gone / 10 / 4 && ticks <= (uint64_t)gone / 10 + 2, "unread timer: %lu ticks in %ld ms",
	             ticks, gone);
	target_check(read(lasting[0], &ticks, 8) == -1 && errno == EAGAIN, "the long timer has fired");
	target_check(read(unarmed, &ticks, 8) == -1 && errno == EAGAIN, "the unarmed timer has fired");
	target_done();
}
