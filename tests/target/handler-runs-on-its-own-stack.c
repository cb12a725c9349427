// SPDX-License-Identifier: LGPL-2.1-or-later
/* The checkpoint comes while a signal handler runs on an alternate stack, inside it a second handler, and each returns only
 * after the restart. Registers, masks and the alternate stack must be what they were at each level of return. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "target.h"

static char *stack_low;
static size_t stack_size;
static volatile int depth;

static bool on_stack(const void *p)
{
	return (const char *)p >= stack_low && (const char *)p < stack_low + stack_size;
}

static void check_altstack(int flags)
{
	stack_t ss;

	target_check(sigaltstack(NULL, &ss) == 0, "%m");
	target_check(ss.ss_sp == stack_low && ss.ss_size == stack_size && ss.ss_flags == flags,
	             "stack at %p, %zu bytes, flags %d; was %p, %zu, %d", ss.ss_sp, ss.ss_size, ss.ss_flags, stack_low,
	             stack_size, flags);
}

static void check_mask(bool usr1, bool usr2)
{
	sigset_t now;

	pthread_sigmask(SIG_BLOCK, NULL, &now);
	target_check(sigismember(&now, SIGUSR1) == usr1 && sigismember(&now, SIGUSR2) == usr2, "mask %lx at depth %d",
	             *(long *)&now, depth);
}

static void on_usr2(int sig)
{
	uint64_t seed = target_random(), local[100];

	(void)sig;
	depth = 2;
	target_fill(local, sizeof(local), seed);
	target_check(on_stack(local), "the inner handler runs on another stack");
	target_ready();
	while (target_turn()) {
		check_altstack(SS_ONSTACK);
		check_mask(true, true);
		target_check(target_filled(local, sizeof(local), seed), "local variables changed");
	}
	depth = 1;
}

static void on_usr1(int sig)
{
	uint64_t seed = target_random(), local[100];

	(void)sig;
	depth = 1;
	target_fill(local, sizeof(local), seed);
	target_check(on_stack(local), "the outer handler runs on another stack");
	raise(SIGUSR2);
	target_check(target_filled(local, sizeof(local), seed), "local variables of the outer handler changed");
	check_mask(true, false);
	check_altstack(SS_ONSTACK);
	depth = 0;
}

int main(int argc, char **argv)
{
	struct sigaction outer = { .sa_handler = on_usr1, .sa_flags = SA_ONSTACK },
	                 inner = { .sa_handler = on_usr2, .sa_flags = SA_ONSTACK };
	double a = 1.25, b;
	stack_t ss = { 0 };

	target_init(argc, argv);
	ss.ss_size = stack_size = 64 << 10;
	ss.ss_sp = stack_low = malloc(stack_size);
	target_check(sigaltstack(&ss, NULL) == 0, "%m");
	sigaction(SIGUSR1, &outer, NULL);
	sigaction(SIGUSR2, &inner, NULL);
	__asm__ volatile("" : "+x"(a)); /* live in an SSE register over the signal */
	b = a * 3;
	raise(SIGUSR1);
	target_check(depth == 0, "depth %d after both have returned", depth);
	target_check(b / 3 == a && a == 1.25, "floating point registers changed: %f %f", a, b);
	check_mask(false, false);
	check_altstack(0);
	target_check(!on_stack(&ss), "still on the alternate stack");
	target_done();
}
