// SPDX-License-Identifier: LGPL-2.1-or-later
/* A thread under SCHED_FIFO and one under SCHED_RR keep policy and priority, the others stay as they were. Needs the privilege
 * to set such policies. */
#include <errno.h>
#include <sched.h>

#include "target.h"

static volatile int going;
static volatile bool stop;

static void *thread(void *arg)
{
	int policy = (intptr_t)arg;
	struct sched_param param = { .sched_priority = 10 + policy }, now;

	if (sched_setscheduler(0, policy, &param))
		target_skip("real-time policies cannot be set here (CAP_SYS_NICE): errno %d", errno);
	__atomic_add_fetch(&going, 1, __ATOMIC_SEQ_CST);
	while (!stop) {
		target_check(sched_getscheduler(0) == policy, "policy is %d", sched_getscheduler(0));
		target_check(sched_getparam(0, &now) == 0 && now.sched_priority == param.sched_priority, "priority is %d",
		             now.sched_priority);
		target_sleep_ms(2);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t a, b;

	target_init(argc, argv);
	a = target_thread(thread, (void *)SCHED_FIFO);
	b = target_thread(thread, (void *)SCHED_RR);
	while (going < 2)
		target_sleep_ms(1);
	target_ready();
	while (target_turn())
		target_check(sched_getscheduler(0) == SCHED_OTHER, "first thread: policy %d", sched_getscheduler(0));
	stop = true;
	pthread_join(a, NULL);
	pthread_join(b, NULL);
	target_done();
}
