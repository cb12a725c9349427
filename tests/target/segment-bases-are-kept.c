// SPDX-License-Identifier: LGPL-2.1-or-later
/* Each thread keeps its own gs base, set by the program, and its fs base, set by the C library; memory is reached through both.
 */
#include <asm/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "target.h"

#define THREADS 3

static uint64_t blocks[THREADS][4];
static volatile int begun;
static volatile bool stop;

static uint64_t through_gs(void)
{
	uint64_t v;

	__asm__ volatile("mov %%gs:8, %0" : "=r"(v));
	return v;
}

static void *thread(void *arg)
{
	int i = (intptr_t)arg;
	unsigned long fs, gs, now;

	blocks[i][1] = 0x1234500 + i;
	target_check(syscall(SYS_arch_prctl, ARCH_SET_GS, blocks[i]) == 0, "%m");
	syscall(SYS_arch_prctl, ARCH_GET_FS, &fs);
	syscall(SYS_arch_prctl, ARCH_GET_GS, &gs);
	target_check(gs == (unsigned long)blocks[i], "set-up");
	__atomic_add_fetch(&begun, 1, __ATOMIC_SEQ_CST);
	while (!stop) {
		target_check(through_gs() == 0x1234500ul + i, "thread %d reads %lx", i, through_gs());
		syscall(SYS_arch_prctl, ARCH_GET_GS, &now);
		target_check(now == gs, "gs base was %lx, is %lx", gs, now);
		syscall(SYS_arch_prctl, ARCH_GET_FS, &now);
		target_check(now == fs && now == (unsigned long)pthread_self(), "fs base was %lx, is %lx", fs, now);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];

	target_init(argc, argv);
	for (intptr_t i = 0; i < THREADS; i++)
		threads[i] = target_thread(thread, (void *)i);
	while (begun < THREADS)
		target_sleep_ms(1);
	target_ready();
	while (target_turn())
		;
	stop = true;
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	target_done();
}
