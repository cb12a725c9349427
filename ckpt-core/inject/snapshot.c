// SPDX-License-Identifier: LGPL-2.1-or-later
/* The snapshot child.
 *
 * Theory of operation. A plain child of the target would end as a zombie that only the target could reap. So the worker makes a
 * helper that shares memory and descriptors (helper.h), the helper forks the snapshot child and exits, and the worker
 * reaps the helper; the target is stopped throughout. The child's parent is then the init or subreaper above the target,
 * which reaps it when we end it. Helper and child are traced from birth (PTRACE_O_TRACECLONE); should we die, their next
 * instruction is exit_group (see stub-x86.S). The child closes every descriptor at once, so that no pipe, lock or socket of the
 * target lives longer than the target wants. Tests: image-is-of-one-instant, killed-checkpoints. */
#include "inject/snapshot.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "inject/helper.h"

#define CALLS 64

static int snapshot_advise(struct tracee *worker, const struct batch_place *place, const struct snapshot_range *ranges,
                           size_t n, struct undo_journal *journal)
{
	int err = 0;

	for (size_t i = 0; i < n && !err;) {
		struct batch b;
		err = batch_begin(&b, worker, place, CALLS);
		for (; !err && i < n && batch_calls_left(&b) >= 3; i++) {
			const struct snapshot_range *r = &ranges[i];
			uint64_t size = r->end - r->start;
			if (r->dontfork && !(err = undo_note_madvise(journal, worker->tid, r->start, size, MADV_DONTFORK)))
				batch_call(&b, SYS_madvise, 0, r->start, size, MADV_DOFORK);
			if (!err && r->leave_out && !(err = undo_note_madvise(journal, worker->tid, r->start, size, MADV_DOFORK)))
				batch_call(&b, SYS_madvise, 0, r->start, size, MADV_DONTFORK);
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
	struct tracee child;
	struct helper h;
	int err = helper_begin(worker, place, true, journal, &h);

	if (err)
		return err;
	if (!(err = batch_clone(&h.task, &h.place, SYS_clone, 0, NULL, 0, &child)) && !(err = undo_note_child(journal, child.tid)) &&
	    !(err = helper_call(&h, &child, SYS_close_range, 0, ~0u, NULL)) && !(err = child_clean(worker, &child, place)))
		*ret_child = child.tid;
	int err2 = helper_end(&h, !err);
	return err ? err : err2;
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
