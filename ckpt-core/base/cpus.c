// SPDX-License-Identifier: LGPL-2.1-or-later
/* Threads for as many processors as there are. Signals stay with those that were there before. */
#include "base/cpus.h"

#include <sched.h>
#include <signal.h>

size_t cpus_usable(size_t max)
{
	cpu_set_t set;
	size_t n = sched_getaffinity(0, sizeof(set), &set) ? 1 : (size_t)CPU_COUNT(&set);

	return n < 1 ? 1 : n > max ? max : n;
}

size_t cpus_start(pthread_t *threads, size_t n, void *(*run)(void *), void *ctx)
{
	sigset_t all, old;
	size_t started = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (started < n && !pthread_create(&threads[started], NULL, run, ctx))
		started++;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return started;
}
