// SPDX-License-Identifier: LGPL-2.1-or-later
/* Threads wait in epoll_wait(), epoll_pwait() and epoll_pwait2() without a time limit. The kernel does not restart these calls
 * by itself, so it takes care to keep EINTR away from the caller, at restart and also when the target merely goes on after a
 * checkpoint. */
#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "target.h"

#define THREADS 4

static int epfd, evfd;
static volatile pid_t tids[THREADS];
static volatile bool released;

static void *waiter(void *arg)
{
	struct epoll_event ev = { 0 };
	int i = (intptr_t)arg, r;
	sigset_t mask, now;

	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR2);
	tids[i] = gettid();
	do {
		if (i == 0)
			r = epoll_wait(epfd, &ev, 1, -1);
		else if (i == 1)
			r = epoll_pwait(epfd, &ev, 1, -1, &mask);
		else if (i == 2)
			r = epoll_pwait2(epfd, &ev, 1, NULL, &mask);
		else /* with a limit: may begin anew, must not end early with nothing */
			r = epoll_wait(epfd, &ev, 1, 400);
	} while (i == 3 && r == 0);
	target_check(r == 1, "waiter %d: returned %d, errno %d (EINTR is %d)", i, r, errno, EINTR);
	target_check(released, "waiter %d: an event with nothing having happened", i);
	target_check(ev.data.u64 == 0x1122334455667788 && ev.events == EPOLLIN, "waiter %d: data %lx events %x", i, ev.data.u64,
	             ev.events);
	pthread_sigmask(SIG_BLOCK, NULL, &now);
	target_check(!sigismember(&now, SIGUSR2), "waiter %d: mask was not put back", i);
	return NULL;
}

static void release(void)
{
	released = true;
	target_check(eventfd_write(evfd, 1) == 0, "%m");
}

int main(int argc, char **argv)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = 0x1122334455667788 };
	pthread_t threads[THREADS];

	target_init(argc, argv);
	epfd = epoll_create1(0);
	evfd = eventfd(0, 0);
	target_check(epoll_ctl(epfd, EPOLL_CTL_ADD, evfd, &ev) == 0, "%m");
	for (intptr_t i = 0; i < THREADS; i++) {
		threads[i] = target_thread(waiter, (void *)i);
		while (!tids[i])
			target_sleep_ms(1);
		target_until_asleep(tids[i]);
	}
	target_ticker_start(release);
	target_ready();
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	target_done();
}
