/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One thread under ptrace: stop it, look at it, change its registers, let it go. Knows nothing of processes or images. */
#ifndef STASIS_INJECT_TRACEE_H
#define STASIS_INJECT_TRACEE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>

#include "base/report.h"

struct tracee {
	pid_t tid;     /* as we see it */
	pid_t ns_tid;  /* as the thread's own pid namespace has it */
	pid_t ns_tgid;
	long options;  /* PTRACE_O_* in force */
	struct user_regs_struct regs; /* at the stop */
	uint64_t sigmask;             /* at the stop; the real one, not that of a ppoll in progress */
	bool attached;
	bool stopped;    /* in a ptrace-stop now */
	bool group_stop; /* it was stopped by job control (SIGSTOP, SIGTSTP ...) when we came */
	bool altered;    /* regs or mask in the kernel differ from those above */
	uint64_t put_off; /* signals taken from it during a batch, to be sent again when it is let go (bit signo-1) */
};

/* Attaches without stopping (PTRACE_SEIZE) with PTRACE_O_TRACESYSGOOD and `options`. Returns 0 or a negative errno: -ESRCH gone, -EPERM not allowed or traced already;
 * says nothing. */
int tracee_seize(struct tracee *t, pid_t tid, long options);

/* Adds ptrace options / takes them away (and no others). Returns 0 or a negative errno. */
int tracee_add_options(struct tracee *t, long options);
int tracee_drop_options(struct tracee *t, long options);

/* Asks it to stop; tracee_wait_stop sees it done. Signals that were on the point of delivery are let through first, so that
 * what is pending afterwards is all in the kernel. Returns 0, -ETIMEDOUT, -ESRCH when the thread ended, or a negative errno. */
int tracee_interrupt(struct tracee *t);
int tracee_wait_stop(struct tracee *t, unsigned timeout_ms);

/* Takes a SIGSTOP that is pending for its process out of the queue without any effect; what is due before it is delivered. It stays
 * stopped. Returns 0 or a negative errno. */
int tracee_drop_stop(struct tracee *t);

/* Reads regs and sigmask of a stopped thread. */
int tracee_load(struct tracee *t);

/* Puts regs and sigmask back as tracee_load found them (or as they were edited since), and lets go / keeps it stopped. */
int tracee_store(struct tracee *t);
int tracee_detach(struct tracee *t);

/* General registers and the XSAVE area as the kernel has them now. */
int tracee_get_regs(pid_t tid, struct user_regs_struct *ret);
int tracee_set_regs(pid_t tid, const struct user_regs_struct *regs);

/* The XSAVE area (NT_X86_XSTATE, standard format). `*ret_data` is allocated. */
int tracee_get_xstate(pid_t tid, void **ret_data, size_t *ret_size);
int tracee_set_xstate(pid_t tid, const void *data, size_t size);

/* Waits for the next stop or end of a thread. Returns 0 with *ret_status as waitpid gives it, -ETIMEDOUT or a negative errno. */
int tracee_wait(pid_t tid, unsigned timeout_ms, int *ret_status);

#endif
