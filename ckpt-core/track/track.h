/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which pages have changed since the parent image, without reading them: the kernel has noted it since then.
 *
 * Theory of operation. While the target is stopped, and before the picture of its memory is taken, its private anonymous memory
 * is marked, page by page; the kernel takes the mark off a page that is written to. The keeper (keeper.h) holds on to that
 * until the next checkpoint. That one believes the marks if the keeper says that they were made for exactly the image that is
 * now the parent. A page that bears one is then as it was: a page that was given back, unmapped and mapped anew, or moved there
 * has none, and a mapping that is new is watched by nobody.
 *
 * What is not watched is compared with the parent, as all of it is without a keeper: small mappings, which are not worth the
 * calls, and memory with a file behind it. Shared memory is written to by others as well. And a private page of a file that is
 * given back and written to again bears a mark while the fault is on its way (pte_install_uffd_wp_if_needed() and
 * do_cow_fault() in mm/memory.c), though it is the file's page now; in anonymous memory a page that is given back loses its
 * mark.
 *
 * A mark made before the picture is never too late: what is written after it counts for the next image. Not seen are writes of
 * devices to pages that were pinned before; whoever does that (VFIO, io_uring, AIO) cannot be checkpointed.
 *
 * Where the kernel has no such userfaultfd, soft-dirty bits serve instead (soft.h), if we are root; else all is compared.
 * Tests: chain-of-* (tracked), tracked-chain. */
#ifndef STASIS_TRACK_TRACK_H
#define STASIS_TRACK_TRACK_H

#include <stdbool.h>
#include <stdint.h>

#include "collect/collect.h"
#include "track/keeper.h"
#include "base/ranges.h"

struct track {
	struct reporter *rep;
	pid_t pid;
	int pidfd;            /* borrowed */
	bool arm;             /* memory is to be watched until the next checkpoint */
	int sock;             /* of the keeper to be; -1 = none */
	struct keeper keeper; /* from the last checkpoint */
	bool had_keeper;
	int uffd, notes;               /* of the memory; -1 = none. Notes without a uffd: soft.h */
	struct ranges marked;          /* with `uffd`, by whom it is from (track_adopt()) */
	bool armed;                    /* it is, for the image that is being made */
	bool known;                    /* the two below hold */
	struct ranges watched;         /* since the parent */
	struct ranges changed;         /* of these */
	size_t at_watched, at_changed; /* where track_next() was */
};
/* clang-format off */
#define TRACK_INIT { .sock = -1, .uffd = -1, .notes = -1, .keeper = { .pidfd = -1, .notes = -1, .uffd = -1 } }
/* clang-format on */

/* Looks for what the last checkpoint has left; with `arm` it also starts what may become a keeper. The target may run. What
 * fails here is no more than said to debuggers. Once it has begun it may do so again, for another try of the same checkpoint:
 * what is known is not lost. */
void track_begin(struct track *t, struct reporter *rep, pid_t pid, int pidfd, bool arm);

/* The userfaultfd that the last checkpoint has left, whose keeper ends: nothing is known since that one any more. -1 when there is none. And
 * the other way: one that the memory in `marked` (both are taken over) was marked with for the image that is being made; others
 * are to be marked with it as well. */
int track_take(struct track *t);
void track_adopt(struct track *t, int uffd, struct ranges *marked);

/* To be called while the target is stopped and its memory is as it will be in the image. With `parent_id` it finds out what has
 * changed since that image; with `t->arm` it begins anew for the image in the making. What the kernel refuses is no failure:
 * then pages are compared. Returns 0 or a negative errno, worded. */
int track_pause(struct track *t, const struct collect *c, const uint8_t *parent_id, struct undo_journal *journal);

/* What is known of the page at `start`, and up to where, `end` at most, that holds. Addresses ascend from call to call. */
enum track_says { TRACK_UNKNOWN, TRACK_CHANGED, TRACK_SAME };
enum track_says track_next(struct track *t, uint64_t start, uint64_t end, uint64_t *ret_end);

/* The image with this content id is whole: from now on the keeper knows. Returns whether it does. */
bool track_keep(struct track *t, const uint8_t content_id[16]);

/* Gives up what is ours: what was armed and not kept is watched no longer. */
void track_finish(struct track *t);

#endif
