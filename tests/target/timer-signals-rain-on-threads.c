// SPDX-License-Identifier: LGPL-2.1-or-later
/* Eight fast timers send their signals to a process of seven threads, so that one is nearly always on the point of delivery
 * when the process is being stopped. It must be stopped all the same, in time, and every timer must go on firing. */
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "target.h"

#define TIMERS 8
#define THREADS 6

static volatile int fired[TIMERS];
static volatile bool stop;

static void on_timer(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)context;
	__atomic_add_fetch(&fired[info->si_value.sival_int], 1, __ATOMIC_RELAXED);
}

static void *thread(void *arg)
{
	(void)arg;
	while (!stop)
		target_sleep_ms(50);
	return NULL;
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_sigaction = on_timer, .sa_flags = SA_RESTART | SA_SIGINFO };
	pthread_t threads[THREADS];
	int last[TIMERS] = { 0 };

	target_init(argc, argv);
	sigaction(SIGRTMIN, &sa, NULL);
	for (int i = 0; i < THREADS; i++)
		threads[i] = target_thread(thread, NULL);
	for (int i = 0; i < TIMERS; i++) {
		struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_int = i };
		struct itimerspec its = { { 0, 40000 + i * 1000 }, { 0, 30000 } };
		int id;

		target_check(syscall(SYS_timer_create, CLOCK_MONOTONIC, &ev, &id) == 0, "%m");
		target_check(syscall(SYS_timer_settime, id, 0, &its, NULL) == 0, "%m");
	}
	target_ready();
	for (int turn = 1; target_turn(); turn++)
		for (int i = 0; turn % 50 == 0 && i < TIMERS; i++) {
			target_check(fired[i] > last[i], "timer %d does not fire any more", i);
			last[i] = fired[i];
		}
	stop = true;
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	target_done();
}
