// SPDX-License-Identifier: LGPL-2.1-or-later
/* What of a process as a whole stands in the way of a checkpoint. Only looks; the process runs on. */
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "collect/collect.h"
#include "proc/stat.h"
#include "proc/status.h"

/* A zombie without an exit signal is the helper of a checkpoint that was killed (inject/snapshot.c); this one reaps it. */
static bool is_left_helper(pid_t pid)
{
	AUTO_FREE char *text = NULL;
	struct proc_stat st;
	size_t size;

	return !io_read_filef(&text, &size, "/proc/%d/stat", pid) && !proc_stat_parse(text, size, &st) && st.state == 'Z' && st.exit_signal == 0;
}

int collect_children(pid_t pid, struct findings *findings)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	AUTO_CLOSEDIR DIR *dir = opendir(path);

	for (struct dirent *e; dir && (e = readdir(dir));) {
		AUTO_FREE char *text = NULL;
		if (atoi(e->d_name) <= 0 || io_read_filef(&text, NULL, "/proc/%d/task/%s/children", pid, e->d_name))
			continue;
		for (char *save, *tok = strtok_r(text, " \n", &save); tok; tok = strtok_r(NULL, " \n", &save)) {
			AUTO_FREE char *comm = NULL;
			char object[32];
			io_read_filef(&comm, NULL, "/proc/%s/comm", tok);
			if (comm)
				comm[strcspn(comm, "\n")] = '\0';
			if (is_left_helper(atoi(tok)))
				continue;
			snprintf(object, sizeof(object), "process %s", tok);
			int err = findings_obstacle(findings, object, "child process", "end that process first, or start the target without it",
						    "child processes cannot be checkpointed yet: %s", comm ? comm : "?");
			if (err)
				return err;
		}
	}
	return 0;
}

static int obstacles_of_status(struct reporter *rep, pid_t pid, struct findings *findings)
{
	AUTO_FREE char *text = NULL;
	struct proc_status st;
	char object[32];
	size_t size;
	int err = io_read_filef(&text, &size, "/proc/%d/status", pid);

	snprintf(object, sizeof(object), "process %d", pid);
	if (err == -ENOENT || err == -ESRCH)
		return report_fail(rep, -ESRCH, "process %d: no such process; `stasis ps` lists the targets it knows", pid);
	if (err || (err = proc_status_parse(text, size, &st)))
		return report_fail(rep, err, "process %d: its status cannot be read: %s", pid, strerror(-err));
	if (st.tgid != pid)
		err = report_fail(rep, -EINVAL, "process %d: this is a thread of process %d; name that process instead", pid, st.tgid);
	else if (st.kthread)
		err = report_fail(rep, -EINVAL, "process %d: this is a kernel thread, not a program", pid);
	else if (st.state == 'Z' || st.state == 'X')
		err = report_fail(rep, -ESRCH, "process %d: it has ended already (zombie)", pid);
	else if (st.tracerpid && st.tracerpid != getpid())
		err = findings_obstacle(findings, object, "traced", "detach the debugger or strace, or wait for the other checkpoint",
					"it is traced by process %d", st.tracerpid);
	if (!err && st.seccomp == 1)
		err = findings_obstacle(findings, object, "seccomp", "start the target without it",
					"strict seccomp forbids every call that a checkpoint needs");
	if (!err && st.seccomp == 2 && geteuid() != 0)
		err = findings_obstacle(findings, object, "seccomp", "run stasis as root, or start the target without it (QEMU: no -sandbox)",
					"a seccomp filter can only be suspended and saved by root");
	proc_status_finish(&st);
	return err;
}

/* A program may change into 32-bit code later on as well: see freeze.c. */
static int obstacles_of_program(pid_t pid, struct findings *findings)
{
	unsigned char ident[EI_CLASS + 1] = { 0 };
	char path[32], object[32];

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	snprintf(object, sizeof(object), "process %d", pid);
	AUTO_CLOSE int exe = open(path, O_RDONLY | O_CLOEXEC);
	if (exe < 0 || io_pread_all(exe, ident, sizeof(ident), 0) || memcmp(ident, ELFMAG, SELFMAG) || ident[EI_CLASS] != ELFCLASS32)
		return 0;
	return findings_obstacle(findings, object, "32-bit program", "use the program's 64-bit build",
				 "it runs 32-bit code, which is not supported");
}

int collect_obstacles(struct reporter *rep, pid_t pid, struct findings *findings)
{
	char path[32];
	int err;

	if (pid == getpid() || pid == getppid())
		return report_fail(rep, -EINVAL, "process %d: this is stasis itself or its caller, which cannot be checkpointed", pid);
	if ((err = obstacles_of_status(rep, pid, findings)) || (err = obstacles_of_program(pid, findings)))
		return err;
	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	AUTO_CLOSE int mem = open(path, O_RDONLY | O_CLOEXEC);
	if (mem < 0)
		return report_fail(rep, -errno, "process %d: its memory is not accessible: %s; run stasis as the same user or as root", pid,
				   strerror(errno));
	return collect_children(pid, findings);
}
