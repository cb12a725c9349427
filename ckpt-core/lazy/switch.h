/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A dead man's switch: kills a process before the last holder of its userfaultfd has let go of that.
 *
 * Theory of operation. When the last descriptor of a userfaultfd is closed, all that waits for pages goes on with zeros. A
 * process that is killed closes its descriptors one by one, and only later do its parent and its pid namespace learn of its
 * death: too late. So a pipe lies beside the userfaultfd. The closing of its last writing end makes the kernel send the signal
 * of the reading end's F_SETSIG, which may be SIGKILL, to its F_SETOWN, and does so there and then (pipe_release() in
 * fs/pipe.c). For that the writing end must go before the userfaultfd and the reading end after it. Descriptors are closed in
 * the order of their numbers, but released in this order or in the opposite one (task_work_run() in kernel/task_work.c): there
 * are two pipes, one for each. Whoever holds the userfaultfd must hold all of them, in the order of enum switch_order. Test:
 * lazy-all-killed. */
#ifndef STASIS_LAZY_SWITCH_H
#define STASIS_LAZY_SWITCH_H

#include <sys/types.h>

/* Ascending numbers of descriptors; SWITCH_UFFD is the caller's to fill in. */
enum switch_order { SWITCH_W1, SWITCH_R2, SWITCH_UFFD, SWITCH_R1, SWITCH_W2, SWITCH_FDS };

/* Returns 0 or a negative errno. The descriptors are close-on-exec. */
int switch_make(pid_t victim, int ret_fds[SWITCH_FDS]);

/* Nothing happens any more, in no process. */
void switch_disarm(const int fds[SWITCH_FDS]);

#endif
