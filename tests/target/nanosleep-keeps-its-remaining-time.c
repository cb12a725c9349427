// SPDX-License-Identifier: LGPL-2.1-or-later
/* Threads sleep for a given time. With a place for the remainder the whole sleep must be as long as asked for, over any number
 * of checkpoints; without one it may begin anew at each restart, but must not end early or see EINTR. */
#include <errno.h>
#include <unistd.h>

#include "target.h"

#define SLEEP_MS 2500
#define SLACK_MS 5000

static volatile bool stop;
static volatile int sleeps[4];

static void *sleeper(void *arg)
{
	int i = (intptr_t)arg, r;

	while (!stop) {
		struct timespec ts = { SLEEP_MS / 1000, SLEEP_MS % 1000 * TARGET_MS }, rem = { 77, 77 };
		int64_t begun = target_now(CLOCK_MONOTONIC), took;

		if (i < 2)
			r = nanosleep(&ts, i == 0 ? &rem : NULL) ? errno : 0;
		else
			r = clock_nanosleep(i == 2 ? CLOCK_MONOTONIC : CLOCK_REALTIME, 0, &ts, &rem);
		took = (target_now(CLOCK_MONOTONIC) - begun) / TARGET_MS;
		target_check(r == 0, "sleeper %d: error %d after %ld ms", i, r, took);
		target_check(took >= SLEEP_MS, "sleeper %d: %ld ms instead of %d", i, took, SLEEP_MS);
		target_check(took <= (i == 1 ? 4 : 1) * SLEEP_MS + SLACK_MS, "sleeper %d: %ld ms instead of %d", i, took,
		             SLEEP_MS);
		sleeps[i]++;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[4];

	target_init(argc, argv);
	for (intptr_t i = 0; i < 4; i++)
		threads[i] = target_thread(sleeper, (void *)i);
	target_ready();
	while (target_turn())
		;
	stop = true;
	for (int i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		target_check(sleeps[i] > 0, "sleeper %d never woke", i);
	}
	target_done();
}
