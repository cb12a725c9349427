/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The page server of a lazy restart, and the spare that takes its place.
 *
 * Theory of operation. Two processes hold the target's userfaultfd: the server, which answers its faults from the image and
 * loads the rest in the background, and the spare, which only waits for the server's end on a socket. If the server is killed
 * the spare finds in the ledger how far it was, wakes all who wait so that they ask again, and makes a new spare; if the spare
 * is killed the server makes another. If both are killed at once the switch (switch.h) kills the target. When nothing is owed
 * any more both end, the last descriptor of the userfaultfd is closed, and with it the ranges are watched no longer. They are
 * children of the target's init, so that they end with its pid namespace and nobody else has to wait for them. Tests:
 * lazy-server-killed, lazy-spare-killed, lazy-both-killed, lazy-damaged. */
#ifndef STASIS_LAZY_SERVE_H
#define STASIS_LAZY_SERVE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/report.h"
#include "lazy/ledger.h"
#include "lazy/store.h"
#include "reader.h"

/* The command names by which `ps` shows them, and lazy_find() finds the server. */
#define LAZY_SERVER_NAME "stasis-pages"
#define LAZY_SPARE_NAME "stasis-spare"

/* Why the target was killed, for who stays to tell it; shared memory. */
#define LAZY_WORDS 1024

struct lazy_job {
	struct reporter *rep;
	const struct img_reader *reader;
	const struct img_extent *extents; /* of the target's private memory */
	size_t n_extents;
	struct ledger *ledger;
	int uffd;      /* after the handshake, with all regions registered */
	pid_t pid;     /* the target, as we see it */
	bool prefetch; /* false: only what is touched is loaded, until somebody asks for all of it (lazy_finish) */
	bool own_pids; /* the target has a pid namespace of its own, which the caller's children are born into */
	struct stasis_page_store *store; /* shared with the servers of other restarts; may be NULL */
	char *words;                     /* LAZY_WORDS; may be NULL */
};

struct lazy_pair;

/* Puts a page into every region. To be called before the memory is protected as it was: memory without any page has no anon_vma,
 * and parts of it that get different ones, or none at first, never become one mapping again (Test: lazy-pieces-become-one).
 * Everything that `job` points to stays the caller's and must last. Returns 0 or a negative errno, worded. */
int lazy_create(const struct lazy_job *job, struct lazy_pair **ret);

/* Starts server and spare; returns once both are there. What is not asked for is not loaded before the caller closes
 * `*ret_starter`. Returns 0 or a negative errno, worded. */
int lazy_serve(struct lazy_pair *p, int *ret_starter);

/* What the caller has of them; they go on. NULL is allowed. */
void lazy_destroy(struct lazy_pair *p);

#endif
