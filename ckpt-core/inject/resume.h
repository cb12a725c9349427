/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What becomes of a system call that a stop has interrupted (inventory section A, "system call interrupted"). */
#ifndef STASIS_INJECT_RESUME_H
#define STASIS_INJECT_RESUME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/user.h>

/* Turns the registers of a thread that was stopped anywhere into ones that can be started in user mode: a call that would have
 * been restarted is issued again (with what remains of its time where the kernel has left that in memory), one that a
 * handler is about to interrupt returns EINTR. `handler`: a signal with a handler is deliverable; `sa_restart`: that handler
 * has SA_RESTART. `code`/`n_code`: the bytes in front of rip, to tell which call a restart_syscall stands for (0: unknown,
 * then such a call returns EINTR). orig_rax is -1 afterwards. */
void resume_regs(struct user_regs_struct *regs, bool handler, bool sa_restart, const uint8_t *code, size_t n_code);

/* True for a thread of a living target whose call would show EINTR although nothing but our stop has interrupted it
 * (epoll_wait and the like); resume_reissue then makes it issue the call again. */
bool resume_shows_eintr(const struct user_regs_struct *regs);
void resume_reissue(struct user_regs_struct *regs);

#endif
