/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Parses /proc/PID/limits into the 16 limits of RLIMIT_ order. */
#ifndef STASIS_PROC_LIMITS_H
#define STASIS_PROC_LIMITS_H

#include <stddef.h>
#include <sys/resource.h>

struct proc_limits {
	struct rlimit limit[RLIM_NLIMITS]; /* index RLIMIT_*; RLIM_INFINITY where it says unlimited */
};

/* Returns 0, or -EBADMSG when one of the 16 is missing or garbled. Limits that are not known here are skipped. */
int proc_limits_parse(const char *text, size_t size, struct proc_limits *ret);

#endif
