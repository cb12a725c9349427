/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Has the kernel note which pages of another process are written to, by whomever: userfaultfd's write-protection in its
 * asynchronous form, in which the kernel itself takes the mark off a page that is written to and nobody waits. Linux 6.7.
 *
 * What a watched target can notice: smaps says "uw"; and a part of a mapping that it moves away with mremap() is not watched any more, so that
 * moved back it is a mapping of its own, until the watch ends: an mremap() of the whole is refused then (see also watch_end()).
 *
 * Sources: Documentation/admin-guide/mm/userfaultfd.rst, pagemap.rst. */
#ifndef STASIS_TRACK_WATCH_H
#define STASIS_TRACK_WATCH_H

#include <stdint.h>

#include "inject/batch.h"
#include "inject/undo.h"
#include "base/ranges.h"

/* Whether this kernel can do it, for us. Returns 0, or a negative errno: -EINVAL where it has not got the features. */
int watch_try(void);

/* A userfaultfd of the stopped target's memory, ready for use; the target's own descriptors show nothing of it. Returns it or a
 * negative errno: -EINVAL where the kernel has not got the features. */
int watch_open(struct tracee *worker, const struct batch_place *place, struct undo_journal *journal);

/* Has it watch [start, end), a single mapping, whose pages bear no marks yet. -EBUSY: somebody else does; -EINVAL: of a kind that
 * cannot be watched; -ESRCH: the userfaultfd is of memory that is no more. */
int watch_register(int uffd, uint64_t start, uint64_t end);

/* Takes the marks of [start, end) away in small steps, and pauses `nap` times as long as it works. */
void watch_clear(int uffd, uint64_t start, uint64_t end, unsigned nap);

/* And then ends the watch, of mappings of 128 MiB and more piece by piece: in one step, as when `uffd` is closed, the kernel keeps everybody from
 * the mapping and looks at each page (17 ms for 1 GiB). In between such a mapping is two, until all of it is done: a moment in which
 * an mremap() of all of it is refused. */
void watch_end(int uffd, uint64_t start, uint64_t end, unsigned nap);

/* Appends the parts of [start, end), a single mapping, that were written to since watch_arm(), and those that have no contents. -EPERM: nobody
 * watches it. */
int watch_changed(int pagemap, uint64_t start, uint64_t end, struct ranges *changed);

/* Begins anew with those of them that have contents, which are appended. */
int watch_again(int pagemap, uint64_t start, uint64_t end, struct ranges *changed);

/* What became of [start, end), a single mapping, since it was last begun anew: appends the parts that were written to and have contents,
 * those that have none, and those that are swapped out (or guard regions). Nothing is begun anew. */
int watch_last(int pagemap, uint64_t start, uint64_t end, struct ranges *changed, struct ranges *gone, struct ranges *swapped);

/* Of shared memory: marks [start, end), with what it does not show yet. -EAGAIN, -ENOENT: it is not watched by this one. */
int watch_protect(int uffd, uint64_t start, uint64_t end);

/* Appends the parts of [start, end), a single mapping, that bear their marks still; of whatever else it shows nothing is known. -EPERM: nobody
 * watches it. */
int watch_unchanged(int pagemap, uint64_t start, uint64_t end, struct ranges *same);

/* Appends the parts of [start, end), private anonymous memory, that have contents. */
int watch_contents(int pagemap, uint64_t start, uint64_t end, struct ranges *there);

/* Whether the watch of [start, end), of which watch_changed() has found one, is that of `uffd`: 0, or -EBUSY. */
int watch_is_ours(int uffd, uint64_t start, uint64_t end);

/* Begins anew with [start, end): it is watched, and no page of it that has contents written to. -EBUSY: somebody else watches it; -ESRCH: the
 * userfaultfd is of memory that is no more; -EINVAL: of a kind that cannot be watched. */
int watch_arm(int uffd, int pagemap, uint64_t start, uint64_t end);

#endif
