// SPDX-License-Identifier: LGPL-2.1-or-later
/* Helpers: made, used and ended by batches of one call. */
#include "inject/helper.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>

int helper_call(const struct helper *h, struct tracee *t, uint32_t nr, uint64_t a0, uint64_t a1, int64_t *ret_result)
{
	struct batch b;
	int err = batch_begin(&b, t, &h->place, 1);

	if (err)
		return err;
	const struct inject_call *call = batch_call(&b, nr, INJECT_MAY_FAIL, a0, a1, 0);
	err = batch_run(&b);
	if (!err && ret_result)
		*ret_result = call->result;
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

int helper_begin(struct tracee *worker, const struct batch_place *place, bool files, struct undo_journal *journal,
                 struct helper *ret)
{
	struct helper h = { .worker = worker, .place = *place };
	int err = batch_clone(worker, place, SYS_clone, CLONE_VM | CLONE_FS | (files ? CLONE_FILES : 0), NULL, 0, &h.task);

	if (err)
		return err;
	h.place.home = BATCH_HOME_EXIT;
	/* Once the stub is gone nothing is left for it to run: it ends with us (a child of it inherits the option). */
	if ((err = undo_note_reap(journal, worker->tid, h.task.ns_tid)) ||
	    (err = tracee_add_options(&h.task, PTRACE_O_EXITKILL))) {
		helper_end(&h, false);
		return err;
	}
	*ret = h;
	return 0;
}

int helper_end(struct helper *h, bool ok)
{
	struct batch_place place = h->place;

	if (helper_call(h, &h->task, SYS_exit_group, 0, 0, NULL) != -ESRCH)
		kill(h->task.tid, SIGKILL);
	place.home = BATCH_HOME_RETURN;
	return ok ? worker_reap(h->worker, &place, h->task.ns_tid) : 0;
}
