// SPDX-License-Identifier: LGPL-2.1-or-later
/* The snapshot child.
 *
 * Theory of operation. A plain child of the target would end as a zombie that only the target could reap. So the worker makes a
 * helper that shares memory and descriptors (no exit signal), the helper forks the snapshot child and exits, and the worker
 * reaps the helper; the target is stopped throughout. The child's parent is then the init or subreaper above the target,
 * which reaps it when we end it. Helper and child are traced from birth (PTRACE_O_TRACECLONE); should we die, their next
 * instruction is exit_group (see stub-x86.S). The child closes every descriptor at once, so that no pipe, lock or socket of the
 * target lives longer than the target wants. Tests: image-is-of-one-instant, killed-checkpoints. */
#include "inject/snapshot.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/cleanup.h"

#define CALLS 64

static int snapshot_advise(struct tracee *worker, const struct batch_place *place, const struct snapshot_range *ranges,
                           size_t n, struct undo_journal *journal)
{
	int err = 0;

	for (size_t i = 0; i < n && !err;) {
		struct batch b;
		err = batch_begin(&b, worker, place, CALLS);
		for (; !err && i < n && batch_calls_left(&b) >= 2; i++) {
			const struct snapshot_range *r = &ranges[i];
			uint64_t size = r->end - r->start;
			if (r->dontfork && !(err = undo_note_madvise(journal, worker->tid, r->start, size, MADV_DONTFORK)))
				batch_call(&b, SYS_madvise, 0, r->start, size, MADV_DOFORK);
			if (!err && r->wipeonfork &&
			    !(err = undo_note_madvise(journal, worker->tid, r->start, size, MADV_WIPEONFORK)))
				batch_call(&b, SYS_madvise, 0, r->start, size, MADV_KEEPONFORK);
		}
		if (!err)
			err = batch_run(&b);
		batch_finish(&b);
	}
	return err;
}

/* Runs one call in a task that is to end with it or stay in its stop for ever. */
static int snapshot_last_call(struct tracee *t, const struct batch_place *place, uint32_t nr, uint64_t a0, uint64_t a1)
{
	struct batch b;
	int err = batch_begin(&b, t, place, 1);

	if (err)
		return err;
	batch_call(&b, nr, INJECT_MAY_FAIL, a0, a1, 0);
	err = batch_run(&b);
	batch_finish(&b);
	return err;
}

static int worker_reap(struct tracee *worker, const struct batch_place *place, pid_t ns_helper)
{
	struct batch b;
	int err = batch_begin(&b, worker, place, 1);

	if (err)
		return err;
	batch_call(&b, SYS_wait4, 0, (uint64_t)ns_helper, 0, __WALL, 0);
	err = batch_run(&b);
	batch_finish(&b);
	return err;
}

/* The child carries what its memory held at its birth: the calls of the batch and the stub. The worker has its own bytes again
 * by now: they are copied over. */
static int child_clean(const struct tracee *worker, const struct tracee *child, const struct batch_place *place)
{
	AUTO_FREE uint8_t *own = malloc(place->size);

	if (!own)
		return -ENOMEM;
	int err = inject_read(worker->tid, place->area, own, place->size);
	if (!err)
		err = inject_write(child->tid, place->area, own, place->size);
	memset(own, 0, INJECT_STUB_ROOM);
	return err ? err : inject_write(child->tid, place->stub, own, INJECT_STUB_ROOM);
}

static int snapshot_make(struct tracee *worker, const struct batch_place *place, struct undo_journal *journal, pid_t *ret_child)
{
	struct batch_place there = *place;
	struct tracee helper, child;

	there.home = BATCH_HOME_EXIT;
	int err = batch_clone(worker, place, SYS_clone, CLONE_VM | CLONE_FS | CLONE_FILES, NULL, 0, &helper);
	if (err)
		return err;
	/* Once the stub is gone nothing is left for them to run: they end with us (the child inherits the option). */
	if (!(err = undo_note_reap(journal, worker->tid, helper.ns_tid)) &&
	    !(err = tracee_add_options(&helper, PTRACE_O_EXITKILL)) &&
	    !(err = batch_clone(&helper, &there, SYS_clone, 0, NULL, 0, &child)) &&
	    !(err = undo_note_child(journal, child.tid)) &&
	    !(err = snapshot_last_call(&child, &there, SYS_close_range, 0, ~0u)) && !(err = child_clean(worker, &child, place)))
		*ret_child = child.tid;
	int err2 = snapshot_last_call(&helper, &there, SYS_exit_group, 0, 0);
	if (err2 != -ESRCH)
		kill(helper.tid, SIGKILL);
	if (!err)
		err = worker_reap(worker, place, helper.ns_tid);
	return err;
}

int snapshot_fork(struct tracee *worker, const struct batch_place *place, const struct snapshot_range *ranges, size_t n_ranges,
                  struct undo_journal *journal, pid_t *ret_child)
{
	int err = snapshot_advise(worker, place, ranges, n_ranges, journal);

	return err ? err : snapshot_make(worker, place, journal, ret_child);
}

void snapshot_end(pid_t child)
{
	kill(child, SIGKILL);
	while (waitpid(child, NULL, __WALL) < 0 && errno == EINTR)
		;
}

int snapshot_sweep(struct tracee *worker, const struct batch_place *place)
{
	struct batch b;
	int err = batch_begin(&b, worker, place, 32);

	if (err)
		return err;
	/* Only helpers have no exit signal and are waited for with __WCLONE; there is one for each time we were killed. */
	for (int i = 0; i < 32; i++)
		batch_call(&b, SYS_wait4, INJECT_MAY_FAIL, (uint64_t)-1, 0, __WCLONE | WNOHANG, 0);
	err = batch_run(&b);
	batch_finish(&b);
	return err;
}
