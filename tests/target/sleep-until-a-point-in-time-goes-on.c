// SPDX-License-Identifier: LGPL-2.1-or-later
/* Threads sleep until a point in time, on the monotonic, boot-time and real-time clocks. They must wake at that point, or at
 * once if the real-time clock has passed it meanwhile, without EINTR. */
#include <unistd.h>

#include "target.h"

#define SLEEP_MS 900
#define SLACK_MS 2200

static const clockid_t clocks[] = { CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_REALTIME, CLOCK_TAI };
static volatile bool stop;
static volatile int sleeps[4];

static void *sleeper(void *arg)
{
	int i = (intptr_t)arg;

	while (!stop) {
		int64_t until = target_now(clocks[i]) + SLEEP_MS * TARGET_MS, late;
		struct timespec ts = { until / 1000000000, until % 1000000000 };
		int r = clock_nanosleep(clocks[i], TIMER_ABSTIME, &ts, NULL);

		late = target_now(clocks[i]) - until;
		target_check(r == 0, "clock %d: error %d", clocks[i], r);
		target_check(late >= 0, "clock %d: %ld ms too early", clocks[i], -late / TARGET_MS);
		/* The clocks that go on while the target is away may be late by the time it was away. */
		target_check(late <= (i < 2 ? SLACK_MS : 8000) * TARGET_MS, "clock %d: %ld ms late", clocks[i],
		             late / TARGET_MS);
		sleeps[i]++;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[4];

	target_init(argc, argv);
	target_option("off=2500"); /* longer than the slack: a monotonic sleep that did not stand still would be found out */
	for (intptr_t i = 0; i < 4; i++)
		threads[i] = target_thread(sleeper, (void *)i);
	target_ready();
	while (target_turn())
		;
	stop = true;
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		target_check(sleeps[i] > 0, "clock %d: never woke", clocks[i]);
	}
	target_done();
}
