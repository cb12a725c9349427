/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The kernel's notes of what was written to before Linux 6.7: soft-dirty bits, together with the numbers of the page frames.
 *
 * Theory of operation. A write sets the bit of a page in the page table; all bits are reset at once. That alone is not enough:
 * a page table that mremap() moves as a whole keeps its bits, so that a page looks as if it had been there all the time, and
 * somebody else may reset the bits as well. So the frame of each page is noted down, which is another one for whatever has come
 * in its place; and one page of program text, which nobody writes to, is written to once (with what is in it) after the reset:
 * if it does not bear its bit any more, the bits are not ours. Frame numbers are shown to root only. Source:
 * Documentation/admin-guide/mm/soft-dirty.rst, pagemap.rst. */
#ifndef STASIS_TRACK_SOFT_H
#define STASIS_TRACK_SOFT_H

#include <sys/types.h>

#include "base/ranges.h"

/* Where the notes begin in the file that holds them; what is before is the keeper's. */
#define SOFT_OFFSET 4096

/* Begins anew: resets the bits of the stopped process `pid` and puts notes on `tracked` into a new file in memory. `canary`:
 * the address of a page of program text. Returns the file or a negative errno: -EINVAL where there are no such bits, or no
 * numbers. */
int soft_arm(pid_t pid, int pagemap, const struct ranges *tracked, uint64_t canary);

/* Adds those parts of `tracked` that there are notes on to `watched`, and of these what is not certain to be as it was then to
 * `changed`. -ESTALE: somebody else has reset the bits. */
int soft_changed(int notes, int pagemap, const struct ranges *tracked, struct ranges *watched, struct ranges *changed);

#endif
