// SPDX-License-Identifier: LGPL-2.1-or-later
/* Detaching: two forks with a setsid between them, and a pipe home. */
#include "detach.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "cancel.h"
#include "command.h"

/* What travels through the pipe: first the detached process' pid, then its result. */
struct detach_note {
	enum { DETACH_STARTED = 1, DETACH_RESULT } kind;
	int value;
};

/* Waits for the result; what asks us to stop is passed on. The signals are let in only while we wait, so none is missed. */
static int detach_wait(struct reporter *rep, int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct detach_note note;
	pid_t worker = 0;
	bool passed = false;
	sigset_t all, mask;

	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &mask);
	for (;;) {
		if (worker && cancel_signal() && !passed) {
			kill(worker, cancel_signal());
			passed = true;
		}
		if (ppoll(&p, 1, NULL, &mask) < 0)
			continue;
		if (read(fd, &note, sizeof(note)) != (ssize_t)sizeof(note)) {
			report_fail(rep, -EPIPE, "the detached process was killed before the restart was complete");
			return CLI_NOT_STARTED;
		}
		if (note.kind == DETACH_RESULT)
			return note.value;
		worker = note.value;
	}
}

static void detach_send(int fd, struct detach_note note)
{
	/* Whoever called us may be gone; SIGPIPE is ignored (cancel.h). */
	(void)io_write_all(fd, &note, sizeof(note));
}

int detach_start(struct reporter *rep, int *keep, struct detach *ret)
{
	int ends[2];

	cancel_install();
	if (pipe2(ends, O_CLOEXEC))
		return report_fail(rep, -errno, "cannot make a pipe: %s", strerror(errno)), CLI_NOT_STARTED;
	pid_t child = fork();
	if (child < 0) {
		report_fail(rep, -errno, "cannot fork: %s", strerror(errno));
		close(ends[0]);
		close(ends[1]);
		return CLI_NOT_STARTED;
	}
	if (child > 0) {
		close(ends[1]);
		while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
			;
		int status = detach_wait(rep, ends[0]);
		close(ends[0]);
		return status;
	}
	close(ends[0]);
	setsid();
	child = fork();
	if (child > 0)
		_exit(0);
	if (child < 0) {
		report_fail(rep, -errno, "cannot fork: %s", strerror(errno));
		detach_send(ends[1], (struct detach_note){ DETACH_RESULT, CLI_NOT_STARTED });
		_exit(CLI_NOT_STARTED);
	}
	detach_send(ends[1], (struct detach_note){ DETACH_STARTED, getpid() });
	/* Whatever else the caller had open must not be held open by us for the life of the target. */
	int kept = keep ? fcntl(*keep, F_DUPFD_CLOEXEC, 5) : -1; /* out of the way of the other */
	if (ends[1] != 3) {
		dup3(ends[1], 3, O_CLOEXEC);
		ends[1] = 3;
	}
	if (keep)
		*keep = kept < 0 ? -1 : dup3(kept, 4, O_CLOEXEC);
	close_range(keep ? 5 : 4, ~0u, 0);
	ret->fd = ends[1];
	return -1;
}

void detach_done(struct detach *d, int status)
{
	if (d->fd < 0)
		return;
	detach_send(d->fd, (struct detach_note){ DETACH_RESULT, status });
	close(d->fd);
	d->fd = -1;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null >= 0) {
		for (int fd = 0; fd <= 2; fd++)
			dup2(null, fd);
		if (null > 2)
			close(null);
	}
	if (chdir("/"))
		return; /* then we hold the caller's directory, no more */
}
