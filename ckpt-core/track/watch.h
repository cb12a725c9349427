/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Has the kernel note which pages of another process are written to, by whomever: userfaultfd's write-protection in its
 * asynchronous form, in which the kernel itself takes the mark off a page that is written to and nobody waits. Linux 6.7.
 * Sources: Documentation/admin-guide/mm/userfaultfd.rst, pagemap.rst. */
#ifndef STASIS_TRACK_WATCH_H
#define STASIS_TRACK_WATCH_H

#include <stdint.h>

#include "inject/batch.h"
#include "inject/undo.h"
#include "track/ranges.h"

/* A userfaultfd of the stopped target's memory, ready for use; the target's own descriptors show nothing of it. Returns it or a
 * negative errno: -EINVAL where the kernel has not got the features. */
int watch_open(struct tracee *worker, const struct batch_place *place, struct undo_journal *journal);

/* Appends the parts of [start, end), a single mapping, that were written to since watch_arm(). -EPERM: nobody watches it. */
int watch_changed(int pagemap, uint64_t start, uint64_t end, struct ranges *changed);

/* Whether the watch of [start, end), of which watch_changed() has found one, is that of `uffd`: 0, or -EBUSY. */
int watch_is_ours(int uffd, uint64_t start, uint64_t end);

/* Begins anew with [start, end): it is watched, and no page of it written to. -EBUSY: somebody else watches it; -ESRCH: the
 * userfaultfd is of memory that is no more; -EINVAL: of a kind that cannot be watched. */
int watch_arm(int uffd, int pagemap, uint64_t start, uint64_t end);

#endif
