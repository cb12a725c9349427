/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Clocks across time namespaces (man 7 time_namespaces), and our own stopwatch. */
#ifndef STASIS_BASE_TIMENS_H
#define STASIS_BASE_TIMENS_H

#include <stdint.h>
#include <sys/types.h>

struct timens_clocks {
	int64_t monotonic_ns, boottime_ns;
};

/* CLOCK_MONOTONIC and CLOCK_BOOTTIME as the process sees them now: the host's plus the offsets of its time namespace. A kernel
 * without time namespaces has no offsets. */
struct timens_clocks timens_now(pid_t pid);

/* The same in the initial time namespace, to which a new one's offsets are relative. */
struct timens_clocks timens_host_now(void);

/* CLOCK_MONOTONIC as the process sees it less that of the initial time namespace: exact, and constant for its life. */
int64_t timens_offset_ns(pid_t pid);

/* Microseconds on our own monotonic clock. */
uint64_t timens_stopwatch_us(void);

#endif
