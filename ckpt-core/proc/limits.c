/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Parses /proc/PID/limits. Lines are known by their name (fs/proc/base.c, lnames), not by their place. */
#include "proc/limits.h"

#include <errno.h>
#include <stdbool.h>

#include "proc/text.h"

static const char *const names[RLIM_NLIMITS] = {
	[RLIMIT_CPU] = "Max cpu time ",
	[RLIMIT_FSIZE] = "Max file size ",
	[RLIMIT_DATA] = "Max data size ",
	[RLIMIT_STACK] = "Max stack size ",
	[RLIMIT_CORE] = "Max core file size ",
	[RLIMIT_RSS] = "Max resident set ",
	[RLIMIT_NPROC] = "Max processes ",
	[RLIMIT_NOFILE] = "Max open files ",
	[RLIMIT_MEMLOCK] = "Max locked memory ",
	[RLIMIT_AS] = "Max address space ",
	[RLIMIT_LOCKS] = "Max file locks ",
	[RLIMIT_SIGPENDING] = "Max pending signals ",
	[RLIMIT_MSGQUEUE] = "Max msgqueue size ",
	[RLIMIT_NICE] = "Max nice priority ",
	[RLIMIT_RTPRIO] = "Max realtime priority ",
	[RLIMIT_RTTIME] = "Max realtime timeout ",
};

static bool parse_value(struct text *t, rlim_t *ret)
{
	uint64_t value;

	text_skip_blanks(t);
	if (text_take(t, "unlimited")) {
		*ret = RLIM_INFINITY;
		return true;
	}
	if (!text_u64(t, 10, &value))
		return false;
	*ret = value;
	return true;
}

int proc_limits_parse(const char *text, size_t size, struct proc_limits *ret)
{
	struct text t = text_init(text, size), line;
	struct proc_limits limits = { 0 };
	unsigned seen = 0;

	while (text_line(&t, &line))
		for (int i = 0; i < RLIM_NLIMITS; i++) {
			if (!text_take(&line, names[i]))
				continue;
			if (!parse_value(&line, &limits.limit[i].rlim_cur) || !parse_value(&line, &limits.limit[i].rlim_max))
				return -EBADMSG;
			seen |= 1u << i;
			break;
		}
	if (seen != (1u << RLIM_NLIMITS) - 1)
		return -EBADMSG;
	*ret = limits;
	return 0;
}
