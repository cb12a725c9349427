/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Hands memory of a process to the image, and reads it ahead by threads of its own: while one piece is packed and written the next is
 * being read. */
#ifndef STASIS_COLLECT_AHEAD_H
#define STASIS_COLLECT_AHEAD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/report.h"
#include "writer.h"

struct ahead;

/* For memory of `pid`, which need not be stopped, and for the pages of `space`; `done` of `total` bytes are what progress begins with. What is
 * borrowed lives longer. Returns 0 or a negative errno, not worded. */
int ahead_create(struct reporter *rep, struct img_writer *w, pid_t pid, uint32_t space, uint64_t done, uint64_t total, struct ahead **ret);

/* Reads [start, end), whole pages, and hands them on by the end of ahead_flush(), in order. `drop_zero` as in img_writer_pages(); `changed`: they
 * need not be compared with the parent's. Returns 0 or a negative errno, perhaps of earlier pages: worded (rep->first_error), or from
 * reading, not worded; see ahead_at(). */
int ahead_pages(struct ahead *a, uint64_t start, uint64_t end, bool drop_zero, bool changed);
int ahead_flush(struct ahead *a);

/* Where reading failed. */
uint64_t ahead_at(const struct ahead *a);

/* Counts bytes as done that were handed on by others, shows progress. Returns 0 or -ECANCELED. */
int ahead_done(struct ahead *a, uint64_t size);

/* Drops what has not been handed on. Takes NULL. */
void ahead_destroy(struct ahead *a);

#endif
