/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copies of shared memory (memfd, shared anonymous memory, files on tmpfs), made in rounds while the target runs, as precopy.h does it for
 * private memory: a fork makes no picture of it, so all of it would be copied while the target stands still.
 *
 * Theory of operation. The kernel watches the target's mappings of a file (watch.h), pages that they do not show yet included. What a
 * file has in it (SEEK_DATA) is copied at first, then what was written to since, the last time while the target is stopped. That is the
 * whole truth as long as nobody writes in another way, and of all these ways we know:
 *	through a mapping of somebody else: nobody has one when we begin, or the file is not chosen;
 *	through a new mapping, of whomever, which may be gone by then, or by a child: is noticed (mapped.h);
 *	through the same mapping, moved or replaced: it is not the same any more, or not watched by us;
 *	by hardware, for a direct read that began before: such reads end first (freeze_drain);
 *	by descriptor, or by making a hole: inotify tells. (mtime does not: it changes when a page that is protected is written to.)
 * When any of it is seen, or cannot be, the file is copied as a whole, as if there had been no copy. Pages count as unchanged only when the
 * kernel says so.
 *
 * Since Linux 6.14 inotify says nothing of what is done by the descriptor that memfd_create(2) has returned. What has been written to in this
 * way is then found once the target runs on: of the pages that count as unchanged still, contents and copy are compared, and if they
 * differ the checkpoint begins once more, without copies (shared_verify). Tests: image-is-of-one-instant (precopy),
 * shared-memory-is-written-to-in-every-way. */
#ifndef STASIS_TRACK_SHARED_H
#define STASIS_TRACK_SHARED_H

#include "base/ranges.h"
#include "collect/collect.h"
#include "fd/fd.h"
#include "track/mapped.h"

struct shared_window { /* a mapping */
	uint64_t start, end, offset;
};

struct shared_file {
	struct fd_memory is; /* as it was when the copying began */
	int source, copy;    /* descriptors */
	int notes;           /* of inotify, about it; -1 = none */
	bool told;           /* by inotify, of whatever is done by descriptor */
	bool used;           /* the copy */
	uint8_t *room;       /* all of the copy */
	VEC(struct shared_window) windows;
	struct ranges copied; /* what is in the copy, by offset */
	struct ranges again;  /* of a round */
	const char *doubt;   /* why the copy is of no use; NULL = it is */
};

struct shared {
	struct reporter *rep;
	pid_t pid;
	int uffd, pagemap; /* -1 = none */
	unsigned timeout_ms;
	struct mapped mapped;
	VEC(struct shared_file) files;
	bool stopped;              /* the target: by us, and what it does is our doing */
	const struct collect *now; /* what it is like then */
};
/* clang-format off */
#define SHARED_INIT { .uffd = -1, .pagemap = -1 }
/* clang-format on */

/* Chooses what is to be copied: what is large enough, or with `all` whatever can be. Returns 1 if there is any, 0 or a negative errno,
 * worded. */
int shared_choose(struct shared *s, struct fd_capture *files, const struct collect *c, bool all);

/* Has the mappings watched with this userfaultfd of the target's memory, which is taken over, and copies until little is left. `timeout_ms`:
 * as for freeze_process(). Returns 0 or a negative errno, worded, or -ECANCELED. */
int shared_run(struct shared *s, int uffd, unsigned timeout_ms);

/* One round more, after something else has taken a while. As shared_run. */
int shared_round(struct shared *s, uint64_t *ret_bytes);

/* The target has been stopped. */
void shared_stopped(struct shared *s);

/* The last round, for this file as it is now that the target is stopped; see fd_capture_options.copied. */
int shared_copied(void *shared, const struct fd_memory *now);

/* When the target runs again: whether the copies were what they seemed. Returns 0, -ESTALE when not, or -ECANCELED. */
int shared_verify(struct shared *s);

/* Ends the watch, little by little, and gives back all copies that were not asked for. */
void shared_finish(struct shared *s);

#endif
