/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* File locks: collected from fdinfo, taken again at a restart by who held them. */
#ifndef STASIS_FD_LOCK_H
#define STASIS_FD_LOCK_H

#include "fd/kind.h"

/* Adds the locks that fdinfo shows for this descriptor: those of the description when it is `fresh`, and POSIX locks of the
 * process that are not known yet. */
int fd_lock_collect(struct fd_capture *cap, const struct fd_process *proc, const struct fd_file *file,
                    const struct proc_fdinfo *info, bool fresh);

/* Whether somebody here holds a lock that is in the way of those of `file`, whose file is open (for reading) at fd now. */
int fd_lock_plan(struct fd_plan *plan, const struct fd_file *file, int fd, struct fd_verdict *v);

/* Takes the locks that belong to descriptions (flock, OFD), in the caller. */
int fd_lock_prepare(struct fd_plan *plan);
/* Takes those that belong to the process (POSIX, leases), in stage 1, with every descriptor in place and all others closed. */
int fd_lock_install(struct fd_plan *plan, uint32_t process);

/* Whether the process holds a POSIX lock on the backing file. */
bool fd_lock_posix_on(const struct fd_plan *plan, uint32_t process, uint32_t backing);

#endif
