// SPDX-License-Identifier: LGPL-2.1-or-later
/* Stop a process and let it go.
 *
 * Theory of operation. Threads may be born while we attach, so /proc/PID/task is read again until a pass finds nobody new:
 * every thread seen is stopped by then, so nobody is left to make another. Attaching (PTRACE_SEIZE) and asking to stop
 * (PTRACE_INTERRUPT) disturb nothing: no signal is sent, and a detach undoes both, at any point, also when it is the kernel's own
 * because we died. Test: threads-come-and-go. */
#include "freeze.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "inject/resume.h"
#include "proc/stat.h"
#include "proc/status.h"

#define PASSES 1000 /* a process that makes threads faster than we stop them */

struct tracee *freeze_thread(struct frozen *f, pid_t tid)
{
	vec_each(&f->threads, t)
		if (t->tid == tid)
			return t;
	return NULL;
}

/* 1: a user thread to be stopped, 0: not (a worker, ended, gone). */
static int thread_wanted(struct reporter *rep, pid_t pid, pid_t tid)
{
	AUTO_FREE char *text = NULL;
	struct proc_stat st;
	size_t size;

	if (io_read_filef(&text, &size, "/proc/%d/task/%d/stat", pid, tid) < 0)
		return 0;
	int err = proc_stat_parse(text, size, &st);
	if (err)
		return report_fail(rep, err, "thread %d: its stat is not understood", tid);
	if (st.flags & (PROC_PF_IO_WORKER | PROC_PF_USER_WORKER | PROC_PF_KTHREAD))
		return 0;
	if (st.state == 'Z' || st.state == 'X') {
		if (tid != pid)
			return 0;
		return report_fail(rep, -ENOTSUP, "process %d: its main thread has ended%s; nothing to checkpoint", pid,
				   st.num_threads > 1 ? " while others go on, which is not supported" : "");
	}
	return 1;
}

static int thread_ids(struct reporter *rep, struct tracee *t)
{
	AUTO_FREE char *text = NULL;
	struct proc_status st;
	size_t size;
	int err = io_read_filef(&text, &size, "/proc/%d/status", t->tid);

	if (err || (err = proc_status_parse(text, size, &st)))
		return report_fail(rep, err, "thread %d: its status cannot be read: %s", t->tid, strerror(-err));
	/* Our calls must pass the target's filters; children made by them inherit the option. */
	if (st.seccomp == 2 && (err = tracee_add_options(t, PTRACE_O_SUSPEND_SECCOMP)))
		report_fail(rep, err, "thread %d: its seccomp filter cannot be suspended: %s; run as root (CAP_SYS_ADMIN)", t->tid, strerror(-err));
	t->ns_tid = st.nspid.n ? st.nspid.id[st.nspid.n - 1] : st.pid;
	t->ns_tgid = st.nstgid.n ? st.nstgid.id[st.nstgid.n - 1] : st.tgid;
	proc_status_finish(&st);
	return err;
}

/* A thread on its way out cannot be attached any more (EPERM in ptrace_attach, kernel/ptrace.c) and needs no stopping. */
static bool thread_ends(pid_t pid, pid_t tid)
{
	AUTO_FREE char *text = NULL;
	struct proc_stat st;
	size_t size;

	if (io_read_filef(&text, &size, "/proc/%d/task/%d/stat", pid, tid) || proc_stat_parse(text, size, &st))
		return true;
	return st.state == 'Z' || st.state == 'X' || st.flags & PROC_PF_EXITING;
}

static int seize_failed(struct reporter *rep, pid_t pid, pid_t tid, int err)
{
	if (err == -ESRCH || (err == -EPERM && thread_ends(pid, tid)))
		return -ESRCH; /* a thread that just ended; the caller knows what that means */
	if (err == -EPERM)
		return report_fail(rep, err,
				   "process %d: not allowed to stop thread %d: it belongs to another user, is traced already (a debugger, "
				   "strace, another checkpoint), or kernel.yama.ptrace_scope forbids it; run as its owner or as root",
				   pid, tid);
	return report_fail(rep, err, "process %d: thread %d cannot be stopped: %s", pid, tid, strerror(-err));
}

/* One pass over the task directory; `*ret_new` counts the threads that were not known yet. */
static int freeze_pass(struct reporter *rep, struct frozen *f, unsigned *ret_new)
{
	char path[32];
	unsigned n_new = 0;
	snprintf(path, sizeof(path), "/proc/%d/task", f->pid);
	AUTO_CLOSEDIR DIR *dir = opendir(path);

	if (!dir)
		return report_fail(rep, -ESRCH, "process %d: no such process", f->pid);
	for (struct dirent *e; (e = readdir(dir));) {
		pid_t tid = (pid_t)atoi(e->d_name);
		struct tracee t;
		if (tid <= 0 || freeze_thread(f, tid))
			continue;
		int wanted = thread_wanted(rep, f->pid, tid);
		if (wanted < 0)
			return wanted;
		if (!wanted)
			continue;
		int err = tracee_seize(&t, tid, 0);
		if (!err && !(err = tracee_interrupt(&t)) && (err = vec_push(&f->threads, t)))
			return err;
		if (err && (err = seize_failed(rep, f->pid, tid, err)) != -ESRCH)
			return err;
		n_new += !err;
	}
	*ret_new = n_new;
	return 0;
}

