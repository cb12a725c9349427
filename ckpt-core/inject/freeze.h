/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Stops every thread of a process and lets them all go again exactly as they were. Kernel workers that show up among the
 * threads (io_uring, vhost, KVM) are left alone: they run no user code and take their orders from the stopped ones. */
#ifndef STASIS_INJECT_FREEZE_H
#define STASIS_INJECT_FREEZE_H

#include <sys/types.h>

#include "base/report.h"
#include "base/vec.h"
#include "inject/tracee.h"

struct frozen {
	pid_t pid;    /* as we see it */
	pid_t ns_pid; /* as its own pid namespace has it */
	VEC(struct tracee) threads; /* in the order of /proc/PID/task; the leader first */
};

/* Stops the whole process, or nothing at all. Calls that our stop would end with EINTR (epoll_wait and the like) will be issued
 * again. `timeout_ms` is for each thread to come to a stop. Errors, worded: -ESRCH,
 * -EPERM (not ours, or traced by somebody else), -ETIMEDOUT (a thread in uninterruptible sleep, or a vfork parent), -ENOTSUP
 * (a leader that has ended while threads go on; 32-bit code). */
int freeze_process(struct reporter *rep, pid_t pid, unsigned timeout_ms, struct frozen *ret);

/* Lets threads whose program counter is in [start, end) run on until it is not: the vdso, whose code may be another at the restart.
 * Gives up on a thread that is still (or again) there after many tries, and says so as a warning; then the checkpoint is good
 * for a host with the same vdso only. Returns 0 or a negative errno, worded. */
int freeze_leave(struct reporter *rep, struct frozen *f, uint64_t start, uint64_t end);

/* Lets go; signals put off meanwhile are sent. */
int freeze_thaw(struct frozen *f);

/* Waits for system calls that have the hardware write to the memory of the process (direct I/O, and what else a file system does by
 * itself with the pages of a read): those that were under way when it was called have come to their end. The process runs meanwhile;
 * a thread of which the kernel will not say that it waits for something else is stopped for a moment, and only that one: no thread
 * stops within such a call, which waits without regard to signals. Returns 0 or a negative errno, worded as those of freeze_process(),
 * after which no thread may be stopped by the caller again. */
int freeze_drain(struct reporter *rep, pid_t pid, unsigned timeout_ms);

/* Forgets the threads without touching them (they are dead, or were detached one by one). */
void freeze_finish(struct frozen *f);

/* The thread with this tid (as we see it), or NULL. */
struct tracee *freeze_thread(struct frozen *f, pid_t tid);

#endif
