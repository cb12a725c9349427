// SPDX-License-Identifier: LGPL-2.1-or-later
/* A thread waits, uninterruptibly, for its vfork child, as posix_spawn() of a slow program does. No way leads to stop such a
 * thread: the checkpoint must be refused before anything is stopped, or given up in time, with everything running on. */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "target.h"

static volatile pid_t child;
static volatile bool over;

static void *spawner(void *arg)
{
	pid_t pid = vfork();

	(void)arg;
	if (pid == 0) {
		child = getpid();
		for (;;)
			pause(); /* ended from outside by the first thread */
	}
	waitpid(pid, NULL, 0);
	over = true;
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	target_init(argc, argv);
	target_option("refused=child");
	thread = target_thread(spawner, NULL);
	while (!child)
		target_sleep_ms(1);
	target_ready();
	while (target_turn())
		target_check(!over, "the vfork ended");
	kill(child, SIGKILL);
	pthread_join(thread, NULL);
	target_done();
}
