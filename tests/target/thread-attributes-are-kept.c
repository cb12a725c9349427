// SPDX-License-Identifier: LGPL-2.1-or-later
/* Each thread keeps its own name, processor affinity, nice value, scheduling policy, I/O priority, timer slack and signal mask.
 * The threads differ in all of them, so that one thread's values given to another are found out. */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "target.h"

#define THREADS 4
#define IOPRIO(class, data) ((class) << 13 | (data))

struct attributes {
	char name[16];
	cpu_set_t cpus;
	int nice, policy, ioprio, slack;
	sigset_t mask;
};

static volatile int going;
static volatile bool stop;

static void get(struct attributes *a)
{
	memset(a, 0, sizeof(*a));
	prctl(PR_GET_NAME, a->name);
	sched_getaffinity(0, sizeof(a->cpus), &a->cpus);
	a->nice = getpriority(PRIO_PROCESS, 0);
	a->policy = sched_getscheduler(0);
	a->ioprio = syscall(SYS_ioprio_get, 1, 0);
	a->slack = prctl(PR_GET_TIMERSLACK);
	pthread_sigmask(SIG_BLOCK, NULL, &a->mask);
}

static void compare(const struct attributes *a, const struct attributes *b)
{
	target_check(strcmp(a->name, b->name) == 0, "%s, was %s", b->name, a->name);
	target_check(CPU_EQUAL(&a->cpus, &b->cpus), "affinity of %s: %d processors, were %d", a->name, CPU_COUNT(&b->cpus),
	             CPU_COUNT(&a->cpus));
	target_check(a->nice == b->nice, "%s: %d, was %d", a->name, b->nice, a->nice);
	target_check(a->policy == b->policy, "%s: %d, was %d", a->name, b->policy, a->policy);
	target_check(a->ioprio == b->ioprio, "%s: %x, was %x", a->name, b->ioprio, a->ioprio);
	target_check(a->slack == b->slack, "%s: %d, was %d", a->name, b->slack, a->slack);
	target_check(memcmp(&a->mask, &b->mask, 8) == 0, "mask of %s: %lx, was %lx", a->name, *(long *)&b->mask,
	             *(long *)&a->mask);
}

static void *thread(void *arg)
{
	static const int policies[] = { SCHED_OTHER, SCHED_BATCH, SCHED_IDLE, SCHED_OTHER | SCHED_RESET_ON_FORK };
	static const struct sched_param param;
	int i = (intptr_t)arg, cpu = -1;
	struct attributes mine, now;
	char name[16];
	cpu_set_t cpus;
	sigset_t mask;

	snprintf(name, sizeof(name), "odd name) %d\t", i);
	prctl(PR_SET_NAME, name);
	sched_getaffinity(0, sizeof(cpus), &cpus);
	for (int k = 0; k <= i % 2 && cpu < CPU_SETSIZE - 1; k++)
		while (++cpu < CPU_SETSIZE - 1 && !CPU_ISSET(cpu, &cpus))
			;
	if (i && CPU_ISSET(cpu, &cpus)) {
		CPU_ZERO(&cpus);
		CPU_SET(cpu, &cpus);
	}
	target_check(sched_setaffinity(0, sizeof(cpus), &cpus) == 0, "%m");
	/* Up from where it is: whoever runs the tests may have them give way to others. */
	target_check(setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + 3 * i) == 0, "%m");
	target_check(sched_setscheduler(0, policies[i], &param) == 0, "policy %d: %m", policies[i]);
	target_check(syscall(SYS_ioprio_set, 1, 0, i == 3 ? IOPRIO(3, 0) : IOPRIO(2, i + 1)) == 0, "%m");
	target_check(prctl(PR_SET_TIMERSLACK, 1000 * (i + 1)) == 0, "%m");
	sigemptyset(&mask);
	sigaddset(&mask, SIGRTMIN + i);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	get(&mine);
	__atomic_add_fetch(&going, 1, __ATOMIC_SEQ_CST);
	while (!stop) {
		get(&now);
		compare(&mine, &now);
		target_sleep_ms(1);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];

	target_init(argc, argv);
	for (intptr_t i = 0; i < THREADS; i++)
		threads[i] = target_thread(thread, (void *)i);
	while (going < THREADS)
		target_sleep_ms(1);
	target_ready();
	while (target_turn())
		;
	stop = true;
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	target_done();
}
