// SPDX-License-Identifier: LGPL-2.1-or-later
/* Threads are created and end all the time, several at once, while the checkpoint tries to stop them all. None may be lost,
 * stay stopped, or be joined twice. */
#include <unistd.h>

#include "target.h"

#define MAKERS 3

static volatile bool stop;
static volatile unsigned long begun, ended;

static void *leaf(void *arg)
{
	uint64_t *sum = arg;

	for (int i = 0; i < 1000; i++)
		*sum += i;
	__atomic_add_fetch(&ended, 1, __ATOMIC_SEQ_CST);
	return (void *)(uintptr_t)gettid();
}

static void *maker(void *arg)
{
	(void)arg;
	while (!stop) {
		uint64_t sums[4] = { 0 };
		pthread_t threads[4];
		void *tid;

		for (int i = 0; i < 4; i++) {
			threads[i] = target_thread(leaf, &sums[i]);
			__atomic_add_fetch(&begun, 1, __ATOMIC_SEQ_CST);
		}
		for (int i = 0; i < 4; i++) {
			target_check(pthread_join(threads[i], &tid) == 0 && tid, "join");
			target_check(sums[i] == 499500, "the thread's work is missing: %lu", sums[i]);
		}
	}
	return NULL;
}

int main(int argc, char **argv)
{
	unsigned long before = 0;
	pthread_t makers[MAKERS];

	target_init(argc, argv);
	for (int i = 0; i < MAKERS; i++)
		makers[i] = target_thread(maker, NULL);
	target_ready();
	for (int i = 0; target_turn(); i++)
		if (i % 100 == 99) {
			target_check(ended > before, "no thread was made in 100 turns");
			before = ended;
		}
	stop = true;
	for (int i = 0; i < MAKERS; i++)
		pthread_join(makers[i], NULL);
	target_check(begun == ended, "%lu threads begun, %lu ended", begun, ended);
	target_done();
}
