// SPDX-License-Identifier: LGPL-2.1-or-later
/* Who works beside a target keeps off the processors that it is busy on, as long as there are others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "busy.h"

static cpu_set_t usable;

static int usable_cpu(int n)
{
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &usable) && n-- == 0)
			return i;
	return -1;
}

static void *spin(void *arg)
{
	for (volatile unsigned i = 0;; i++)
		;
	return arg;
}

/* A process that runs on one processor and has, once this has returned, so many threads that spin; with none it sleeps. */
static pid_t start(int cpu, unsigned spinning)
{
	int fds[2];
	char byte;

	assert_int_equal(pipe(fds), 0);
	pid_t pid = fork();
	if (pid == 0) {
		cpu_set_t set;
		CPU_ZERO(&set);
		CPU_SET(cpu, &set);
		if (sched_setaffinity(0, sizeof(set), &set) || write(fds[1], "", 1) != 1)
			_exit(1);
		for (pthread_t t; spinning > 0; spinning--)
			pthread_create(&t, NULL, spin, NULL);
		pause();
		_exit(0);
	}
	close(fds[1]);
	assert_int_equal(read(fds[0], &byte, 1), 1);
	close(fds[0]);
	usleep(50000); /* they spin by then, or it sleeps */
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void leave(pid_t pid, cpu_set_t *ret)
{
	cpu_set_t before, gone, both;

	assert_int_equal(sched_getaffinity(0, sizeof(before), &before), 0);
	busy_leave(pid, &gone);
	assert_int_equal(sched_getaffinity(0, sizeof(*ret), ret), 0);
	CPU_AND(&both, ret, &gone);
	assert_int_equal(CPU_COUNT(&both), 0);
	CPU_OR(&both, ret, &gone);
	assert_true(CPU_EQUAL(&both, &before));
	assert_int_equal(sched_setaffinity(0, sizeof(usable), &usable), 0);
}

static void processors_of_a_busy_target_are_left_to_it(void **state)
{
	cpu_set_t left, want = usable;

	(void)state;
	if (CPU_COUNT(&usable) < 2)
		skip();
	const int cpu = usable_cpu(1);
	CPU_CLR(cpu, &want);
	for (unsigned threads = 1; threads <= 3; threads++) {
		pid_t pid = start(cpu, threads);
		leave(pid, &left);
		end(pid);
		assert_true(CPU_EQUAL(&left, &want));
	}
}

static void a_target_that_sleeps_takes_no_processor(void **state)
{
	cpu_set_t left;

	(void)state;
	pid_t pid = start(usable_cpu(0), 0);
	leave(pid, &left);
	end(pid);
	assert_true(CPU_EQUAL(&left, &usable));
}

static void the_only_processor_is_shared(void **state)
{
	const int cpu = usable_cpu(0);
	cpu_set_t left, one;

	(void)state;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	pid_t pid = start(cpu, 1);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	leave(pid, &left);
	end(pid);
	assert_true(CPU_EQUAL(&left, &one));
}

static void a_target_that_is_gone_changes_nothing(void **state)
{
	cpu_set_t left;

	(void)state;
	pid_t pid = start(usable_cpu(0), 1);
	end(pid);
	leave(pid, &left);
	assert_true(CPU_EQUAL(&left, &usable));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(processors_of_a_busy_target_are_left_to_it),
		cmocka_unit_test(a_target_that_sleeps_takes_no_processor),
		cmocka_unit_test(the_only_processor_is_shared),
		cmocka_unit_test(a_target_that_is_gone_changes_nothing),
	};
	return sched_getaffinity(0, sizeof(usable), &usable) || cmocka_run_group_tests_name("core-busy", tests, NULL, NULL);
}
