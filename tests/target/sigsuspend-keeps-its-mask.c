// SPDX-License-Identifier: LGPL-2.1-or-later
/* A thread waits in sigsuspend() under another mask than its own. A signal that both masks let in, then one that only the
 * temporary mask lets in, must end it as ever, and its own mask must be back afterwards. */
#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "target.h"

static volatile pid_t tid;
static volatile int caught;
static volatile bool released;

static void on_signal(int sig)
{
	caught = sig;
}

static void *waiter(void *arg)
{
	sigset_t own, temporary, now;
	int r;

	(void)arg;
	sigfillset(&own);
	sigdelset(&own, SIGHUP);
	pthread_sigmask(SIG_SETMASK, &own, NULL);
	sigfillset(&temporary);
	sigdelset(&temporary, SIGUSR1);
	tid = gettid();
	r = sigsuspend(&temporary);
	target_check(r == -1 && errno == EINTR && released, "returned %d, errno %d, released %d", r, errno, released);
	target_check(caught == SIGUSR1, "caught %d", caught);
	pthread_sigmask(SIG_BLOCK, NULL, &now);
	target_check(!sigismember(&now, SIGHUP) && sigismember(&now, SIGUSR1) && sigismember(&now, SIGTERM),
	             "its own mask is not back");
	return NULL;
}

static void release(void)
{
	/* Pending under the temporary mask, would be let in by the thread's own. */
	syscall(SYS_tgkill, getpid(), tid, SIGTERM);
	target_sleep_ms(30);
	target_check(!caught, "signal %d came through the temporary mask", caught);
	released = true;
	syscall(SYS_tgkill, getpid(), tid, SIGUSR1);
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_signal };
	pthread_t thread;

	target_init(argc, argv);
	sigaction(SIGUSR1, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	thread = target_thread(waiter, NULL);
	while (!tid)
		target_sleep_ms(1);
	target_until_asleep(tid);
	target_ticker_start(release);
	target_ready();
	pthread_join(thread, NULL);
	target_done();
}
