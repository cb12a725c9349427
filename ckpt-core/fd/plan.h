/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the parts of the restore side share: the loaded plan, the caller's own 0-2, contents out of the image. */
#ifndef STASIS_FD_PLAN_H
#define STASIS_FD_PLAN_H

#include "fd/kind.h"

/* The caller's own 0-2, to take the place of the target's (stdio.c): chosen by plan, made by prepare, set up by commit. */
int fd_stdio_plan(struct fd_plan *plan, struct findings *findings);
int fd_stdio_prepare(struct fd_plan *plan);
int fd_stdio_commit(struct fd_plan *plan);

/* Writes the contents of a space into a fresh file (fill.c): `size` bytes, holes left. `huge` != 0: a file on hugetlbfs with
 * pages of that many bytes. Returns 0 or a negative errno, worded with `name`. */
int fd_fill(struct fd_plan *plan, uint32_t space, int fd, uint64_t size, uint64_t huge, const char *name);
/* Bytes that doing so takes up on the disk. */
uint64_t fd_fill_bytes(const struct fd_plan *plan, uint32_t space);

/* Whether stage 1 of this process is the one that sets the description up: the first that has it. */
static inline bool fd_is_set_up_by(const struct fd_file *file, uint32_t process)
{
	return file->slot_fd >= 0 && file->slot_process == process;
}

#endif
