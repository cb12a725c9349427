/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Work beside a running target that is not to feel it. */
#ifndef STASIS_BUSY_H
#define STASIS_BUSY_H

#include <sched.h>
#include <sys/types.h>

/* Keeps the calling thread, and those that it starts from now on, off the processors that threads of `pid` keep busy, where half of those
 * that it may use are left then; looks for 2 ms who that is. A thread that spins, as a virtual CPU does, would else wait for a whole
 * time slice (4 ms with HZ=250) when we come to the same processor, and for the end of the call when we are in the kernel, unless
 * that can be preempted: reading smaps of 1 GiB takes 12 ms. What cannot be found out changes nothing. `*ret_left` are those that
 * it used to use and does not any more. */
void busy_leave(pid_t pid, cpu_set_t *ret_left);

#endif
