// SPDX-License-Identifier: LGPL-2.1-or-later
/* A fast timer's signal is blocked, so that one is pending and the overruns add up. They must not be lost: after the restart the one signal
 * arrives with the overruns from before, once, and then the timer goes on. */
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "target.h"

int main(int argc, char **argv)
{
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_int = 5 };
	struct itimerspec its = { { 0, TARGET_MS }, { 0, TARGET_MS } };
	struct timespec second = { 1, 0 };
	siginfo_t info = { 0 };
	int64_t begun, took;
	sigset_t set;
	int id;

	target_init(argc, argv);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	target_check(syscall(SYS_timer_create, CLOCK_MONOTONIC, &ev, &id) == 0, "%m");
	target_check(syscall(SYS_timer_settime, id, 0, &its, NULL) == 0, "%m");
	begun = target_now(CLOCK_MONOTONIC);
	target_sleep_ms(200);
	target_ready();
	while (target_turn())
		;
	target_check(sigtimedwait(&set, &info, &second) == SIGRTMIN, "no signal is pending: %m");
	took = (target_now(CLOCK_MONOTONIC) - begun) / TARGET_MS;
	target_check(info.si_code == SI_TIMER && info.si_value.sival_int == 5 && info.si_timerid == id, "code %d value %d id %d, created as %d",
		     info.si_code, info.si_value.sival_int, info.si_timerid, id);
	/* What fell due while it was frozen may count or not; what fell due before must. */
	target_check(info.si_overrun >= took / 4 && info.si_overrun <= took + 100, "%d overruns in %ld ms", info.si_overrun, took);
	target_check(sigtimedwait(&set, &info, &second) == SIGRTMIN && info.si_overrun < 500, "the timer does not go on, or counts twice: %d",
		     info.si_overrun);
	target_done();
}
