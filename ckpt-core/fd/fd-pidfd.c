// SPDX-License-Identifier: LGPL-2.1-or-later
/* pidfds of processes of the tree, and of processes that have ended. Tests: fd-pidfd.c. */
#include "fd/kinds.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <linux/sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL /* 6.9; pidfds keep it among their flags */
#endif

struct pidfd_state {
	uint32_t file;
	int32_t pid; /* as the target sees it; 0 = has ended */
};

static const struct img_field pidfd_fields[] = {
	IMG_FIELD_REQUIRED(1, pidfd_state, file, IMG_U32, IMG_DEC),
	IMG_FIELD(2, pidfd_state, pid, IMG_I32, IMG_DEC),
};
const struct img_schema fd_pidfd_schema = IMG_SCHEMA("PIDF", 1, IMG_MUST_UNDERSTAND, "pidfd", pidfd_state, pidfd_fields);

static bool pidfd_claim(const struct fd_look *look)
{
	return look->info->has_pidfd && (!strcmp(look->link, "anon_inode:[pidfd]") || !strncmp(look->link, "pidfd:", 6));
}

static int pidfd_inspect(struct fd_capture *cap, struct fd_file *file, const struct fd_look *look)
{
	struct pidfd_state *state = file->state;

	(void)cap;
	file->own = look->info->pid > 0 ? (unsigned)look->info->pid : 0;
	if (look->info->pid > 0 && look->info->nspid.n)
		state->pid = look->info->nspid.id[look->info->nspid.n - 1];
	return 0;
}

static int pidfd_check(struct fd_capture *cap, struct fd_file *file, struct fd_verdict *v)
{
	if (!file->own)
		fd_verdict_action(v, "restored as the pidfd of a process that has ended");
	else if (file->r.flags & PIDFD_THREAD)
		fd_verdict_obstacle(v, "have the program close it first",
		                    "pidfds of single threads cannot be restored yet (thread %u)", file->own);
	else if (fd_capture_process_index(cap, (pid_t)file->own) < 0)
		fd_verdict_obstacle(v, "have the program close it first",
		                    "it refers to process %u, which is not part of the target", file->own);
	else
		fd_verdict_action(v, "opened again for process %u", file->own);
	return 0;
}

/* The pidfd of a child that has come and gone. */
static int ended_pidfd(void)
{
	int fd = -1;
	struct clone_args args = { .flags = CLONE_PIDFD, .pidfd = (uintptr_t)&fd };
	pid_t child = (pid_t)syscall(SYS_clone3, &args, sizeof(args));

	if (child < 0)
		return -errno;
	if (child == 0)
		syscall(SYS_exit_group, 0);
	while (waitpid(child, NULL, __WALL) < 0 && errno == EINTR)
		;
	return fd;
}

/* In stage 1: only there does the pid mean that process. */
static int pidfd_install(struct fd_plan *plan, struct fd_file *file, uint32_t process)
{
	const struct pidfd_state *state = file->state;
	int fd, err;

	(void)process;
	if (state->pid)
		fd = (int)syscall(SYS_pidfd_open, state->pid, 0);
	else
		fd = ended_pidfd();
	if (fd < 0)
		return report_fail(plan->rep, state->pid ? -errno : fd, "fd %d (pidfd of process %d): %s", file->slot_fd,
		                   state->pid, strerror(state->pid ? errno : -fd));
	err = fd_set_status(plan, file, fd);
	if (err) {
		close(fd);
		return err;
	}
	file->fd = fd_plan_adopt(plan, fd);
	return file->fd < 0 ? file->fd : 0;
}

const struct fd_kind fd_kind_pidfd = {
	.name = "pidfd",
	.state_schema = &fd_pidfd_schema,
	.claim = pidfd_claim,
	.inspect = pidfd_inspect,
	.check = pidfd_check,
	.install = pidfd_install,
};
