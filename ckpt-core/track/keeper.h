/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The keeper: a process that holds a target's userfaultfd from one checkpoint to the next, and says for which image its memory
 * is watched.
 *
 * Theory of operation. What is held is a userfaultfd, or notes (soft.h). It belongs to the target's memory but is never among
 * its descriptors: a helper makes it (inject/helper.h) and the controller takes it. Whoever holds the last descriptor ends the
 * watch by closing it; the kernel then takes every mark away, and the target is as it was. So what is held is what is true: the
 * controller ends the old keeper before it touches any mark, holds the userfaultfd itself while the image is written, and hands
 * it to a new keeper, with the image's content id, when the image is whole. Whatever dies or fails on the way, there is then no
 * keeper, and the next checkpoint compares. There is at most one keeper of a target, because all this is done while the target
 * is stopped, and only one can stop it. Tests: tracked-chain, killed-tracked-incremental- checkpoint-leaves-target-running. */
#ifndef STASIS_TRACK_KEEPER_H
#define STASIS_TRACK_KEEPER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/report.h"
#include "base/ranges.h"

#define KEEPER_NAME "stasis-track"
#define KEEPER_CONTROLLER_NAME "stasis-ctl" /* of the controller of a checkpoint */

struct keeper_state {
	char magic[16];
	uint8_t content_id[16]; /* of the image since which memory is watched */
	uint64_t n_ends;        /* not 0: it is not to be watched any more, and these ranges follow */
};
/* It lies at the beginning of a file in memory, which may hold notes of the way of watching behind it (soft.h). */

/* A keeper that is there. */
struct keeper {
	struct keeper_state state;
	int pidfd; /* of the keeper; -1 = there is none */
	int notes; /* the file */
	int uffd;  /* -1 = it watches in another way */
};

/* Whether there is one for process `pid` that we may look at, or another checkpoint that holds what may become one's. */
bool keeper_exists(pid_t pid);

/* Finds it, and takes copies of what it holds. No keeper, or one that cannot be used, is no error: `pidfd` is -1 then. */
void keeper_find(pid_t pid, struct keeper *ret);
bool keeper_is_alive(const struct keeper *k);
void keeper_close(struct keeper *k); /* it goes on */
int keeper_end(struct keeper *k);    /* kills it and waits until it is dead; -ETIMEDOUT. What it held stays open in `k` */

/* Forks a process that will be one, a descendant of ours no more; it ends when `*ret_sock` is closed before keeper_begin(). It
 * does nothing but system calls, so that our threads do not matter. Returns 0 or a negative errno. */
int keeper_prepare(int *ret_sock);

/* Makes it, with notes (a file, which is written to) and uffd (may be -1), the keeper of the process that `pidfd` is of. With `ends`, which are
 * mappings that uffd watches, it ends the watch of them without haste (watch_end()), and then itself. Returns 0 once it is,
 * or a negative errno: then it is gone. Closes `sock`. */
int keeper_begin(int sock, int pidfd, int notes, int uffd, const uint8_t content_id[16], const struct ranges *ends);

#endif