static int stop_failed(struct reporter *rep, pid_t pid, pid_t tid, unsigned timeout_ms, int err)
{
	if (err == -ETIMEDOUT)
		return report_fail(rep, err,
				   "process %d: thread %d did not stop within %u ms: it is in an uninterruptible wait (D in ps: a "
				   "slow disk or NFS, a vfork); wait for that to end, or give it longer with --timeout",
				   pid, tid, timeout_ms);
	return report_fail(rep, err, "process %d: thread %d cannot be stopped: %s", pid, tid, strerror(-err));
}

static int freeze_wait(struct reporter *rep, struct frozen *f, unsigned timeout_ms)
{
	for (size_t i = 0; i < f->threads.n; i++) {
		struct tracee *t = &f->threads.items[i];
		if (t->stopped)
			continue;
		int err = tracee_wait_stop(t, timeout_ms);
		if (err == -ESRCH && t->tid != f->pid) { /* it ended before it could stop */
			memmove(t, t + 1, (f->threads.n - i - 1) * sizeof(*t));
			f->threads.n--;
			i--;
			continue;
		}
		if (err == -ESRCH)
			return report_fail(rep, err, "process %d: it ended while it was being stopped", f->pid);
		if (err)
			return stop_failed(rep, f->pid, t->tid, timeout_ms, err);
	}
	return 0;
}

/* A signal with a handler is about to be delivered: the EINTR is its own, not ours. */
static bool handler_due(const struct tracee *t)
{
	AUTO_FREE char *text = NULL;
	struct proc_status st;
	size_t size;

	if (io_read_filef(&text, &size, "/proc/%d/status", t->tid) || proc_status_parse(text, size, &st))
		return true;
	bool due = (st.sigpnd | st.shdpnd) & ~t->sigmask & st.sigcgt;
	proc_status_finish(&st);
	return due;
}

/* A call that would show an EINTR of our making is set to be issued again at once, so that the target sees nothing of it even if
 * we are killed. Test: killed-controller-leaves-target-running. */
static int hide_eintr(struct tracee *t)
{
	if (!resume_shows_eintr(&t->regs) || handler_due(t))
		return 0;
	resume_reissue(&t->regs);
	return tracee_store(t);
}

int freeze_process(struct reporter *rep, pid_t pid, unsigned timeout_ms, struct frozen *ret)
{
	struct frozen f = { .pid = pid };
	unsigned n_new = 1;
	int err = 0;

	for (int i = 0; i < PASSES && n_new && !err; i++) {
		if (!(err = freeze_pass(rep, &f, &n_new)))
			err = freeze_wait(rep, &f, timeout_ms);
	}
	if (!err && n_new)
		err = report_fail(rep, -EAGAIN, "process %d: it makes threads faster than they can be stopped; try again", pid);
	if (!err && (!f.threads.n || f.threads.items[0].tid != pid))
		err = report_fail(rep, -ESRCH, "process %d: no such process", pid);
	vec_each(&f.threads, t) {
		if (err)
			break;
		if ((err = tracee_load(t)) || (err = hide_eintr(t)))
			report_fail(rep, err, "process %d: registers of thread %d cannot be read: %s", pid, t->tid, strerror(-err));
		else if (t->regs.cs != 0x33)
			err = report_fail(rep, -ENOTSUP, "process %d: thread %d runs 32-bit code, which is not supported", pid, t->tid);
		else
			err = thread_ids(rep, t);
	}
	if (err) {
		freeze_thaw(&f);
		return err;
	}
	f.ns_pid = f.threads.items[0].ns_tid;
	*ret = f;
	return 0;
}

/* Whether this system call may end in memory of its caller being written to by hardware. ioctl: SG_IO and the like, which wait
 * uninterruptibly. */
static bool call_reads(long nr, pid_t pid, pid_t tid)
{
	AUTO_FREE char *text = NULL;
	struct proc_stat st;
	size_t size;

	switch (nr) {
	case SYS_read: case SYS_pread64: case SYS_readv: case SYS_preadv: case SYS_preadv2:
		return true;
	case SYS_ioctl:
		return io_read_filef(&text, &size, "/proc/%d/task/%d/stat", pid, tid) || proc_stat_parse(text, size, &st) || st.state == 'D';
	default:
		return false;
	}
}

/* Whether the thread is known to wait for something else: then what it did before has come to its end. proc(5): "running", or the
 * number of the call it is in, or -1. */
static bool thread_waits(pid_t pid, pid_t tid)
{
	AUTO_FREE char *text = NULL;
	char *end;

	if (io_read_filef(&text, NULL, "/proc/%d/task/%d/syscall", pid, tid))
		return false;
	const long nr = strtol(text, &end, 10);
	return end != text && !call_reads(nr, pid, tid);
}

