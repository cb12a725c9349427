// SPDX-License-Identifier: LGPL-2.1-or-later
/* Threads wait in poll() and select(), with a time limit that ends again and again, and without one until a descriptor becomes
 * ready. None sees EINTR; limits are kept, a relative one may begin anew at a checkpoint. */
#include <errno.h>
#include <poll.h>
#include <sys/select.h>
#include <unistd.h>

#include "target.h"

#define LIMIT_MS 600
#define SLACK_MS 5000

static int fds[2];
static volatile int begun;
static volatile bool released;

static int wait_for(int which, bool forever)
{
	struct pollfd pfd = { fds[0], POLLIN, 0 };
	struct timeval tv = { 0, LIMIT_MS * 1000 };
	fd_set set;

	if (which == 0)
		return poll(&pfd, 1, forever ? -1 : LIMIT_MS);
	FD_ZERO(&set);
	FD_SET(fds[0], &set);
	return select(fds[0] + 1, &set, NULL, NULL, forever ? NULL : &tv);
}

static void *waiter(void *arg)
{
	int i = (intptr_t)arg, r;
	bool forever = i & 2;

	__atomic_add_fetch(&begun, 1, __ATOMIC_SEQ_CST);
	for (;;) {
		int64_t from = target_now(CLOCK_MONOTONIC), took;
		bool was_released = released;

		r = wait_for(i & 1, forever);
		took = (target_now(CLOCK_MONOTONIC) - from) / TARGET_MS;
		target_check(r >= 0, "waiter %d: %m after %ld ms", i, took);
		if (r == 1) {
			target_check(released, "waiter %d: ready, and nothing was written", i);
			return NULL;
		}
		target_check(!forever && !was_released, "waiter %d: returned %d after %ld ms", i, r, took);
		target_check(took >= LIMIT_MS, "waiter %d: %ld ms instead of %d", i, took, LIMIT_MS);
		target_check(took <= 2 * LIMIT_MS + SLACK_MS, "waiter %d: %ld ms instead of %d", i, took, LIMIT_MS);
	}
}

static void release(void)
{
	released = true;
	target_check(write(fds[1], "x", 1) == 1, "%m");
}

int main(int argc, char **argv)
{
	pthread_t threads[4];

	target_init(argc, argv);
	target_check(pipe(fds) == 0, "%m");
	for (intptr_t i = 0; i < 4; i++)
		threads[i] = target_thread(waiter, (void *)i);
	while (begun < 4)
		target_sleep_ms(1);
	target_ticker_start(release);
	target_ready();
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	target_done();
}
