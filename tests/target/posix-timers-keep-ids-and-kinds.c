// SPDX-License-Identifier: LGPL-2.1-or-later
/* POSIX timers of every kind (signal, signal to a thread, none, on several clocks), with gaps in their ids, keep id, kind,
 * value, interval and remaining time. The short ones go on firing, the disarmed ones stay so, and the long one must not have
 * moved by the time away. */
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "target.h"

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

#define LONG_S 1000
#define SLACK_MS 2000 /* less than the time that the target is off */

static int ids[5];
static volatile int fired[2], bad;
static volatile bool stop;
static volatile pid_t thread_tid;

static void on_timer(int sig, siginfo_t *info, void *context)
{
	int i = sig - SIGRTMIN;

	(void)context;
	if (info->si_code != SI_TIMER || info->si_value.sival_int != 70 + i || info->si_timerid != ids[i] ||
	    (i == 1 && gettid() != thread_tid))
		bad = sig;
	fired[i]++;
}

static void *thread(void *arg)
{
	(void)arg;
	thread_tid = gettid();
	while (!stop)
		target_sleep_ms(5);
	return NULL;
}

static int create(clockid_t clock, int notify, int i)
{
	struct sigevent ev = { .sigev_notify = notify, .sigev_signo = SIGRTMIN + i, .sigev_value.sival_int = 70 + i };
	int id;

	ev.sigev_notify_thread_id = thread_tid;
	target_check(syscall(SYS_timer_create, clock, &ev, &id) == 0, "clock %d: %m", clock);
	return id;
}

static void set(int id, int ms, int interval_ms)
{
	struct itimerspec its = { { interval_ms / 1000, interval_ms % 1000 * TARGET_MS },
		                  { ms / 1000, ms % 1000 * TARGET_MS } };

	target_check(syscall(SYS_timer_settime, id, 0, &its, NULL) == 0, "timer %d: %m", id);
}

static struct itimerspec get(int id)
{
	struct itimerspec its;

	target_check(syscall(SYS_timer_gettime, id, &its) == 0, "timer %d: %m", id);
	return its;
}

static void check_long(int64_t begun)
{
	int64_t before = target_now(CLOCK_MONOTONIC) - begun, left, after;
	struct itimerspec its = get(ids[3]);

	after = target_now(CLOCK_MONOTONIC) - begun; /* we may have been away in between */
	left = its.it_value.tv_sec * 1000000000 + its.it_value.tv_nsec;
	target_check(left + after >= (LONG_S * 1000L - SLACK_MS) * TARGET_MS &&
	                     left + before <= (LONG_S * 1000L + SLACK_MS) * TARGET_MS,
	             "long timer: %ld to %ld ms gone, %ld ms left", before / TARGET_MS, after / TARGET_MS, left / TARGET_MS);
	target_check(its.it_interval.tv_sec == 12 && its.it_interval.tv_nsec == 345, "interval of the long timer");
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_sigaction = on_timer, .sa_flags = SA_SIGINFO | SA_RESTART };
	struct itimerspec its = { { 12, 345 }, { LONG_S, 0 } };
	char timers[4096];
	pthread_t t;
	int64_t begun;
	int gap[3];

	target_init(argc, argv);
	for (int i = 0; i < 2; i++)
		sigaction(SIGRTMIN + i, &sa, NULL);
	t = target_thread(thread, NULL);
	while (!thread_tid)
		target_sleep_ms(1);
	for (int i = 0; i < 3; i++)
		gap[i] = create(CLOCK_MONOTONIC, SIGEV_NONE, 0);
	ids[0] = create(CLOCK_MONOTONIC, SIGEV_SIGNAL, 0);
	ids[1] = create(CLOCK_BOOTTIME, SIGEV_THREAD_ID, 1);
	ids[2] = create(CLOCK_REALTIME, SIGEV_NONE, 2); /* never armed */
	ids[3] = create(CLOCK_MONOTONIC, SIGEV_NONE, 3);
	ids[4] = create(CLOCK_PROCESS_CPUTIME_ID, SIGEV_SIGNAL, 4);
	for (int i = 0; i < 3; i++)
		syscall(SYS_timer_delete, gap[i]);
	set(ids[0], 5, 5);
	set(ids[1], 7, 7);
	set(ids[4], 500000, 0); /* of processor time: does not end here */
	begun = target_now(CLOCK_MONOTONIC);
	target_check(syscall(SYS_timer_settime, ids[3], 0, &its, NULL) == 0, "%m");
	strcpy(timers, target_slurp("/proc/self/timers"));
	target_option("off=2500");
	target_ready();
	for (int turn = 1, last[2] = { 0 }; target_turn(); turn++) {
		target_check(!bad, "signal %d came with wrong code, value, id or thread", bad);
		target_check(strcmp(timers, target_slurp("/proc/self/timers")) == 0, "timers were %s are %s", timers,
		             target_slurp("/proc/self/timers"));
		check_long(begun);
		target_check(!get(ids[2]).it_value.tv_sec && !get(ids[2]).it_value.tv_nsec, "a disarmed timer is armed");
		target_check(get(ids[4]).it_value.tv_sec > 400, "processor time timer: %ld s left",
		             get(ids[4]).it_value.tv_sec);
		for (int i = 0; turn % 100 == 0 && i < 2; i++) {
			target_check(fired[i] > last[i], "timer %d does not fire any more", i);
			last[i] = fired[i];
		}
	}
	target_check(syscall(SYS_timer_gettime, gap[1], &its) == -1, "a deleted timer is back");
	target_check(fired[0] > 3 && fired[1] > 3, "fired %d and %d times", fired[0], fired[1]);
	for (int i = 0; i < 5; i++)
		target_check(syscall(SYS_timer_delete, ids[i]) == 0, "timer %d: %m", ids[i]);
	stop = true;
	pthread_join(t, NULL);
	target_done();
}
