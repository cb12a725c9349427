/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A copy-on-write picture of a frozen process: a child forked inside it, invisible to the target, from which the memory is read
 * while the target runs on. */
#ifndef STASIS_INJECT_SNAPSHOT_H
#define STASIS_INJECT_SNAPSHOT_H

#include "inject/batch.h"
#include "inject/undo.h"

struct snapshot_range {
	uint64_t start, end;
	bool dontfork, wipeonfork; /* the advice that it bears */
	bool leave_out;            /* of the child, though it bears none */
};

/* Forks through `worker`. `ranges`: memory that a fork would leave out or wipe, or that it is to leave out; its advice is changed for the
 * moment (and put back by the undo list). The child holds no descriptor of the target and never runs its code. It is attached and stopped;
 * `*ret_child` is its pid as we see it; once it is set the undo list has the child. Errors, not worded: -ENOMEM, -EAGAIN when there is no room
 * for one more process. */
int snapshot_fork(struct tracee *worker, const struct batch_place *place, const struct snapshot_range *ranges, size_t n_ranges,
		  struct undo_journal *journal, pid_t *ret_child);

/* Reaps helpers that are still there because both our processes were killed at the worst moment: zombies without an exit
 * signal. Only to be called when the target has no other child. */
int snapshot_sweep(struct tracee *worker, const struct batch_place *place);

/* Ends the child. */
void snapshot_end(pid_t child);

#endif
