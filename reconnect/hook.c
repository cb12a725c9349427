// SPDX-License-Identifier: LGPL-2.1-or-later
/* Runs one hook.
 *
 * Theory of operation. The message lies in a memfd, which is the hook's standard input: whether and how slowly it reads is its
 * own affair. Its two outputs are pipes that we empty while we wait for its end (a pidfd), the time limit or a cancel; its end
 * is what counts, not that of the pipes, which something in the background may hold. Its process group bears its pid, which is
 * ours until we have waited for it, so the group can be killed without hitting anybody else. Test: reconnect-hook.c. */
#include "hook.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"

#ifndef CLOSE_RANGE_CLOEXEC
#define CLOSE_RANGE_CLOEXEC 4u
#endif

#define TERM_GRACE_MS 500  /* between the friendly and the other signal */
#define KILL_GRACE_MS 2000 /* one that sleeps in the kernel for longer is left behind */
#define LINE_MAX_BYTES 512 /* of a line that is passed on */

/* One of its outputs. */
struct stream {
	int fd; /* -1 once it is at its end */
	char line[LINE_MAX_BYTES], last[LINE_MAX_BYTES];
	size_t used; /* of `line` */
	char *keep;  /* HOOK_OUTPUT_MAX + 1 bytes when all of it is wanted, else NULL */
	size_t kept;
};

struct hook {
	struct reporter *rep;
	const struct hook_call *call;
	pid_t pid;
	int pidfd, report; /* `report`: the errno of a failed exec comes from there */
	struct stream out, err;
};

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

__attribute__((format(printf, 3, 4))) static int hook_fail(const struct hook *h, int err, const char *fmt, ...)
{
	const char *outcome = h->call->outcome;
	char text[2 * LINE_MAX_BYTES];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (!h->call->optional)
		return report_fail(h->rep, err, "hook %s (%s): %s%s%s", h->call->program, h->call->event, text,
		                   outcome ? "; " : "", outcome ? outcome : "");
	report_warn(h->rep, "hook %s (%s): %s%s%s", h->call->program, h->call->event, text, outcome ? "; " : "",
	            outcome ? outcome : "");
	return err;
}

/* ---- what it says ---- */

static void line_end(struct hook *h, struct stream *s)
{
	s->line[s->used] = '\0';
	if (s->line[strspn(s->line, " \t\r")]) {
		memcpy(s->last, s->line, s->used + 1);
		report_info(h->rep, "hook %s: %s", h->call->program, s->line);
	}
	s->used = 0;
}

static void stream_take(struct hook *h, struct stream *s, const char *data, size_t n)
{
	if (s->keep) {
		size_t room = HOOK_OUTPUT_MAX + 1 - s->kept, take = n < room ? n : room;
		memcpy(s->keep + s->kept, data, take);
		s->kept += take;
		return;
	}
	for (size_t i = 0; i < n; i++) {
		if (data[i] == '\n')
			line_end(h, s);
		else if (data[i] && s->used < sizeof(s->line) - 1)
			s->line[s->used++] = data[i];
	}
}

/* Takes what is there, but not for ever. */
static void stream_empty(struct hook *h, struct stream *s, int rounds)
{
	char data[16384];

	while (s->fd >= 0 && rounds-- > 0) {
		ssize_t n = read(s->fd, data, sizeof(data));
		if (n > 0) {
			stream_take(h, s, data, (size_t)n);
		} else if (n == 0 || (errno != EINTR && errno != EAGAIN)) {
			close(s->fd);
			s->fd = -1;
		} else if (errno == EAGAIN) {
			return;
		}
	}
}

/* ---- its start ---- */

/* In the new process. `fds`: what becomes 0, 1 and 2, then where to report to; all of them above 2. */
static void become(const struct hook_call *call, const int fds[4])
{
	struct sigaction act = { .sa_handler = SIG_DFL };
	sigset_t none;
	int err;

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGTERM); /* nobody would kill it when it hangs */
	for (int sig = 1; sig < NSIG; sig++)
		sigaction(sig, &act, NULL);
	for (int i = 0; i < 3; i++)
		if (dup2(fds[i], i) < 0)
			goto out;
	syscall(SYS_close_range, 3u, ~0u, CLOSE_RANGE_CLOEXEC);
	if (setenv("STASIS_EVENT", call->event, 1) || setenv("STASIS_IMAGE", call->image ? call->image : "", 1))
		goto out;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execvp(call->program, (char *[]){ (char *)call->program, (char *)call->event, NULL });
