// SPDX-License-Identifier: LGPL-2.1-or-later
/* Many threads keep their tids, their thread-local storage, their pthread_t and their stacks. At the end each of them exits and
 * is joined, which shows that the kernel still clears the tid word (set_tid_address) and wakes the joiner. */
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "target.h"

#define THREADS 24

static __thread uint64_t local = 0x10ca1;
static __thread char big[3000];
static volatile int going;
static volatile bool stop;

static void *thread(void *arg)
{
	uint64_t seed = target_random(), on_stack[64];
	pthread_t me = pthread_self();
	pid_t tid = syscall(SYS_gettid);
	void *clear, *clear_now;

	(void)arg;
	local = seed;
	target_fill(big, sizeof(big), seed);
	target_fill(on_stack, sizeof(on_stack), seed);
	prctl(PR_GET_TID_ADDRESS, &clear);
	__atomic_add_fetch(&going, 1, __ATOMIC_SEQ_CST);
	while (!stop) {
		target_check(local == seed, "thread-local word changed");
		target_check(target_filled(big, sizeof(big), seed), "thread-local array changed");
		target_check(target_filled(on_stack, sizeof(on_stack), seed), "stack changed");
		target_check(syscall(SYS_gettid) == tid && gettid() == tid, "tid was %d, is %ld", tid, syscall(SYS_gettid));
		target_check(pthread_equal(pthread_self(), me), "pthread_self changed");
		target_check(prctl(PR_GET_TID_ADDRESS, &clear_now) == 0 && clear_now == clear, "tid address was %p, is %p",
		             clear, clear_now);
		target_sleep_ms(1);
	}
	return (void *)(uintptr_t)tid;
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];
	void *ret;

	target_init(argc, argv);
	local = 7;
	for (int i = 0; i < THREADS; i++)
		threads[i] = target_thread(thread, NULL);
	while (going < THREADS)
		target_sleep_ms(1);
	target_ready();
	while (target_turn())
		target_check(local == 7 && gettid() == getpid(), "first thread: local %lu tid %d", local, gettid());
	stop = true;
	for (int i = 0; i < THREADS; i++) {
		target_check(pthread_join(threads[i], &ret) == 0, "thread %d", i);
		target_check(ret, "no tid from thread %d", i);
	}
	target_done();
}
