// SPDX-License-Identifier: LGPL-2.1-or-later
/* Threads wait on a futex with a time limit: relative, absolute on the monotonic clock, absolute on the real-time clock. Each
 * must see ETIMEDOUT, never too early and not much too late; a relative wait may begin anew at a checkpoint, as its rest cannot
 * be known. */
#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "target.h"

#define LIMIT_MS 700
#define SLACK_MS 5000

static uint32_t word;
static volatile bool stop;
static volatile int waits[3];

static void *waiter(void *arg)
{
	static const int ops[] = { FUTEX_WAIT_PRIVATE, FUTEX_WAIT_BITSET_PRIVATE,
		                   FUTEX_WAIT_BITSET_PRIVATE | FUTEX_CLOCK_REALTIME };
	int i = (intptr_t)arg;
	clockid_t clock = i == 2 ? CLOCK_REALTIME : CLOCK_MONOTONIC;

	while (!stop) {
		int64_t begun = target_now(clock), limit = LIMIT_MS * TARGET_MS + (i ? begun : 0), took;
		struct timespec ts = { limit / 1000000000, limit % 1000000000 };
		long r = syscall(SYS_futex, &word, ops[i], 0, &ts, NULL, FUTEX_BITSET_MATCH_ANY);

		took = (target_now(clock) - begun) / TARGET_MS;
		target_check(r == -1 && errno == ETIMEDOUT, "wait %d: returned %ld, errno %d after %ld ms", i, r, errno, took);
		target_check(took >= LIMIT_MS, "wait %d was over after %ld ms, limit %d", i, took, LIMIT_MS);
		target_check(took <= (i ? 1 : 2) * LIMIT_MS + SLACK_MS, "wait %d took %ld ms, limit %d", i, took, LIMIT_MS);
		waits[i]++;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[3];

	target_init(argc, argv);
	for (intptr_t i = 0; i < 3; i++)
		threads[i] = target_thread(waiter, (void *)i);
	target_ready();
	while (target_turn())
		;
	stop = true;
	for (int i = 0; i < 3; i++) {
		pthread_join(threads[i], NULL);
		target_check(waits[i] > 0, "wait %d never came to its end", i);
	}
	target_done();
}
