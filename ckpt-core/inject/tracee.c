// SPDX-License-Identifier: LGPL-2.1-or-later
/* One thread under ptrace. PTRACE_SEIZE is used throughout: it sends no signal and does not disturb job control. */
#include "tracee.h"

#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define STOP_OF(status) ((status) >> 16)
#define STOPS_MAX 10000 /* other stops on the way to ours */

int tracee_seize(struct tracee *t, pid_t tid, long options)
{
	*t = (struct tracee){ .tid = tid, .options = options | PTRACE_O_TRACESYSGOOD };
	if (ptrace(PTRACE_SEIZE, tid, NULL, t->options) < 0)
		return -errno;
	t->attached = true;
	return 0;
}

static int set_options(struct tracee *t, long options)
{
	if (ptrace(PTRACE_SETOPTIONS, t->tid, NULL, options) < 0)
		return -errno;
	t->options = options;
	return 0;
}

int tracee_add_options(struct tracee *t, long options)
{
	return set_options(t, t->options | options);
}

int tracee_drop_options(struct tracee *t, long options)
{
	return set_options(t, t->options & ~options);
}

int tracee_interrupt(struct tracee *t)
{
	return ptrace(PTRACE_INTERRUPT, t->tid, NULL, NULL) < 0 ? -errno : 0;
}

int tracee_wait(pid_t tid, unsigned timeout_ms, int *ret_status)
{
	struct timespec start, now, nap = { 0, 20000 };
	unsigned spins = 0;

	clock_gettime(CLOCK_MONOTONIC, &start);
	for (;;) {
		int status;
		/* Without a time limit the kernel may wake us; with one we look often: a stop takes microseconds. */
		pid_t got = waitpid(tid, &status, __WALL | (timeout_ms ? WNOHANG : 0));
		if (got < 0 && errno != EINTR)
			return -errno;
		if (got == tid) {
			*ret_status = status;
			return 0;
		}
		if (!timeout_ms)
			continue;
		clock_gettime(CLOCK_MONOTONIC, &now);
		if ((now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000 >= (long)timeout_ms)
			return -ETIMEDOUT;
		if (++spins > 100)
			nanosleep(&nap, NULL);
	}
}

int tracee_wait_stop(struct tracee *t, unsigned timeout_ms)
{
	for (int i = 0; i < STOPS_MAX; i++) {
		int status, err = tracee_wait(t->tid, timeout_ms, &status);
		if (err)
			return err == -ECHILD ? -ESRCH : err;
		if (!WIFSTOPPED(status)) {
			t->attached = false;
			return -ESRCH;
		}
		if (STOP_OF(status) == PTRACE_EVENT_STOP) {
			t->stopped = true;
			t->group_stop = WSTOPSIG(status) != SIGTRAP;
			return 0;
		}
		/* A signal on its way: deliver it, our own stop comes right after. It must be asked for again, and first: any stop
		 * clears the wish (ptrace_stop in kernel/signal.c), and where signals come fast enough another would be next. */
		int sig = STOP_OF(status) ? 0 : WSTOPSIG(status);
		if (sig == (SIGTRAP | 0x80))
			sig = 0;
		if (tracee_interrupt(t) || ptrace(PTRACE_CONT, t->tid, NULL, (void *)(long)sig) < 0)
			return -errno;
	}
	return -ETIMEDOUT;
}

/* One signal is taken in each round: a thread that has one pending does not get to run. Where somebody else has taken the SIGSTOP out
 * (a SIGCONT does that) it may run for a moment. */
int tracee_drop_stop(struct tracee *t)
{
	bool dropped = false;
	int err = t->altered ? tracee_store(t) : 0;

	for (int i = 0; i < STOPS_MAX && !err && !dropped; i++) {
		int status = 0, sig = 0;

		if (ptrace(PTRACE_CONT, t->tid, NULL, NULL) < 0)
			return -errno;
		err = tracee_wait(t->tid, 100, &status);
		if (!err && !WIFSTOPPED(status))
			return -ESRCH;
		if (!err && !STOP_OF(status))
			sig = WSTOPSIG(status) == (SIGTRAP | 0x80) ? 0 : WSTOPSIG(status);
		dropped = err == -ETIMEDOUT || sig == SIGSTOP;
		if (!err && STOP_OF(status) == PTRACE_EVENT_STOP)
			continue;
		if ((err = tracee_interrupt(t)))
			return err;
		if (status && ptrace(PTRACE_CONT, t->tid, NULL, (void *)(long)(sig == SIGSTOP ? 0 : sig)) < 0)
			return -errno;
		err = tracee_wait_stop(t, 1000);
	}
	return err ? err : tracee_load(t);
}

int tracee_get_regs(pid_t tid, struct user_regs_struct *ret)
{
	struct iovec iov = { ret, sizeof(*ret) };

	return ptrace(PTRACE_GETREGSET, tid, (void *)NT_PRSTATUS, &iov) < 0 ? -errno : 0;
}

int tracee_set_regs(pid_t tid, const struct user_regs_struct *regs)
{
	struct iovec iov = { (void *)regs, sizeof(*regs) };

	return ptrace(PTRACE_SETREGSET, tid, (void *)NT_PRSTATUS, &iov) < 0 ? -errno : 0;
}

int tracee_get_xstate(pid_t tid, void **ret_data, size_t *ret_size)
{
	size_t room = 64 * 1024; /* the kernel fills in what there is: at most some 11 KiB with AMX */
	void *data = malloc(room);
	struct iovec iov = { data, room };

	if (!data)
		return -ENOMEM;
	if (ptrace(PTRACE_GETREGSET, tid, (void *)NT_X86_XSTATE, &iov) < 0) {
		int err = -errno;
		free(data);
		return err;
	}
	*ret_data = data;
	*ret_size = iov.iov_len;
	return 0;
}

int tracee_set_xstate(pid_t tid, const void *data, size_t size)
{
	struct iovec iov = { (void *)data, size };

	return ptrace(PTRACE_SETREGSET, tid, (void *)NT_X86_XSTATE, &iov) < 0 ? -errno : 0;
}

int tracee_load(struct tracee *t)
{
	int err = tracee_get_regs(t->tid, &t->regs);

	if (err)
		return err;
	if (ptrace(PTRACE_GETSIGMASK, t->tid, (void *)sizeof(t->sigmask), &t->sigmask) < 0)
		return -errno;
	t->altered = false;
	return 0;
}

int tracee_store(struct tracee *t)
{
	int err = tracee_set_regs(t->tid, &t->regs);

	if (err)
		return err;
	if (ptrace(PTRACE_SETSIGMASK, t->tid, (void *)sizeof(t->sigmask), &t->sigmask) < 0)
		return -errno;
	t->altered = false;
	return 0;
}

int tracee_detach(struct tracee *t)
{
	int err = 0;

	if (!t->attached)
		return 0;
	if (t->stopped && t->altered)
		err = tracee_store(t);
	/* A thread that was stopped by job control goes back to that stop by itself: __ptrace_unlink in kernel/ptrace.c. */
	if (ptrace(PTRACE_DETACH, t->tid, NULL, NULL) < 0 && errno != ESRCH && !err)
		err = -errno;
	t->attached = t->stopped = false;
	return err;
}