static int drain_thread(struct reporter *rep, pid_t pid, pid_t tid, unsigned timeout_ms)
{
	struct tracee t;
	int err = tracee_seize(&t, tid, 0);

	if (err)
		return (err = seize_failed(rep, pid, tid, err)) == -ESRCH ? 0 : err;
	if (!(err = tracee_interrupt(&t)))
		err = tracee_wait_stop(&t, timeout_ms);
	if (!err && !(err = tracee_load(&t)))
		err = hide_eintr(&t);
	int err2 = tracee_detach(&t);
	err = err ? err : err2;
	return err && err != -ESRCH ? stop_failed(rep, pid, tid, timeout_ms, err) : 0;
}

int freeze_drain(struct reporter *rep, pid_t pid, unsigned timeout_ms)
{
	char path[32];
	int err = 0;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	AUTO_CLOSEDIR DIR *dir = opendir(path);
	if (!dir)
		return report_fail(rep, -ESRCH, "process %d: no such process", pid);
	for (struct dirent *e; !err && (e = readdir(dir));) {
		const pid_t tid = (pid_t)atoi(e->d_name);
		if (tid > 0 && !thread_waits(pid, tid) && (err = thread_wanted(rep, pid, tid)) > 0)
			err = drain_thread(rep, pid, tid, timeout_ms);
	}
	return err;
}

#define LEAVE_STEPS 20000
#define LEAVE_TRIES 500

/* One instruction on. A step ends in SIGTRAP, which the kernel forces: blocked or ignored, its action would be reset to the default
 * for good (force_sig_info_to_task in kernel/signal.c). So it is unblocked meanwhile, and leave_by_running used when ignored. */
static int leave_by_steps(struct tracee *t, uint64_t start, uint64_t end)
{
	uint64_t mask = ~(1ul << (SIGTRAP - 1));
	int status, err = 0;

	if (ptrace(PTRACE_SETSIGMASK, t->tid, (void *)sizeof(mask), &mask) < 0)
		return -errno;
	for (int i = 0; i < LEAVE_STEPS && !err && t->regs.rip >= start && t->regs.rip < end; i++) {
		if (ptrace(PTRACE_SINGLESTEP, t->tid, NULL, NULL) < 0)
			err = -errno;
		else if (!(err = tracee_wait(t->tid, 0, &status)) && !WIFSTOPPED(status))
			err = -ESRCH;
		else if (!err)
			err = tracee_get_regs(t->tid, &t->regs);
	}
	t->altered = true;
	int err2 = tracee_store(t);
	return err ? err : err2;
}

static int leave_by_running(struct tracee *t, uint64_t start, uint64_t end)
{
	int err = 0;

	for (int i = 0; i < LEAVE_TRIES && !err && t->regs.rip >= start && t->regs.rip < end; i++) {
		if (ptrace(PTRACE_CONT, t->tid, NULL, NULL) < 0)
			err = -errno;
		else if (!(err = tracee_interrupt(t)) && !(err = tracee_wait_stop(t, 1000)))
			err = tracee_load(t);
	}
	return err;
}

static bool ignores_trap(const struct tracee *t)
{
	AUTO_FREE char *text = NULL;
	struct proc_status st;
	size_t size;

	if (io_read_filef(&text, &size, "/proc/%d/status", t->tid) || proc_status_parse(text, size, &st))
		return true;
	bool ignored = st.sigign & 1ul << (SIGTRAP - 1);
	proc_status_finish(&st);
	return ignored;
}

int freeze_leave(struct reporter *rep, struct frozen *f, uint64_t start, uint64_t end)
{
	vec_each(&f->threads, t) {
		if (t->regs.rip < start || t->regs.rip >= end)
			continue;
		int err = ignores_trap(t) ? leave_by_running(t, start, end) : leave_by_steps(t, start, end);
		if (err)
			return report_fail(rep, err, "process %d: thread %d cannot be led out of the vdso: %s", f->pid, t->tid, strerror(-err));
		if (t->regs.rip >= start && t->regs.rip < end)
			report_warn(rep, "thread %d is in the vdso all the time: the image will need a kernel with the same vdso", t->tid);
	}
	return 0;
}

/* Signals that our mask held off are in the kernel's queue still; only those that were taken in a stop must be sent again. */
static void send_put_off(struct frozen *f)
{
	vec_each(&f->threads, t) {
		for (int sig = 1; sig <= 64 && t->put_off; sig++) {
			if (t->put_off & 1ul << (sig - 1))
				syscall(SYS_tgkill, f->pid, t->tid, sig);
			t->put_off &= ~(1ul << (sig - 1));
		}
	}
}

int freeze_thaw(struct frozen *f)
{
	int err = 0;

	send_put_off(f);
	vec_each(&f->threads, t) {
		int err2 = tracee_detach(t);
		err = err ? err : err2;
	}
	freeze_finish(f);
	return err;
}

void freeze_finish(struct frozen *f)
{
	vec_finish(&f->threads);
}
