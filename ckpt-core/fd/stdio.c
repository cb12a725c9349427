// SPDX-License-Identifier: LGPL-2.1-or-later
/* The descriptors 0-2 of whoever restarts take the place of a terminal, or of a pipe or socket that led out of the tree.
 *
 * A terminal is opened anew, so that the status flags which the target sets (O_NONBLOCK) stay its own and do not leak into the
 * shell that lent it. Anything else is lent as it is. Tests: fd-stdio.c. */
#include "fd/plan.h"

#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

int fd_stdio_plan(struct fd_plan *plan, struct findings *findings)
{
	if (!plan->o.stdio_inherit)
		return 0;
	vec_each(&plan->slots, slot) {
		char object[32], action[64];

		if (!slot->file->r.stdio || slot->r.fd > 2)
			continue;
		slot->file->foreign_fd = true;
		snprintf(object, sizeof(object), "fd %d", slot->r.fd);
		snprintf(action, sizeof(action), "becomes descriptor %d of this command", slot->r.fd);
		int err = findings_add(findings, object, slot->file->kind->name, action, NULL, NULL);
		if (err)
			return err;
	}
	return 0;
}

/* The description at `fd` once more with its own flags, if it is a terminal that lets itself be opened; else the same one. */
static int take(int fd, int flags)
{
	char path[32];
	int fresh = -1;

	if (fcntl(fd, F_GETFD) < 0)
		fresh = open("/dev/null", O_RDWR | O_CLOEXEC);
	else if (isatty(fd)) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		fresh = open(path, (flags & O_ACCMODE) | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	}
	if (fresh < 0)
		fresh = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return fresh < 0 ? -errno : fresh;
}

/* Two numbers of ours that share a description, for two of the target that do. */
static int find_twin(const struct fd_plan *plan, const struct fd_slot *slot)
{
	vec_each(&plan->slots, other) {
		int fd = other->r.fd;

		if (other->file == slot->file && fd < slot->r.fd && plan->stdio_fd[fd] >= 0 &&
		    !syscall(SYS_kcmp, getpid(), getpid(), KCMP_FILE, (unsigned long)fd, (unsigned long)slot->r.fd))
			return plan->stdio_fd[fd];
	}
	return -1;
}

int fd_stdio_prepare(struct fd_plan *plan)
{
	vec_each(&plan->slots, slot) {
		int n = slot->r.fd;

		if (!slot->file->foreign_fd || n > 2 || plan->stdio_fd[n] >= 0)
			continue;
		int twin = find_twin(plan, slot),
		    fd = twin >= 0 ? fcntl(twin, F_DUPFD_CLOEXEC, 3) : take(n, (int)slot->file->r.flags);
		if (fd < 0)
			return report_fail(plan->rep, -EMFILE, "descriptor %d of this command cannot be passed on: %s", n,
			                   strerror(fd == -1 ? errno : -fd));
		plan->stdio_fd[n] = fd_plan_adopt(plan, fd);
		if (plan->stdio_fd[n] < 0)
			return plan->stdio_fd[n];
	}
	return 0;
}

/* Of the status flags only O_NONBLOCK is the target's: O_APPEND of a redirection is the user's. */
int fd_stdio_commit(struct fd_plan *plan)
{
	vec_each(&plan->slots, slot) {
		int n = slot->r.fd, now, want;

		if (!slot->file->foreign_fd || n > 2 || plan->stdio_fd[n] < 0)
			continue;
		now = fcntl(plan->stdio_fd[n], F_GETFL);
		want = (now & ~O_NONBLOCK) | ((int)slot->file->r.flags & O_NONBLOCK);
		if (now >= 0 && want != now && fcntl(plan->stdio_fd[n], F_SETFL, want))
			report_warn(plan->rep, "descriptor %d: blocking mode cannot be set: %s", n, strerror(errno));
	}
	return 0;
}
