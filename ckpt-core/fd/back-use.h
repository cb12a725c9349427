/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a restart does about a backing file: decided by back-plan.c, done by back-make.c. */
#ifndef STASIS_FD_BACK_USE_H
#define STASIS_FD_BACK_USE_H

#include "fd/kind.h"

enum fd_back_use {
	FD_USE_NONE,     /* there was an obstacle */
	FD_USE_FILE,     /* what is at path_now is right */
	FD_USE_CREATE,   /* nothing is there: made from the image beside it, renamed to path_now by commit */
	FD_USE_REPLACE,  /* something else is there: likewise, and what was there is kept as PATH.before-restart */
	FD_USE_NAMELESS, /* made from the image without a name: deleted files, memfds, shared memory */
};

#define FD_BEFORE_SUFFIX ".before-restart"

/* Marks a file as made by a restart of this image from this backing file, so that the next restart of the same image knows that
 * it may be replaced although it is another inode than the one that was recorded. */
#define FD_MARK_XATTR "user.stasis.restored"
void fd_back_mark(const struct fd_plan *plan, const struct fd_back *back, char ret_text[64]);

#endif
