// SPDX-License-Identifier: LGPL-2.1-or-later
/* Threads wait for a signal in sigwaitinfo(), without and with a time limit. The kernel does not restart these calls by itself;
 * still they must not see EINTR, and the signal at the end must reach them with its value. */
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "target.h"

#define LIMIT_MS 500
#define SLACK_MS 5000

static volatile pid_t tids[2];
static volatile bool released;

static void *waiter(void *arg)
{
	int i = (intptr_t)arg, sig = SIGRTMIN + i, r;
	struct timespec ts = { 0, LIMIT_MS * TARGET_MS };
	siginfo_t info = { 0 };
	int64_t begun, took;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, sig);
	tids[i] = gettid();
	do {
		begun = target_now(CLOCK_MONOTONIC);
		r = i == 0 ? sigwaitinfo(&set, &info) : sigtimedwait(&set, &info, &ts);
		took = (target_now(CLOCK_MONOTONIC) - begun) / TARGET_MS;
		if (r < 0) {
			target_check(i == 1 && errno == EAGAIN, "waiter %d: errno %d after %ld ms (EINTR is %d)", i, errno,
			             took, EINTR);
			target_check(took >= LIMIT_MS && took <= 2 * LIMIT_MS + SLACK_MS, "%ld ms instead of %d", took,
			             LIMIT_MS);
		}
	} while (r < 0);
	target_check(released, "waiter %d: a signal that nobody sent", i);
	target_check(r == sig && info.si_value.sival_int == 4711 + i && info.si_code == SI_QUEUE && info.si_pid == getpid(),
	             "waiter %d: signal %d value %d code %d pid %d", i, r, info.si_value.sival_int, info.si_code, info.si_pid);
	return NULL;
}

static void release(void)
{
	released = true;
	for (int i = 0; i < 2; i++)
		sigqueue(getpid(), SIGRTMIN + i, (union sigval){ .sival_int = 4711 + i });
}

int main(int argc, char **argv)
{
	pthread_t threads[2];
	sigset_t set;

	target_init(argc, argv);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	sigaddset(&set, SIGRTMIN + 1);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	for (intptr_t i = 0; i < 2; i++) {
		threads[i] = target_thread(waiter, (void *)i);
		while (!tids[i])
			target_sleep_ms(1);
		target_until_asleep(tids[i]);
	}
	target_ticker_start(release);
	target_ready();
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	target_done();
}
