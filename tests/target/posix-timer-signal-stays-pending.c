// SPDX-License-Identifier: LGPL-2.1-or-later
/* A fast timer's signal is blocked, so that one is pending and the kernel counts overruns, which cannot be read from outside
 * before they are delivered. After the restart the signal is still pending, with its timer and value; no expiration is told
 * twice, and the timer goes on. */
#include <signal.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "target.h"

static int id;
static sigset_t set;

/* Takes the next signal of the timer, up to a second from now; the expirations that it tells. */
static int take(void)
{
	struct timespec second = { 1, 0 };
	siginfo_t info = { 0 };

	target_check(sigtimedwait(&set, &info, &second) == SIGRTMIN, "no signal comes: %m");
	target_check(info.si_code == SI_TIMER && info.si_value.sival_int == 5 && info.si_timerid == id,
	             "code %d value %d id %d, created as %d", info.si_code, info.si_value.sival_int, info.si_timerid, id);
	return 1 + info.si_overrun;
}

int main(int argc, char **argv)
{
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN, .sigev_value.sival_int = 5 };
	struct itimerspec its = { { 0, TARGET_MS }, { 0, TARGET_MS } };
	struct timespec none = { 0, 0 };
	int64_t begun, took, told = 0;
	siginfo_t info;

	target_init(argc, argv);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	target_check(syscall(SYS_timer_create, CLOCK_MONOTONIC, &ev, &id) == 0, "%m");
	target_check(syscall(SYS_timer_settime, id, 0, &its, NULL) == 0, "%m");
	begun = target_now(CLOCK_MONOTONIC);
	target_sleep_ms(50);
	target_ready();
	while (target_turn())
		;
	for (int i = 0; i < 20; i++)
		told += take();
	its = (struct itimerspec){ 0 };
	target_check(syscall(SYS_timer_settime, id, 0, &its, NULL) == 0, "%m");
	took = (target_now(CLOCK_MONOTONIC) - begun) / TARGET_MS;
	target_check(told >= 20 && told <= took + 50, "%ld expirations told in %ld ms", told, took);
	while (sigtimedwait(&set, &info, &none) > 0)
		;
	target_sleep_ms(20);
	target_check(sigtimedwait(&set, &info, &none) == -1, "the timer was disarmed and goes on");
	target_done();
}
