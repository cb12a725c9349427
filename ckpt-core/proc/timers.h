/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Parses /proc/PID/timers: the POSIX timers of a process. Their times are not in it: timer_gettime must be injected. */
#ifndef STASIS_PROC_TIMERS_H
#define STASIS_PROC_TIMERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct proc_timer {
	int32_t id;     /* as timer_create gave it */
	int32_t signal;
	uint64_t value; /* sigev_value */
	int32_t notify; /* SIGEV_SIGNAL, SIGEV_NONE or SIGEV_THREAD, with SIGEV_THREAD_ID or-ed in (then `target` is a tid) */
	int32_t target; /* pid or tid, in the pid namespace of the proc mount */
	int32_t clockid;
};

/* In ascending order of id, whatever the order of the text. `*ret_array` is owned by the caller (free), NULL when there are
 * none. Returns 0, -EBADMSG or -ENOMEM. */
int proc_timers_parse(const char *text, size_t size, struct proc_timer **ret_array, size_t *ret_n);

#endif
