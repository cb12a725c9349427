/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The little that the command line itself must know about a process: who it is, whether it lives, what it was called with. */
#ifndef STASIS_CLI_PROCESS_H
#define STASIS_CLI_PROCESS_H

#include <sys/types.h>

#include "proc/stat.h"

/* What /proc/PID/stat says of a living process. Returns 0 or -ESRCH; what has ended but was not waited for counts as gone. */
int process_stat(pid_t pid, struct proc_stat *ret);

/* The words of /proc/PID/cmdline with spaces between; [name] when there are none. Owned by the caller. */
int process_command(pid_t pid, char **ret);

/* Its first word's last component ("qemu-system-x86_64"), or its name when there are none. Owned by the caller. */
int process_program(pid_t pid, char **ret);

/* The process that thread `tid` belongs to. Returns 0 or -ESRCH. */
int process_of_thread(pid_t tid, pid_t *ret);

#endif
