/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A task of ours for a moment: shares the memory of the stopped target, makes calls in its place and ends without a trace. What
 * it has that the target has not (descriptors of its own, a child of its own) never shows in the target.
 *
 * It has no exit signal, so that only the worker that made it can wait for it; and it is traced from birth: should we die, its
 * next instruction is exit_group (see stub-x86.S). */
#ifndef STASIS_INJECT_HELPER_H
#define STASIS_INJECT_HELPER_H

#include "inject/batch.h"
#include "inject/undo.h"

struct helper {
	struct tracee task;
	struct tracee *worker;
	struct batch_place place; /* to make calls in it */
};

/* `files`: it shares the target's descriptors; else it has copies of them. On failure nothing is left to end. Returns 0 or a
 * negative errno, not worded. */
int helper_begin(struct tracee *worker, const struct batch_place *place, bool files, struct undo_journal *journal,
                 struct helper *ret);

/* One call; its result, an errno included, goes to `*ret_result`. Returns 0 or a negative errno: it was not made. `t` is the
 * helper's task, or a child of it. */
int helper_call(const struct helper *h, struct tracee *t, uint32_t nr, uint64_t a0, uint64_t a1, int64_t *ret_result);

/* Ends it. `ok`: and has the worker reap it; after a failure the undo list does that. */
int helper_end(struct helper *h, bool ok);

#endif
