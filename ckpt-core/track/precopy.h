/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Copies memory of a target while it runs, so that only what was written to in the end is left to be copied while it stands still.
 *
 * Theory of operation. The picture that a fork makes (inject/snapshot.h) costs a pause that grows with the number of pages, and then a fault with
 * a copy for each page that is written to. Large mappings of small pages are therefore copied in rounds instead, as live migration does:
 * the kernel watches them (watch.h), a round copies what was written to since the last one, and each is shorter than the one before. The
 * last round is done while the target is stopped; the snapshot child is then made without these mappings.
 *
 * Then the watch goes on for the next checkpoint, if one is to be made from the image (track.h). Else a keeper ends it, bit by bit: giving a
 * page back the right to be written to holds up the target for a few ns, but for 4.6 us and more under a hypervisor with shadow
 * page tables (measured under PVM).
 *
 * Memory of a target that writes little goes straight to the image in the first round; what it writes to meanwhile is copied in the rounds that
 * follow, and given to the image in its stead (img_writer_keep). Of one that writes much all is copied first: what has been given to
 * the image takes its room there even when it counts no more.
 *
 * A page is protected before it is copied, so a write that comes between is noted. But hardware writes by itself to pages that a
 * direct read has given it, and that is noted at the beginning of the read only: between the protection and the copying all such reads
 * come to their end (freeze_drain), and those that begin later are noted. Test: direct-reads-are-whole (precopy). What has lost its contents is asked in the last round
 * and not before: pages that were given back are not in the image. A mapping that is not what it was when the copying began, which
 * shows in that nobody watches it any more, is left to the child. Should we die the userfaultfd is closed, and the kernel takes
 * all marks away. Tests: image-is-of-one-instant (precopy), memory-changes-in-every-way (precopy), precopy faults. */
#ifndef STASIS_TRACK_PRECOPY_H
#define STASIS_TRACK_PRECOPY_H

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/ranges.h"
#include "collect/collect.h"

struct precopy_region { /* one mapping */
	uint64_t start, end;
	uint8_t *copy;        /* room for all of it; there is in it what is in `copied` */
	struct ranges sent;   /* is in the image, but where it is in `copied` */
	struct ranges copied; /* what has been copied, or written to since it was sent */
	struct ranges gone;   /* had no contents any more when the target was stopped */
	struct ranges again;  /* of a round: what is to be copied in it */
	int last;             /* what came of the last round */
	bool whole;           /* both together are what the mapping was when the target was stopped */
};

struct precopy {
	struct reporter *rep;
	pid_t pid;
	uint32_t space; /* of its memory in the image */
	int uffd, pagemap; /* -1 = none */
	VEC(struct precopy_region) regions;
	int sock;      /* of the keeper that will end the watch; -1 = none */
	bool goes_on;  /* the watch: what is copied in the last round is to be watched again */
	uint64_t sent; /* bytes, in all regions */
	unsigned timeout_ms; /* for a thread to end a system call */
	pthread_t thread; /* that does the last round */
	bool last_begun;
};
/* clang-format off */
#define PRECOPY_INIT { .uffd = -1, .pagemap = -1, .sock = -1 }
/* clang-format on */

/* Chooses what is to be copied of the process that `c` describes: mappings for which that pays, or with `all` whatever can be. Returns
 * how many bytes that are, 0 for nothing; or -ENOMEM where there is no room for so much more memory, -errno; not worded. */
int64_t precopy_choose(struct precopy *p, const struct collect *c, bool all);

/* Begins with this userfaultfd of the target's memory (track/watch.h), which is taken over. With `ends` the watch is to be ended, see
 * precopy_leave(); else it goes on. `timeout_ms`: as for freeze_process(). Returns 0 or a negative errno, not worded. */
int precopy_begin(struct precopy *p, int uffd, bool ends, unsigned timeout_ms);

/* Copies while the target runs, until little is left; straight to the image of `w`, where that pays: `total` bytes are what will be written in
 * all. Returns 0 or a negative errno, not worded unless it is the writer's: -EAGAIN when memory is written to faster than it can be
 * copied, -ECANCELED. */
int precopy_run(struct precopy *p, struct img_writer *w, uint64_t total);

/* Has a thread begin with the last round, on one of these processors, if there are any; the target is stopped, and nobody but the
 * caller, by injected calls, writes to its memory. */
void precopy_pause_begin(struct precopy *p, const cpu_set_t *cpus);

/* The last round, or its end, while the target, as `c` has it now, is stopped and its memory is as it will be in the image. Mappings
 * that are others by now, or for which it fails, are not `whole`. Returns 0 or a negative errno, worded or -ESRCH, -ECANCELED. */
int precopy_pause(struct precopy *p, const struct collect *c);

/* Takes back from the image what it was given that counts no more: of mappings that are not whole that is all. Then `copied` is what is to be
 * given to it. Returns 0 or a negative errno, worded or -ENOMEM. */
int precopy_settle(struct precopy *p, struct img_writer *w);

/* The region that is this mapping, if it is whole; else NULL. */
struct precopy_region *precopy_find(const struct precopy *p, uint64_t start, uint64_t end);

/* Whether any region is whole. */
bool precopy_any(const struct precopy *p);

/* Gives back the memory of the copy of [start, end): it is not read again. */
void precopy_drop(struct precopy_region *r, uint64_t start, uint64_t end);

/* Hands the watch on: the userfaultfd, and what is marked with it. -1 when there is none, or no memory. */
int precopy_give(struct precopy *p, struct ranges *ret_marked);

/* Or leaves it to a keeper to end it, once all has gone well. */
void precopy_leave(struct precopy *p, int pidfd);

/* Ends the watch, if that has not been done, at once; and gives the copies back. */
void precopy_finish(struct precopy *p);

#endif
