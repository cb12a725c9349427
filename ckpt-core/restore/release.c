// SPDX-License-Identifier: LGPL-2.1-or-later
/* The last steps: the leader closes our descriptors, gets its dumpable flag and pending signals, unmaps the region it is working
 * from, and at the exit of that very call gets its own registers. Then everybody runs.
 *
 * The unmapping call is stepped with PTRACE_SYSCALL: at its exit stop no instruction of the stub is left to be fetched. Itimers
 * are running by now and may have queued signals; they are blocked by the batch's mask and delivered after the release. */
#include <errno.h>
#include <linux/close_range.h>
#include <linux/prctl.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "restore/threads.h"

static const struct rec_thread *thread_record(const struct restore *r, const struct newborn *nb, const struct tracee *t)
{
	for_each_of(r, threads, rec, nb->rec->index)
		if (rec->tid == t->ns_tid)
			return rec;
	return NULL;
}

static int leader_last_batch(struct restore *r, struct newborn *nb)
{
	struct tracee *leader = &nb->threads.items[0];
	struct batch_place place = nb->place;
	struct batch b;
	int first, last;

	place.tell = threads_tell_signal(r, thread_record(r, nb, leader));
	int err = batch_begin(&b, leader, &place, 1024);
	if (err)
		return err;
	fd_plan_backing_range(r->files, &first, &last);
	if (last >= first)
		batch_call(&b, SYS_close_range, 0, (uint64_t)first, (uint64_t)last, 0);
	batch_call(&b, SYS_close, 0, (uint64_t)nb->sock);
	if (r->exe_fd >= 0)
		batch_call(&b, SYS_close, 0, (uint64_t)r->exe_fd);
	if (nb->rec->dumpable == 0 || nb->rec->dumpable == 1)
		batch_call(&b, SYS_prctl, 0, PR_SET_DUMPABLE, (uint64_t)nb->rec->dumpable);
	threads_add_pending(&b, &nb->rec->pending, SYS_rt_sigqueueinfo, nb->rec->pid, 0);
	err = batch_run(&b);
	batch_finish(&b);
	return err ? report_fail(r->rep, err, "restart: the last calls in process %d failed: %s", nb->rec->pid, strerror(-err)) : 0;
}

/* Goes on to the next syscall stop; anything else that stops the thread meanwhile is a signal that must wait. */
static int step_syscall(struct tracee *t)
{
	for (;;) {
		int status, err;
		if (ptrace(PTRACE_SYSCALL, t->tid, NULL, NULL) < 0)
			return -errno;
		if ((err = tracee_wait(t->tid, 0, &status)))
			return err;
		if (!WIFSTOPPED(status))
			return -ESRCH;
		if (WSTOPSIG(status) == (SIGTRAP | 0x80))
			return 0;
	}
}

static int unmap_region(struct restore *r, struct newborn *nb)
{
	struct tracee *t = &nb->threads.items[0];
	struct user_regs_struct regs = t->regs;
	uint64_t all = ~0ul;
	size_t size;
	const uint8_t *code = inject_stub_code(&size);
	int err = 0;

	/* Any syscall instruction of the stub will do. */
	for (regs.rip = 0; regs.rip + 1 < size && !(code[regs.rip] == 0x0f && code[regs.rip + 1] == 0x05);)
		regs.rip++;
	regs.rip += r->region;
	regs.rax = SYS_munmap;
	regs.rdi = r->region;
	regs.rsi = REGION_SIZE;
	regs.orig_rax = (unsigned long)-1;
	if (ptrace(PTRACE_SETSIGMASK, t->tid, (void *)sizeof(all), &all) < 0)
		err = -errno;
	if (!err && !(err = tracee_set_regs(t->tid, &regs)) && !(err = step_syscall(t)) && !(err = step_syscall(t)) &&
	    !(err = tracee_get_regs(t->tid, &regs)) && regs.rax)
		err = (int)(long)regs.rax;
	return err ? report_fail(r->rep, err, "restart: our own memory in process %d cannot be unmapped: %s", nb->rec->pid, strerror(-err)) : 0;
}

int release_prepare(struct restore *r, struct newborn *nb)
{
	int err = leader_last_batch(r, nb);

	if (err || (err = unmap_region(r, nb)))
		return err;
	vec_each(&nb->threads, t) {
		const struct rec_thread *rec = thread_record(r, nb, t);
		memcpy(&t->regs, rec->regs.data, sizeof(t->regs));
		t->regs.orig_rax = (unsigned long)-1;
		t->sigmask = rec->sigmask;
		if ((err = tracee_store(t)))
			return report_fail(r->rep, err, "restart: registers of thread %d are refused: %s", rec->tid, strerror(-err));
	}
	return 0;
}

int release_run(struct restore *r, struct newborn *nb)
{
	int err = 0;

	if (nb->rec->stopped || r->opt->stopped)
		kill(nb->pid, SIGSTOP);
	vec_each(&nb->threads, t) {
		int err2 = tracee_detach(t);
		err = err ? err : err2;
	}
	vec_finish(&nb->threads);
	if (nb->starter >= 0)
		close(nb->starter);
	return err ? report_fail(r->rep, err, "restart: a thread could not be let go: %s", strerror(-err)) : 0;
}
