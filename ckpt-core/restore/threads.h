/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Pieces that the restore of threads shares with that of their process. */
#ifndef STASIS_RESTORE_THREADS_H
#define STASIS_RESTORE_THREADS_H

#include "restore/restore.h"

/* Adds calls that queue signals again: to the process (SYS_rt_sigqueueinfo) or to a thread (SYS_rt_tgsigqueueinfo). A thread may
 * queue signals with any si_code only to itself or its own process: the batch must run there. */
void threads_add_pending(struct batch *b, const struct img_bytes *queue, uint32_t nr, pid_t pid, pid_t tid);

/* The signal with which a batch in this thread should announce its end. */
int threads_tell_signal(const struct restore *r, const struct rec_thread *rec);

#endif
