// SPDX-License-Identifier: LGPL-2.1-or-later
/* A thread holds robust mutexes over the checkpoint and ends without unlocking them: the kernel must walk the thread's robust
 * list and the next owner must be told EOWNERDEAD. The list's address is compared as well. */
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "target.h"

#define MUTEXES 3

static pthread_mutex_t mutexes[MUTEXES];
static volatile bool held, stop;

static void get_list(void **ret)
{
	size_t size;

	target_check(syscall(SYS_get_robust_list, 0, ret, &size) == 0 && size == 24, "%m");
}

static void *owner(void *arg)
{
	void *list, *now;

	(void)arg;
	get_list(&list);
	for (int i = 0; i < MUTEXES; i++)
		target_check(pthread_mutex_lock(&mutexes[i]) == 0, "lock");
	held = true;
	while (!stop) {
		get_list(&now);
		target_check(now == list && list, "robust list was %p, is %p", list, now);
		target_sleep_ms(2);
	}
	syscall(SYS_exit, 0); /* not pthread_exit: only the kernel sees it end */
	return NULL;
}

static void *waiter(void *arg)
{
	(void)arg;
	target_check(pthread_mutex_lock(&mutexes[0]) == EOWNERDEAD, "the waiting thread is not told of the owner's death");
	pthread_mutex_consistent(&mutexes[0]);
	pthread_mutex_unlock(&mutexes[0]);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_mutexattr_t attr;
	pthread_t thread;

	target_init(argc, argv);
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	for (int i = 0; i < MUTEXES; i++)
		pthread_mutex_init(&mutexes[i], &attr);
	target_thread(owner, NULL);
	while (!held)
		target_sleep_ms(1);
	thread = target_thread(waiter, NULL);
	target_ready();
	while (target_turn())
		target_check(pthread_mutex_trylock(&mutexes[1]) == EBUSY, "the held mutex is free");
	stop = true;
	pthread_join(thread, NULL);
	for (int i = 0; i < MUTEXES; i++) {
		int r = pthread_mutex_lock(&mutexes[i]);

		target_check(r == (i ? EOWNERDEAD : 0), "mutex %d: %d", i, r);
	}
	target_done();
}
