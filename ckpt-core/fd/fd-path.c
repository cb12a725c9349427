// SPDX-License-Identifier: LGPL-2.1-or-later
/* What is opened again by its path and has no contents of its own: O_PATH descriptors, and the kernel's files in proc, sysfs
 * and their like. Tests: fd-regular.c. */
#include "fd/kinds.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>

#include "base/io.h"
#include "proc/status.h"

static bool path_claim(const struct fd_look *look)
{
	return (look->info->flags & O_PATH) && look->link[0] == '/';
}

static int path_check(struct fd_capture *cap, struct fd_file *file, struct fd_verdict *v)
{
	struct stat st;

	(void)cap;
	if (lstat(file->r.path, &st) || st.st_ino != file->st.st_ino || st.st_dev != file->st.st_dev)
		fd_verdict_obstacle(v, "have the program close it first", "%s: no path leads to it any more", file->r.path);
	else
		fd_verdict_action(v, "%s: looked up again (O_PATH)", file->r.path);
	return 0;
}

static int path_plan(struct fd_plan *plan, struct fd_file *file, struct fd_verdict *v)
{
	AUTO_FREE char *owned = NULL;
	struct stat st;
	bool mapped;
	int err = fd_plan_path(plan, file->r.path, &owned, &mapped);

	if (err)
		return err;
	const char *path = owned ? owned : file->r.path;
	if (lstat(path, &st))
		fd_verdict_obstacle(v, "make it, or point elsewhere with --map file:OLD=NEW", "%s: %s", path, strerror(errno));
	else if (S_ISLNK(file->r.mode) != S_ISLNK(st.st_mode) && S_ISLNK(file->r.mode))
		fd_verdict_obstacle(v, "point elsewhere with --map file:OLD=NEW", "%s is no symbolic link any more", path);
	return v->err;
}

static int path_prepare(struct fd_plan *plan, struct fd_file *file)
{
	AUTO_FREE char *owned = NULL;
	char name[PATH_MAX + 32];
	bool mapped;
	int err = fd_plan_path(plan, file->r.path, &owned, &mapped);

	if (err)
		return err;
	const char *path = owned ? owned : file->r.path;
	int fd = open(path, fd_open_flags(file) | (S_ISLNK(file->r.mode) ? O_NOFOLLOW : 0));
	if (fd < 0)
		return report_fail(plan->rep, -errno, "%s: %s: %s", fd_file_name(file, name, sizeof(name)), path,
		                   strerror(errno));
	file->fd = fd_plan_adopt(plan, fd);
	return file->fd < 0 ? file->fd : 0;
}

const struct fd_kind fd_kind_path = {
	.name = "path",
	.claim = path_claim,
	.check = path_check,
	.plan = path_plan,
	.prepare = path_prepare,
};

/* ---- files of the kernel ---- */

static bool kernel_claim(const struct fd_look *look)
{
	static const uint32_t types[] = { PROC_SUPER_MAGIC,    SYSFS_MAGIC,   CGROUP_SUPER_MAGIC,
		                          CGROUP2_SUPER_MAGIC, DEBUGFS_MAGIC, TRACEFS_MAGIC,
		                          SECURITYFS_MAGIC,    SELINUX_MAGIC, EFIVARFS_MAGIC };
	struct statfs fs;

	if (!(S_ISREG(look->st->st_mode) || S_ISDIR(look->st->st_mode)) || look->link[0] != '/' || fstatfs(look->copy, &fs))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if ((uint32_t)fs.f_type == types[i])
			return true;
	return false;
}

/* The length of "/proc/PID" at the beginning of `path` if that is the process itself, by any number that it has in a pid
 * namespace; else 0. */
static size_t own_proc(pid_t pid, const char *path)
{
	AUTO_FREE char *text = NULL;
	struct proc_status st;
	size_t size, found = 0;

	if (io_read_filef(&text, &size, "/proc/%d/status", pid) || proc_status_parse(text, size, &st))
		return 0;
	for (unsigned i = 0; i < st.nspid.n && !found; i++) {
		char own[32];
		size_t n = (size_t)snprintf(own, sizeof(own), "/proc/%d", st.nspid.id[i]);
		if (!strncmp(path, own, n) && (!path[n] || path[n] == '/'))
			found = n;
	}
	proc_status_finish(&st);
	return found;
}

/* /proc/PID/... of the process itself: its pid may be another one in the proc that a restart has, so it is named "self". */
static int kernel_inspect(struct fd_capture *cap, struct fd_file *file, const struct fd_look *look)
{
	size_t n = own_proc(look->proc->pid, file->r.path);
	char *self;

	(void)cap;
	if (!n)
		return 0;
	if (asprintf(&self, "/proc/self%s", file->r.path + n) < 0)
		return -ENOMEM;
	free(file->r.path);
	file->r.path = self;
	return 0;
}

static int kernel_check(struct fd_capture *cap, struct fd_file *file, struct fd_verdict *v)
{
	int pid;

	(void)cap;
	if (strcmp(file->r.path, file->link) && strncmp(file->r.path, "/proc/self", 10))
		fd_verdict_obstacle(v, "have the program close it first", "%s: what it belonged to is gone", file->r.path);
	else if (sscanf(file->r.path, "/proc/%d", &pid) == 1)
		fd_verdict_obstacle(v, "have the program close it first", "%s belongs to another process", file->r.path);
	else
		fd_verdict_action(v, "%s: opened again", file->r.path);
	return 0;
}

static int kernel_plan(struct fd_plan *plan, struct fd_file *file, struct fd_verdict *v)
{
	(void)plan;
	if (access(file->r.path, F_OK) && strncmp(file->r.path, "/proc/self/", 11))
		fd_verdict_obstacle(v, "restart under a kernel that has it", "%s: %s", file->r.path, strerror(errno));
	return v->err;
}

/* In stage 1, since "self" is the process that opens it. */
static int kernel_install(struct fd_plan *plan, struct fd_file *file, uint32_t process)
{
	char name[PATH_MAX + 32];
	int fd = open(file->r.path, fd_open_flags(file));

	(void)process;
	if (fd < 0)
		return report_fail(plan->rep, -errno, "%s: %s: %s", fd_file_name(file, name, sizeof(name)), file->r.path,
		                   strerror(errno));
	if (file->r.pos && lseek(fd, (off_t)file->r.pos, SEEK_SET) < 0)
		report_warn(plan->rep, "%s: reading starts over", fd_file_name(file, name, sizeof(name)));
	file->fd = fd_plan_adopt(plan, fd);
	return file->fd < 0 ? file->fd : 0;
}

const struct fd_kind fd_kind_kernel = {
	.name = "kernel file",
	.claim = kernel_claim,
	.inspect = kernel_inspect,
	.check = kernel_check,
	.plan = kernel_plan,
	.install = kernel_install,
};
