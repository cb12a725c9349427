// SPDX-License-Identifier: LGPL-2.1-or-later
/* Recursive, error-checking and priority-inheriting mutexes are held over the checkpoint, the last with a thread waiting in the
 * kernel. They know their owner by tid, so they show whether each thread still has its own. */
#include <errno.h>
#include <unistd.h>

#include "target.h"

static pthread_mutex_t recursive, checking, inheriting;
static volatile pid_t waiter_tid;
static volatile bool finishing, got;

static void init(pthread_mutex_t *m, int type, int protocol)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, type);
	pthread_mutexattr_setprotocol(&attr, protocol);
	target_check(pthread_mutex_init(m, &attr) == 0, "init");
}

static void *waiter(void *arg)
{
	(void)arg;
	waiter_tid = gettid();
	target_check(pthread_mutex_lock(&inheriting) == 0, "lock");
	target_check(finishing, "two owners of one mutex");
	got = true;
	pthread_mutex_unlock(&inheriting);
	return NULL;
}

static void *stranger(void *arg)
{
	(void)arg;
	target_check(pthread_mutex_trylock(&recursive) == EBUSY, "recursive mutex is free");
	target_check(pthread_mutex_unlock(&recursive) == EPERM, "recursive mutex unlocked by a stranger");
	target_check(pthread_mutex_unlock(&checking) == EPERM, "error-checking mutex unlocked by a stranger");
	target_check(pthread_mutex_trylock(&inheriting) == EBUSY, "inheriting mutex is free");
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	target_init(argc, argv);
	init(&recursive, PTHREAD_MUTEX_RECURSIVE, PTHREAD_PRIO_NONE);
	init(&checking, PTHREAD_MUTEX_ERRORCHECK, PTHREAD_PRIO_NONE);
	init(&inheriting, PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_INHERIT);
	pthread_mutex_lock(&recursive);
	pthread_mutex_lock(&recursive);
	pthread_mutex_lock(&checking);
	target_check(pthread_mutex_lock(&inheriting) == 0, "lock");
	thread = target_thread(waiter, NULL);
	while (!waiter_tid)
		target_sleep_ms(1);
	target_until_asleep(waiter_tid);
	target_ready();
	while (target_turn())
		target_check(!got, "the waiter has the mutex");
	pthread_join(target_thread(stranger, NULL), NULL);
	target_check(pthread_mutex_lock(&recursive) == 0, "the owner cannot lock once more");
	target_check(pthread_mutex_lock(&checking) == EDEADLK, "the owner is not known any more");
	for (int i = 0; i < 3; i++)
		target_check(pthread_mutex_unlock(&recursive) == 0, "unlock %d", i);
	target_check(pthread_mutex_unlock(&recursive) == EPERM, "one unlock too many");
	target_check(pthread_mutex_unlock(&checking) == 0, "unlock");
	finishing = true;
	target_check(pthread_mutex_unlock(&inheriting) == 0, "unlock");
	pthread_join(thread, NULL);
	target_check(got, "the waiter never got the mutex");
	target_done();
}
