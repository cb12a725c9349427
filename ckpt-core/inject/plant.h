/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finds room for the stub and for scratch memory in a living target, without mapping anything there. */
#ifndef STASIS_INJECT_PLANT_H
#define STASIS_INJECT_PLANT_H

#include "base/report.h"
#include "inject/batch.h"
#include "inject/freeze.h"
#include "inject/undo.h"
#include "proc/maps.h"

/* Writes the stub into the zero padding at the end of an executable mapping and notes it in the journal, which takes it out
 * again. `*ret_stub` is its address. Errors, worded: -ENOSPC no such room. */
int plant_stub(struct reporter *rep, struct frozen *f, const struct proc_vma *vmas, size_t n_vmas, struct undo_journal *journal,
	       uint64_t *ret_stub);

/* Scratch memory for one thread: the dead part of its stack, at most `max` bytes, at least 8 KiB. Returns -ENOSPC (nothing is
 * said) when its stack pointer does not point into writable memory with so much room below. */
int plant_area(const struct frozen *f, const struct tracee *t, const struct proc_vma *vmas, size_t n_vmas, size_t max, uint64_t stub,
	       struct batch_place *ret);

/* The thread best suited for calls on behalf of the whole process: one with room, not in a call that cannot go on unseen. */
struct tracee *plant_worker(struct frozen *f, const struct proc_vma *vmas, size_t n_vmas, size_t max, uint64_t stub, struct batch_place *ret);

#endif
