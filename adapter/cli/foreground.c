// SPDX-License-Identifier: LGPL-2.1-or-later
/* Stays as the parent of a restarted target.
 *
 * Theory of operation. The target is either in our own process group or leads one of its own.
 * In our group, the terminal's Ctrl-C, Ctrl-\, Ctrl-Z and hang-up reach it without our help, so what the kernel sent us
 * (si_code SI_KERNEL) is not passed on again; what somebody sent us with kill(1) is.
 * In a group of its own we do what a shell does for a job: put that group in the foreground when we are there, take the
 * terminal back when the target stops, stop ourselves by the same signal so that our shell notices, and when we are
 * continued give the terminal to the target again and continue it. If our own group is orphaned, stopping has no effect
 * and the target goes on at once, as it would have without us. If that group is of another session it cannot have our
 * terminal; then what the terminal sends us is passed on to the whole group.
 * Signals are blocked and read from a signalfd, so that nothing is lost between two looks. */
#include "foreground.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cancel.h"
#include "process.h"

static const int passed_signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT, SIGTSTP };

struct watch {
	struct foreground *fg;
	struct reporter *rep;
	const struct stasis_restarted *target;
	bool left_stopped; /* by the restart, which is not news */
	sigset_t ignored; /* by us before the restart (nohup, a shell's background job) */
};

/* ---- the terminal ---- */

void foreground_init(struct foreground *fg, bool detached)
{
	*fg = (struct foreground){ .tty = detached ? -1 : open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY) };
	if (fg->tty >= 0 && tcgetpgrp(fg->tty) == getpgrp())
		fg->has_settings = !tcgetattr(fg->tty, &fg->settings);
}

/* Gives the foreground to `to` if `from` has it. SIGTTOU is ignored (cancel.h), so this works from the background as well. */
static bool hand_over(const struct foreground *fg, pid_t from, pid_t to)
{
	return fg->tty >= 0 && tcgetpgrp(fg->tty) == from && !tcsetpgrp(fg->tty, to);
}

/* Compared member by member: the struct has padding. */
static bool same_settings(const struct termios *a, const struct termios *b)
{
	return a->c_iflag == b->c_iflag && a->c_oflag == b->c_oflag && a->c_cflag == b->c_cflag && a->c_lflag == b->c_lflag &&
	       !memcmp(a->c_cc, b->c_cc, sizeof(a->c_cc));
}

void foreground_give(struct foreground *fg, pid_t pid)
{
	pid_t group = getpgid(pid);

	if (group <= 0 || group == getpgrp())
		return;
	fg->group = group;
	fg->has_job = getsid(pid) == getsid(0);
	if (fg->has_job)
		hand_over(fg, getpgrp(), group);
}

void foreground_finish(struct foreground *fg)
{
	struct termios now;

	if (fg->tty < 0)
		return;
	if (fg->has_job)
		hand_over(fg, fg->group, getpgrp());
	if (fg->has_settings && tcgetpgrp(fg->tty) == getpgrp() && !tcgetattr(fg->tty, &now) &&
	    !same_settings(&now, &fg->settings))
		tcsetattr(fg->tty, TCSADRAIN, &fg->settings);
	close(fg->tty);
	fg->tty = -1;
}

/* ---- signals ---- */

static void send_target(const struct watch *w, int sig)
{
	/* Its end is told by status_fd; a signal that comes too late has nobody to reach. */
	if (w->target->pidfd >= 0 && syscall(SYS_pidfd_send_signal, w->target->pidfd, sig, NULL, 0) && errno != ESRCH)
		report_warn(w->rep, "cannot pass signal %d on to pid %d: %s", sig, w->target->pid, strerror(errno));
}

static void continue_target(const struct watch *w)
{
	if (w->fg->group)
		kill(-w->fg->group, SIGCONT);
	else
		send_target(w, SIGCONT);
}

static void pass_on(const struct watch *w, const struct signalfd_siginfo *info)
{
	int sig = (int)info->ssi_signo;
	bool by_kernel = info->ssi_code == SI_KERNEL;

	if (sig == SIGCONT) {
		if (w->fg->has_job)
			hand_over(w->fg, getpgrp(), w->fg->group);
		continue_target(w);
		return;
	}
	if (by_kernel && !w->fg->group)
		return;
	/* A shell hangs its jobs up with kill(), and nohup is meant to stop that. */
	if (sigismember(&w->ignored, sig) && (by_kernel || sig == SIGHUP))
		return;
	if (by_kernel)
		kill(-w->fg->group, sig);
	else
		send_target(w, sig);
}

static int read_signals(const struct watch *w, int fd)
{
	struct signalfd_siginfo info;
	ssize_t n;

	while ((n = read(fd, &info, sizeof(info))) == (ssize_t)sizeof(info))
		pass_on(w, &info);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		return report_fail(w->rep, -errno, "cannot read signals: %s", strerror(errno));
	return 0;
}

