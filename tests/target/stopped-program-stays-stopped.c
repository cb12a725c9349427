// SPDX-License-Identifier: LGPL-2.1-or-later
/* A program in job control stop, with two threads, is still stopped after a checkpoint and after a restart, and goes on when it
 * is sent SIGCONT, which its handler sees once. */
#include <signal.h>
#include <unistd.h>

#include "target.h"

static volatile int continued, turned;
static volatile bool stop;

static void on_continue(int sig)
{
	(void)sig;
	continued++;
}

static void *thread(void *arg)
{
	(void)arg;
	while (!stop) {
		turned++;
		target_sleep_ms(1);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_continue, .sa_flags = SA_RESTART };
	pthread_t other;
	int before;

	target_init(argc, argv);
	sigaction(SIGCONT, &sa, NULL);
	other = target_thread(thread, NULL);
	target_option("stopped");
	target_ready();
	kill(getpid(), SIGSTOP);
	target_sleep_ms(5);
	target_check(continued == 1, "the handler saw SIGCONT %d times", continued);
	before = turned;
	target_sleep_ms(50);
	target_check(turned > before, "the other thread does not go on");
	target_check(!target_turn(), "nobody asked to finish");
	stop = true;
	pthread_join(other, NULL);
	target_done();
}
