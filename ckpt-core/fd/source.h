/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads the contents of a file behind descriptions and mappings, data only, holes stepped over, and gives them to an image or
 * to a file of our own. */
#ifndef STASIS_FD_SOURCE_H
#define STASIS_FD_SOURCE_H

#include "fd/kind.h"

/* A copy of a descriptor of the target by pidfd_getfd (see fd_look.copy). Returns it or a negative errno, not worded. */
int fd_source_copy(const struct fd_process *proc, int fd);

/* Contents of `back` from `fd`, up to its recorded size. `is_copy`: fd shares its offset with the target, so holes cannot be
 * looked for. fd < 0: from the memory of the processes that map it. Return 0 or a negative errno, worded. */
int fd_source_to_image(struct reporter *rep, const struct fd_back *back, int fd, bool is_copy, struct img_writer *w);
int fd_source_to_file(struct reporter *rep, const struct fd_back *back, int fd, bool is_copy, int to);

#endif
