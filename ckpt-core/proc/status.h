/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Parses /proc/PID/status and /proc/PID/task/TID/status. Lines that an older kernel lacks leave their default. */
#ifndef STASIS_PROC_STATUS_H
#define STASIS_PROC_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROC_NS_LEVELS 33 /* MAX_PID_NS_LEVEL + 1 */

/* Ids of one task as each pid namespace sees it, outermost (that of the proc mount) first. n is 0 if the line is absent. */
struct proc_nsids {
	int32_t id[PROC_NS_LEVELS];
	unsigned n;
};

struct proc_status {
	bool has_umask;
	uint32_t umask;
	char state;
	int32_t tgid, ngid, pid, ppid, tracerpid;
	uint32_t uid[4], gid[4]; /* real, effective, saved, file system */
	uint32_t fdsize;
	uint32_t *groups; /* supplementary; owned */
	size_t n_groups;
	struct proc_nsids nstgid, nspid, nspgid, nssid;
	bool kthread;
	uint32_t threads;                 /* 0 = absent (a task that is gone) */
	uint32_t sigq_used, sigq_limit;
	uint64_t sigpnd, shdpnd, sigblk, sigign, sigcgt; /* bit n-1 = signal n */
	uint64_t capinh, capprm, capeff, capbnd, capamb;
	bool nonewprivs;
	uint32_t seccomp; /* 0 none, 1 strict, 2 filter */
	bool has_seccomp_filters; /* 5.9 */
	uint32_t seccomp_filters;
	bool thp_enabled; /* PR_SET_THP_DISABLE not used; true when absent (5.0) */
	bool coredumping;
};

/* Returns 0, -ENOMEM, or -EBADMSG when a line is not understood or pid, tgid, ppid, uid or gid is missing. */
int proc_status_parse(const char *text, size_t size, struct proc_status *ret);
void proc_status_finish(struct proc_status *status);

#endif