out:
	err = errno;
	if (write(fds[3], &err, sizeof(err)) < 0)
		_exit(126);
	_exit(127);
}

/* Moves a descriptor to a number above 2, where nothing of the hook's will be. */
static int lift(int fd)
{
	int high = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 3), err = errno;

	if (fd >= 0)
		close(fd);
	errno = err;
	return high;
}

static int lifted_pipe(int ret[2])
{
	if (pipe2(ret, O_CLOEXEC))
		return -errno;
	ret[0] = lift(ret[0]);
	ret[1] = lift(ret[1]);
	return ret[0] < 0 || ret[1] < 0 ? -EMFILE : 0;
}

static int message_fd(const struct hook_call *call)
{
	AUTO_FREE char *text = json_dumps(call->message, JSON_COMPACT);
	int fd = text ? lift(memfd_create("stasis-hook", MFD_CLOEXEC)) : -1;
	int err = fd < 0 ? -(text ? errno : ENOMEM) : io_write_all(fd, text, strlen(text));

	if (!err && !(err = io_write_all(fd, "\n", 1)) && !lseek(fd, 0, SEEK_SET))
		return fd;
	if (fd >= 0)
		close(fd);
	return err ? err : -EIO;
}

static int start(struct hook *h)
{
	int pipes[3][2] = { { -1, -1 }, { -1, -1 }, { -1, -1 } }, input = message_fd(h->call), err = input < 0 ? input : 0;

	for (int i = 0; i < 3 && !err; i++)
		err = lifted_pipe(pipes[i]);
	if (!err) {
		fflush(NULL);
		h->pid = fork();
		if (h->pid == 0)
			become(h->call, (int[]){ input, pipes[0][1], pipes[1][1], pipes[2][1] });
		err = h->pid < 0 ? -errno : 0;
	}
	if (!err) {
		setpgid(h->pid, h->pid); /* both do it, so that it is so for both */
		h->pidfd = (int)syscall(SYS_pidfd_open, h->pid, 0);
		err = h->pidfd < 0 ? -errno : 0;
	}
	h->out.fd = pipes[0][0];
	h->err.fd = pipes[1][0];
	h->report = pipes[2][0];
	for (int i = 0; i < 3; i++) {
		if (pipes[i][0] >= 0)
			fcntl(pipes[i][0], F_SETFL, O_NONBLOCK);
		if (pipes[i][1] >= 0)
			close(pipes[i][1]);
	}
	if (input >= 0)
		close(input);
	return err;
}

/* ---- its end ---- */

static bool ended_within(const struct hook *h, int ms)
{
	uint64_t end = now_ms() + (uint64_t)ms, now;
	struct pollfd p = { .fd = h->pidfd, .events = POLLIN };

	while ((now = now_ms()) < end)
		if (poll(&p, 1, (int)(end - now)) > 0)
			return true;
	return false;
}

/* The whole group, the friendly way first. It may be stopped (by asking for a terminal). */
static void kill_group(const struct hook *h)
{
	kill(-h->pid, SIGTERM);
	kill(-h->pid, SIGCONT);
	ended_within(h, TERM_GRACE_MS);
	kill(-h->pid, SIGKILL);
	if (ended_within(h, KILL_GRACE_MS))
		waitpid(h->pid, NULL, 0);
}

