// SPDX-License-Identifier: LGPL-2.1-or-later
/* An alarm() set before the checkpoint rings when its time has gone by for the program: the time away does not count. */
#include <signal.h>
#include <unistd.h>

#include "target.h"

#define ALARM_S 3

static volatile int64_t rung;

static void on_alarm(int sig)
{
	(void)sig;
	rung = target_now(CLOCK_MONOTONIC);
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
	int64_t begun;

	target_init(argc, argv);
	sigaction(SIGALRM, &sa, NULL);
	begun = target_now(CLOCK_MONOTONIC);
	alarm(ALARM_S);
	target_option("off=2500");
	target_ready();
	while (target_turn())
		target_check(!rung || rung - begun > ALARM_S * 990 * TARGET_MS, "the alarm rang after %ld ms",
		             (rung - begun) / TARGET_MS);
	while (!rung)
		target_sleep_ms(10);
	target_check(rung - begun > ALARM_S * 990 * TARGET_MS, "the alarm rang after %ld ms", (rung - begun) / TARGET_MS);
	target_check(rung - begun < (ALARM_S * 1000 + 2200) * TARGET_MS, "the alarm rang after %ld ms",
	             (rung - begun) / TARGET_MS);
	target_check(alarm(0) == 0, "an alarm is left");
	target_done();
}
