// SPDX-License-Identifier: LGPL-2.1-or-later
/* The three interval timers (real, virtual, prof) keep value and interval; the real one goes on firing, the two that count
 * processor time only ever go down. */
#include <signal.h>
#include <sys/time.h>

#include "target.h"

static volatile int fired;

static void on_alarm(int sig)
{
	(void)sig;
	fired++;
}

static int64_t left(int which, int64_t interval_us)
{
	struct itimerval it;

	target_check(getitimer(which, &it) == 0, "%m");
	target_check(it.it_interval.tv_sec * 1000000 + it.it_interval.tv_usec == interval_us, "timer %d: interval %ld.%06ld",
	             which, it.it_interval.tv_sec, it.it_interval.tv_usec);
	return it.it_value.tv_sec * 1000000 + it.it_value.tv_usec;
}

int main(int argc, char **argv)
{
	struct itimerval real = { { 0, 20000 }, { 0, 20000 } }, virtual = { { 7, 1 }, { 5000, 0 } },
	                 prof = { { 0, 0 }, { 6000, 0 } };
	struct sigaction sa = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
	int64_t before[3] = { 0, 5000000000, 6000000000 };
	int last = 0;

	target_init(argc, argv);
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &real, NULL);
	setitimer(ITIMER_VIRTUAL, &virtual, NULL);
	setitimer(ITIMER_PROF, &prof, NULL);
	target_ready();
	for (int turn = 1; target_turn(); turn++) {
		int64_t r = left(ITIMER_REAL, 20000), v = left(ITIMER_VIRTUAL, 7000001), p = left(ITIMER_PROF, 0);

		/* None is left between its expiry and the delivery of its signal, which is what starts it again. */
		target_check(r >= 0 && r <= 20000, "real: %ld us left of 20000", r);
		/* One tick of allowance: these two are rounded. */
		target_check(v > 4900000000 && v <= before[1] + 20000, "virtual: %ld us left, before %ld", v, before[1]);
		target_check(p > 5900000000 && p <= before[2] + 20000, "prof: %ld us left, before %ld", p, before[2]);
		before[1] = v;
		before[2] = p;
		if (turn % 100 == 0) {
			target_check(fired > last, "the real timer does not fire any more");
			last = fired;
		}
	}
	for (last = fired; fired <= last;)
		target_sleep_ms(1);
	target_check(fired > 0, "the real timer fired %d times", fired);
	target_done();
}
