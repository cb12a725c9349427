/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The recorder from outside: finds its root in a target's memory and works the gate. */
#ifndef STASIS_RECORDER_FIND_H
#define STASIS_RECORDER_FIND_H

#include <stddef.h>
#include <sys/types.h>

#include "proc/maps.h"
#include "recorder/root.h"

/* The address of the root in the process, with a copy of it in `*ret`. -ENOENT: there is no recorder in it; -EPROTO: one of a
 * version that we do not know. Not worded. */
int recorder_find(pid_t pid, const struct proc_vma *vmas, size_t n_vmas, uint64_t *ret_addr, struct recorder_root *ret);

/* Closes the gate / opens it again. */
int recorder_gate_close(pid_t pid, uint64_t root, unsigned lease_ms);
int recorder_gate_open(pid_t pid, uint64_t root);

#endif
