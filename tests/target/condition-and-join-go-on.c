// SPDX-License-Identifier: LGPL-2.1-or-later
/* Threads wait in the pthread ways: condition variable with and without time limit, semaphore, barrier, read lock, join. All of
 * them must go on waiting, and all be let go at the end. */
#include <errno.h>
#include <semaphore.h>
#include <unistd.h>

#include "target.h"

#define WAITERS 6

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER, never;
static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_barrier_t barrier;
static pthread_t threads[WAITERS];
static volatile pid_t tids[WAITERS];
static volatile bool released;
static bool predicate;
static sem_t sem;

static void wait_in_turns_for_time(void)
{
	int64_t limit = target_now(CLOCK_MONOTONIC) + 100 * TARGET_MS;
	struct timespec ts = { limit / 1000000000, limit % 1000000000 };

	pthread_mutex_lock(&mutex);
	target_check(pthread_cond_timedwait(&never, &mutex, &ts) == ETIMEDOUT, "timed wait");
	pthread_mutex_unlock(&mutex);
	target_check(target_now(CLOCK_MONOTONIC) >= limit, "timed wait was too short");
}

static void *waiter(void *arg)
{
	int i = (intptr_t)arg;

	tids[i] = gettid();
	switch (i) {
	case 0:
		pthread_mutex_lock(&mutex);
		while (!predicate)
			pthread_cond_wait(&cond, &mutex);
		pthread_mutex_unlock(&mutex);
		break;
	case 1:
		target_check(sem_wait(&sem) == 0, "%m");
		break;
	case 2:
		pthread_barrier_wait(&barrier);
		break;
	case 3:
		pthread_rwlock_rdlock(&lock);
		break;
	case 4:
		target_check(pthread_join(threads[0], NULL) == 0, "join");
		break;
	case 5:
		while (!released)
			wait_in_turns_for_time();
	}
	target_check(released, "waiter %d was let go by nobody", i);
	return NULL;
}

static void release(void)
{
	released = true;
	pthread_mutex_lock(&mutex);
	predicate = true;
	pthread_cond_signal(&cond);
	pthread_mutex_unlock(&mutex);
	sem_post(&sem);
	pthread_barrier_wait(&barrier);
}

int main(int argc, char **argv)
{
	pthread_condattr_t attr;

	target_init(argc, argv);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&never, &attr);
	pthread_barrier_init(&barrier, NULL, 2);
	pthread_rwlock_wrlock(&lock);
	for (intptr_t i = 0; i < WAITERS; i++) {
		threads[i] = target_thread(waiter, (void *)i);
		while (!tids[i])
			target_sleep_ms(1);
		target_until_asleep(tids[i]);
	}
	target_ticker_start(release);
	target_ready();
	pthread_join(threads[5], NULL);
	pthread_rwlock_unlock(&lock); /* by its owner, the first thread */
	for (int i = 1; i < WAITERS - 1; i++)
		pthread_join(threads[i], NULL);
	target_done();
}