/* Stops us the way the target was stopped; returns when we were continued, or at once when our group is orphaned. */
static void stop_ourselves(int sig)
{
	struct sigaction act = { .sa_handler = SIG_DFL }, old;
	sigset_t set, mask;

	sigemptyset(&act.sa_mask);
	sigemptyset(&set);
	sigaddset(&set, sig);
	if (sig != SIGSTOP)
		sigaction(sig, &act, &old);
	raise(sig);
	sigprocmask(SIG_UNBLOCK, &set, &mask); /* a blocked one strikes here */
	sigprocmask(SIG_SETMASK, &mask, NULL);
	if (sig != SIGSTOP)
		sigaction(sig, &old, NULL);
}

static void target_stopped(struct watch *w, int sig)
{
	struct proc_stat st;
	bool wanted_terminal = sig == SIGTTIN || sig == SIGTTOU;

	if (w->left_stopped) {
		w->left_stopped = false;
		return;
	}
	/* Without a terminal there is no shell that would continue us. And the news may be old, the target may run again. */
	if (w->fg->tty < 0 || process_stat(w->target->pid, &st) || st.state != 'T')
		return;
	/* It asked for the terminal just before we gave it. */
	if (wanted_terminal && w->fg->has_job && tcgetpgrp(w->fg->tty) == w->fg->group) {
		continue_target(w);
		return;
	}
	if (w->fg->has_job)
		hand_over(w->fg, w->fg->group, getpgrp());
	stop_ourselves(sig);
	if (w->fg->has_job)
		hand_over(w->fg, getpgrp(), w->fg->group);
	continue_target(w);
}

/* ---- waiting ---- */

/* Returns 1 when the target has ended, 0 when it has not, or a negative errno. */
static int read_status(struct watch *w, int *ret_status)
{
	int status;
	ssize_t n = read(w->target->status_fd, &status, sizeof(status));

	if (n < 0 && errno == EINTR)
		return 0;
	if (n < 0)
		return report_fail(w->rep, -errno, "cannot learn how pid %d ended: %s", w->target->pid, strerror(errno));
	if (n != (ssize_t)sizeof(status))
		status = SIGKILL; /* its keeper was killed, and the target with it */
	if (WIFSTOPPED(status)) {
		target_stopped(w, WSTOPSIG(status));
		return 0;
	}
	*ret_status = status;
	return 1;
}

static int watch_loop(struct watch *w, int signal_fd, int *ret_status)
{
	struct pollfd p[] = { { .fd = signal_fd, .events = POLLIN }, { .fd = w->target->status_fd, .events = POLLIN } };
	int got = 0;

	while (!got) {
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return report_fail(w->rep, -errno, "cannot wait for pid %d: %s", w->target->pid, strerror(errno));
		if (p[0].revents && (got = read_signals(w, signal_fd)))
			return got;
		if (p[1].revents)
			got = read_status(w, ret_status);
	}
	return got < 0 ? got : 0;
}

int foreground_wait(struct foreground *fg, struct reporter *rep, const struct stasis_restarted *target, bool left_stopped,
		    int *ret_status)
{
	struct watch w = { .fg = fg, .rep = rep, .target = target, .left_stopped = left_stopped };
	sigset_t set, mask;

	sigemptyset(&set);
	sigemptyset(&w.ignored);
	for (size_t i = 0; i < ARRAY_SIZE(passed_signals); i++) {
		struct sigaction act;
		sigaddset(&set, passed_signals[i]);
		if (!sigaction(passed_signals[i], NULL, &act) && act.sa_handler == SIG_IGN && passed_signals[i] != SIGTSTP)
			sigaddset(&w.ignored, passed_signals[i]);
	}
	/* Blocked signals are queued even when they are ignored: sig_ignored() in the kernel's signal.c. */
	sigprocmask(SIG_BLOCK, &set, &mask);
	AUTO_CLOSE int signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signal_fd < 0)
		return report_fail(rep, -errno, "cannot receive signals: %s", strerror(errno));
	/* Came in the last instant of the restart, too late to cancel it. */
	if (cancel_signal())
		send_target(&w, cancel_signal());
	int err = watch_loop(&w, signal_fd, ret_status);
	if (!err && target->init > 0)
		while (waitpid(target->init, NULL, __WALL) < 0 && errno == EINTR)
			;
	sigprocmask(SIG_SETMASK, &mask, NULL);
	return err;
}

int foreground_status(int status)
{
	struct rlimit none = { 0, 0 };
	int sig = WTERMSIG(status);
	sigset_t set;

	if (!WIFSIGNALED(status))
		return WEXITSTATUS(status);
	setrlimit(RLIMIT_CORE, &none);
	signal(sig, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, sig);
	raise(sig);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	return 128 + sig;
}
