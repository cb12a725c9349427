// SPDX-License-Identifier: LGPL-2.1-or-later
/* A thread waits in ppoll() with a temporary signal mask. It must go on waiting under the temporary mask, be interrupted by the
 * signal that only this mask lets in, and have its own mask back afterwards. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "target.h"

static volatile pid_t tid[2];
static volatile int caught;
static volatile bool released;

static void on_signal(int sig)
{
	sigset_t now;

	(void)sig;
	pthread_sigmask(SIG_BLOCK, NULL, &now);
	target_check(sigismember(&now, SIGUSR2), "the temporary mask is not in force in the handler");
	__atomic_add_fetch(&caught, 1, __ATOMIC_SEQ_CST);
}

static void *waiter(void *arg)
{
	int which = (intptr_t)arg, r;
	sigset_t own, temporary, now;
	struct pollfd pfd = { -1, POLLIN, 0 };

	sigemptyset(&own);
	sigaddset(&own, SIGUSR1);
	pthread_sigmask(SIG_SETMASK, &own, NULL);
	sigemptyset(&temporary);
	sigaddset(&temporary, SIGUSR2);
	tid[which] = gettid();
	r = which ? pselect(0, NULL, NULL, NULL, NULL, &temporary) : ppoll(&pfd, 1, NULL, &temporary);
	target_check(released, "returned %d, errno %d, with nothing having happened", r, errno);
	target_check(r == -1 && errno == EINTR, "returned %d, errno %d", r, errno);
	pthread_sigmask(SIG_BLOCK, NULL, &now);
	target_check(sigismember(&now, SIGUSR1) && !sigismember(&now, SIGUSR2), "the thread's own mask was not put back");
	return NULL;
}

static void release(void)
{
	released = true;
	for (int i = 0; i < 2; i++) {
		syscall(SYS_tgkill, getpid(), tid[i], SIGUSR2); /* stays out */
		target_sleep_ms(20);
		target_check(caught == i, "a blocked signal was delivered");
		syscall(SYS_tgkill, getpid(), tid[i], SIGUSR1);
		for (int k = 0; k < 1000 && caught == i; k++)
			target_sleep_ms(2);
	}
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_signal }, ignore_later = { .sa_handler = SIG_IGN };
	pthread_t threads[2];

	target_init(argc, argv);
	sigaction(SIGUSR1, &sa, NULL);
	sigaction(SIGUSR2, &ignore_later, NULL);
	for (intptr_t i = 0; i < 2; i++) {
		threads[i] = target_thread(waiter, (void *)i);
		while (!tid[i])
			target_sleep_ms(1);
		target_until_asleep(tid[i]);
	}
	target_ticker_start(release);
	target_ready();
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	target_check(caught == 2, "%d signals caught", caught);
	target_done();
}
