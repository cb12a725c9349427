// SPDX-License-Identifier: LGPL-2.1-or-later
/* Threads wait on futexes without a time limit, in the three ways there are (wait, wait with a bit set, requeued from a
 * condition). They see neither EINTR nor a spurious wake-up, and the wake-up at the end reaches all of them. */
#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "target.h"

#define THREADS 4

static uint32_t word = 1, other = 1;
static volatile pid_t tids[THREADS];
static volatile bool released;

static long futex(uint32_t *addr, int op, uint32_t val, void *val2, uint32_t *addr2, uint32_t val3)
{
	return syscall(SYS_futex, addr, op, val, val2, addr2, val3) < 0 ? -errno : 0;
}

static void *waiter(void *arg)
{
	int i = (intptr_t)arg;
	long r;

	tids[i] = gettid();
	if (i == 0)
		r = futex(&word, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0);
	else if (i == 1)
		r = futex(&word, FUTEX_WAIT, 1, NULL, NULL, 0);
	else if (i == 2)
		r = futex(&word, FUTEX_WAIT_BITSET_PRIVATE, 1, NULL, NULL, 0x40);
	else
		r = futex(&other, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0); /* is requeued to word */
	target_check(r == 0, "waiter %d: error %ld", i, -r);
	target_check(released, "waiter %d woke up with nobody having woken it", i);
	return NULL;
}

static void release(void)
{
	released = true;
	/* The words still hold the values waited for: only the kernel's queue brings the wake-up. */
	for (int i = 0; i < 50; i++) {
		futex(&word, FUTEX_WAKE_PRIVATE, 100, NULL, NULL, 0);
		futex(&word, FUTEX_WAKE, 100, NULL, NULL, 0);
		futex(&word, FUTEX_WAKE_BITSET_PRIVATE, 100, NULL, NULL, 0x40);
		futex(&other, FUTEX_WAKE_PRIVATE, 100, NULL, NULL, 0);
		target_sleep_ms(10);
	}
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];

	target_init(argc, argv);
	for (intptr_t i = 0; i < THREADS; i++) {
		threads[i] = target_thread(waiter, (void *)i);
		while (!tids[i])
			target_sleep_ms(1);
		target_until_asleep(tids[i]);
	}
	syscall(SYS_futex, &other, FUTEX_REQUEUE_PRIVATE, 0, 1, &word, 0);
	target_ticker_start(release);
	target_ready();
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	target_done();
}
