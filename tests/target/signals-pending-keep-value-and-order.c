// SPDX-License-Identifier: LGPL-2.1-or-later
/* Blocked signals are pending for the process and for two of its threads: plain ones, and real-time ones queued several times
 * with different values. At the end they must come in the same order with the same sender, code and value, and none twice. */
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "target.h"

#define QUEUED 20

static volatile bool ready, finish;

static void expect(int sig, int code, int value)
{
	struct timespec none = { 0, 0 };
	siginfo_t info = { 0 };
	sigset_t set;
	int r;

	sigemptyset(&set);
	sigaddset(&set, sig);
	r = syscall(SYS_rt_sigtimedwait, &set, &info, &none, 8); /* glibc's would call SI_TKILL SI_USER */
	if (code == 1) {
		target_check(r < 0, "signal %d is still pending", sig);
		return;
	}
	target_check(r == sig, "signal %d is not pending", sig);
	target_check(info.si_code == code, "signal %d: code %d, sent with %d", sig, info.si_code, code);
	target_check(info.si_pid == getpid() && info.si_uid == getuid(), "signal %d: from pid %d uid %d", sig, info.si_pid,
	             info.si_uid);
	if (code == SI_QUEUE)
		target_check(info.si_value.sival_int == value, "signal %d: value %d, sent with %d", sig,
		             info.si_value.sival_int, value);
}

static void *thread(void *arg)
{
	(void)arg;
	for (int i = 0; i < 3; i++)
		pthread_sigqueue(pthread_self(), SIGRTMIN + 1, (union sigval){ .sival_int = 100 + i });
	syscall(SYS_tgkill, getpid(), gettid(), SIGHUP);
	ready = true;
	while (!finish)
		target_sleep_ms(2);
	for (int i = 0; i < 3; i++)
		expect(SIGRTMIN + 1, SI_QUEUE, 100 + i);
	expect(SIGRTMIN + 1, 1, 0);
	expect(SIGHUP, SI_TKILL, 0);
	expect(SIGHUP, 1, 0);
	return NULL;
}

int main(int argc, char **argv)
{
	sigset_t all, now;
	pthread_t other;

	target_init(argc, argv);
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	kill(getpid(), SIGUSR1);
	sigqueue(getpid(), SIGTERM, (union sigval){ .sival_int = 15 });
	for (int i = 0; i < QUEUED; i++)
		sigqueue(getpid(), SIGRTMIN + 3 - i % 2, (union sigval){ .sival_int = i });
	syscall(SYS_tgkill, getpid(), gettid(), SIGUSR2); /* for this thread only */
	syscall(SYS_tgkill, getpid(), gettid(),
	        SIGCHLD); /* one that is ignored by default: pending only because it is blocked */
	other = target_thread(thread, NULL);
	while (!ready)
		target_sleep_ms(1);
	target_ready();
	while (target_turn()) {
		sigpending(&now);
		target_check(sigismember(&now, SIGUSR1) && sigismember(&now, SIGUSR2) && sigismember(&now, SIGTERM) &&
		                     sigismember(&now, SIGCHLD) && sigismember(&now, SIGRTMIN + 2) &&
		                     sigismember(&now, SIGRTMIN + 3),
		             "a pending signal is lost");
		target_check(!sigismember(&now, SIGHUP) && !sigismember(&now, SIGRTMIN + 1),
		             "another thread's signal is pending here");
		target_check(!sigismember(&now, SIGINT) && !sigismember(&now, SIGCONT), "a signal that nobody sent is pending");
	}
	expect(SIGUSR1, SI_USER, 0);
	expect(SIGUSR1, 1, 0);
	expect(SIGTERM, SI_QUEUE, 15);
	expect(SIGUSR2, SI_TKILL, 0);
	expect(SIGCHLD, SI_TKILL, 0);
	for (int i = 0; i < QUEUED; i++)
		expect(SIGRTMIN + 3 - i % 2, SI_QUEUE, i);
	expect(SIGRTMIN + 2, 1, 0);
	expect(SIGRTMIN + 3, 1, 0);
	finish = true;
	pthread_join(other, NULL);
	target_done();
}
