/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Threads that work beside the one that has them started. */
#ifndef STASIS_BASE_CPUS_H
#define STASIS_BASE_CPUS_H

#include <pthread.h>
#include <stddef.h>

/* How many processors we may use: 1 to `max`. */
size_t cpus_usable(size_t max);

/* Starts up to `n` threads, with all signals blocked, to be joined by the caller. Returns how many there are: as many as the
 * system gives; none is not an error. */
size_t cpus_start(pthread_t *threads, size_t n, void *(*run)(void *), void *ctx);

#endif