/* Returns 0 once it has ended, -ETIMEDOUT or -ECANCELED. */
static int await(struct hook *h)
{
	unsigned timeout_ms = h->call->timeout_ms ? h->call->timeout_ms : HOOK_TIMEOUT_MS;
	uint64_t end = now_ms() + timeout_ms, now;
	bool cancelled = report_cancelled(h->rep);

	while ((now = now_ms()) < end) {
		struct pollfd p[] = { { .fd = h->pidfd, .events = POLLIN },
			              { .fd = h->out.fd, .events = POLLIN },
			              { .fd = h->err.fd, .events = POLLIN } };
		int nap = end - now < 100 ? (int)(end - now) : 100; /* a cancel may come just before the poll */

		if (report_cancelled(h->rep) && !cancelled)
			return -ECANCELED;
		if (poll(p, 3, nap) <= 0)
			continue;
		stream_empty(h, &h->out, 8);
		stream_empty(h, &h->err, 8);
		if (p[0].revents)
			return 0;
	}
	return -ETIMEDOUT;
}

static int judge_exec(const struct hook *h, int err)
{
	const char *remedy = "name a program that can be executed";

	if (err == ENOENT && !strchr(h->call->program, '/'))
		return hook_fail(h, -err, "no such program in PATH; give a path, such as ./%s", h->call->program);
	if (err == ENOENT && !access(h->call->program, F_OK))
		remedy = "the interpreter that its first line names is not there";
	else if (err == EACCES)
		remedy = "make it executable (chmod +x)";
	return hook_fail(h, -err, "cannot be started: %s; %s", strerror(err), remedy);
}

static int judge(struct hook *h)
{
	const char *said = h->err.last[0] ? h->err.last : "it said nothing on standard error";
	int status = 0, err = 0;

	while (waitpid(h->pid, &status, 0) < 0 && errno == EINTR)
		;
	if (read(h->report, &err, sizeof(err)) == (ssize_t)sizeof(err))
		return judge_exec(h, err);
	if (WIFSIGNALED(status))
		return hook_fail(h, -EPERM, "was killed by signal %d (%s): %s", WTERMSIG(status), strsignal(WTERMSIG(status)),
		                 said);
	if (WEXITSTATUS(status))
		return hook_fail(h, -EPERM, "ended with status %d: %s", WEXITSTATUS(status), said);
	if (h->out.keep && h->out.kept > HOOK_OUTPUT_MAX)
		return hook_fail(h, -EFBIG, "wrote more than %d bytes to standard output; let it print only what is asked for",
		                 HOOK_OUTPUT_MAX);
	return 0;
}

static int finish(struct hook *h, int err)
{
	unsigned timeout_ms = h->call->timeout_ms ? h->call->timeout_ms : HOOK_TIMEOUT_MS;

	if (err)
		kill_group(h);
	stream_empty(h, &h->out, 64);
	stream_empty(h, &h->err, 64);
	if (h->err.used)
		line_end(h, &h->err);
	if (h->out.used)
		line_end(h, &h->out);
	if (!err)
		return judge(h);
	if (err == -ECANCELED)
		return h->call->optional ? hook_fail(h, err, "killed, as you asked") : err;
	return hook_fail(
	        h, err,
	        "did not end within %g s and was killed%s%s; find out what it waits for, or give it longer with --hook-timeout",
	        timeout_ms / 1000., h->err.last[0] ? ", its last words: " : "", h->err.last);
}

int hook_run(struct reporter *rep, const struct hook_call *call, char **ret_output)
{
	struct hook h = { .rep = rep, .call = call, .pid = -1, .pidfd = -1, .report = -1, .out.fd = -1, .err.fd = -1 };
	int err = 0;

	if (!call->optional && report_cancelled(rep))
		return -ECANCELED;
	if (ret_output && !(h.out.keep = malloc(HOOK_OUTPUT_MAX + 2)))
		err = -ENOMEM;
	if (!err)
		err = start(&h);
	if (!err) {
		err = finish(&h, await(&h));
	} else {
		if (h.pid > 0) { /* only without a pidfd */
			kill(-h.pid, SIGKILL);
			waitpid(h.pid, NULL, 0);
		}
		err = hook_fail(&h, err, "cannot be started: %s", strerror(-err));
	}
	for (int i = 0; i < 4; i++) {
		int fd = (int[]){ h.pidfd, h.report, h.out.fd, h.err.fd }[i];
		if (fd >= 0)
			close(fd);
	}
	if (!err && ret_output) {
		h.out.keep[h.out.kept] = '\0';
		*ret_output = STEAL_PTR(h.out.keep);
	}
	free(h.out.keep);
	return err;
}
