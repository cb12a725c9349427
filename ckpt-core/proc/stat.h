/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Parses /proc/PID/stat and /proc/PID/task/TID/stat. Gives what a restart needs and what tells kernel workers from threads. */
#ifndef STASIS_PROC_STAT_H
#define STASIS_PROC_STAT_H

#include <stddef.h>
#include <stdint.h>

/* Task flags of field 9 (include/linux/sched.h); kernel workers inside a user process carry one of the first two. */
#define PROC_PF_EXITING     0x00000004u
#define PROC_PF_IO_WORKER   0x00000010u
#define PROC_PF_USER_WORKER 0x00004000u
#define PROC_PF_KTHREAD     0x00200000u

struct proc_stat {
	int32_t pid;
	char comm[65]; /* may hold any character, ')' and newline too */
	char state;    /* one of RSDTtZXIP */
	int32_t ppid, pgrp, session;
	uint32_t tty_nr; /* minor & 0xff | major << 8 | (minor & ~0xff) << 12; 0 = none */
	int32_t tpgid;   /* foreground group of that tty; -1 = none */
	uint32_t flags;  /* PROC_PF_* */
	int64_t priority, nice;
	int64_t num_threads;
	uint64_t starttime; /* clock ticks after boot */
	/* Addresses; 0 or 1 when the reader may not know them (no ptrace access). */
	uint64_t start_code, end_code, start_stack;
	int32_t exit_signal; /* sent to the parent; -1 for threads */
	int32_t cpu;         /* that it runs on, or ran on last */
	uint32_t rt_priority, policy; /* SCHED_* */
	uint64_t start_data, end_data, start_brk, arg_start, arg_end, env_start, env_end;
	int32_t exit_code; /* wait status; 0 without ptrace access */
};

static inline unsigned proc_stat_tty_major(const struct proc_stat *s)
{
	return (s->tty_nr >> 8) & 0xfff;
}

static inline unsigned proc_stat_tty_minor(const struct proc_stat *s)
{
	return (s->tty_nr & 0xff) | ((s->tty_nr >> 12) & 0xfff00);
}

/* Returns 0 or -EBADMSG. */
int proc_stat_parse(const char *text, size_t size, struct proc_stat *ret);

#endif
