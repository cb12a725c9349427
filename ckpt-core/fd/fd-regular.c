// SPDX-License-Identifier: LGPL-2.1-or-later
/* Regular files, memfds and directories: opened again with their flags and offset. What is in a file, and which file it is, is
 * the backing file's business (back.h). Tests: fd-regular.c, fd-memfd.c. */
#include "fd/kinds.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>

#include "fd/back.h"

#ifndef SECRETMEM_MAGIC
#define SECRETMEM_MAGIC 0x5345434d
#endif
#ifndef DMA_BUF_MAGIC
#define DMA_BUF_MAGIC 0x444d4142
#endif
#define MQUEUE_MAGIC 0x19800202 /* ipc/mqueue.c */

/* Inodes that call themselves regular and are not. */
static bool is_file(const struct fd_look *look)
{
	struct statfs fs;

	if (!S_ISREG(look->st->st_mode) || look->link[0] != '/' || fstatfs(look->copy, &fs))
		return false;
	return (uint32_t)fs.f_type != SECRETMEM_MAGIC && (uint32_t)fs.f_type != DMA_BUF_MAGIC &&
	       (uint32_t)fs.f_type != MQUEUE_MAGIC;
}

static bool memfd_claim(const struct fd_look *look)
{
	return !strncmp(look->link, "/memfd:", 7) && is_file(look);
}

static int file_inspect(struct fd_capture *cap, struct fd_file *file, const struct fd_look *look)
{
	return fd_back_for_file(cap, file, look);
}

static int file_check(struct fd_capture *cap, struct fd_file *file, struct fd_verdict *v)
{
	const struct fd_back *back = cap->backs.items[file->r.backing - 1];
	const char *path = file->r.path;

	if (back->kind == FD_BACK_REGULAR && back->r.log && (file->r.flags & O_ACCMODE) != O_RDONLY)
		fd_verdict_action(v, "%s: opened again, written on at the end", path);
	else if (back->kind == FD_BACK_REGULAR)
		fd_verdict_action(v, "%s: opened again at offset %llu", path, (unsigned long long)file->r.pos);
	else
		fd_verdict_action(v, "%s: made again, at offset %llu", path, (unsigned long long)file->r.pos);
	return 0;
}

static int file_prepare(struct fd_plan *plan, struct fd_file *file)
{
	struct fd_back *back = fd_plan_back(plan, file->r.backing);
	char name[PATH_MAX + 32];

	if (!back)
		return report_fail(plan->rep, -EBADMSG, "%s: the image says nothing about the file behind it; it is damaged",
		                   fd_file_name(file, name, sizeof(name)));
	int fd = fd_back_open(plan, back, file);
	if (fd < 0)
		return fd;
	/* A log has grown since, or was begun anew: it is written on at its end. */
	bool at_end = back->r.log && (file->r.flags & O_ACCMODE) == O_WRONLY;
	if (lseek(fd, at_end ? 0 : (off_t)file->r.pos, at_end ? SEEK_END : SEEK_SET) < 0) {
		int err = -errno;

		close(fd);
		return report_fail(plan->rep, err, "%s: offset %llu cannot be set: %s", fd_file_name(file, name, sizeof(name)),
		                   (unsigned long long)file->r.pos, strerror(-err));
	}
	file->fd = fd_plan_adopt(plan, fd);
	return file->fd < 0 ? file->fd : 0;
}

const struct fd_kind fd_kind_memfd = {
	.name = "memfd",
	.claim = memfd_claim,
	.inspect = file_inspect,
	.check = file_check,
	.prepare = file_prepare,
};

const struct fd_kind fd_kind_regular = {
	.name = "regular",
	.claim = is_file,
	.inspect = file_inspect,
	.check = file_check,
	.prepare = file_prepare,
};

/* ---- directories ---- */

static bool directory_claim(const struct fd_look *look)
{
	return S_ISDIR(look->st->st_mode) && look->link[0] == '/';
}

static int directory_inspect(struct fd_capture *cap, struct fd_file *file, const struct fd_look *look)
{
	(void)cap;
	file->r.deleted = look->st->st_nlink == 0;
	return 0;
}

static int directory_check(struct fd_capture *cap, struct fd_file *file, struct fd_verdict *v)
{
	(void)cap;
	fd_verdict_action(v, file->r.deleted ? "%s: made again and removed again" : "%s: opened again", file->r.path);
	return 0;
}

static int directory_plan(struct fd_plan *plan, struct fd_file *file, struct fd_verdict *v)
{
	AUTO_FREE char *owned = NULL;
	struct stat st;
	bool mapped;
	const char *path = file->r.path;
	int err = fd_plan_path(plan, path, &owned, &mapped);

	if (err || file->r.deleted)
		return err;
	path = owned ? owned : path;
	if (stat(path, &st))
		fd_verdict_obstacle(v, "make it, or point elsewhere with --map file:OLD=NEW", "directory %s: %s", path,
		                    strerror(errno));
	else if (!S_ISDIR(st.st_mode))
		fd_verdict_obstacle(v, "point elsewhere with --map file:OLD=NEW", "%s is no directory", path);
	return v->err;
}

/* A directory that was removed while it was open: nothing can be done in it, but it is there. */
static int open_removed(const char *path, int flags)
{
	char fresh[] = "/tmp/stasis-XXXXXX";

	if (mkdir(path, 0700)) {
		if (!mkdtemp(fresh))
			return -errno;
		path = fresh;
	}
	int fd = open(path, flags), err = fd < 0 ? -errno : fd;
	rmdir(path);
	return err;
}

static int directory_prepare(struct fd_plan *plan, struct fd_file *file)
{
	AUTO_FREE char *owned = NULL;
	char name[PATH_MAX + 32];
	bool mapped;
	int err = fd_plan_path(plan, file->r.path, &owned, &mapped), fd;

	if (err)
		return err;
	const char *path = owned ? owned : file->r.path;
	if (file->r.deleted)
		fd = open_removed(path, fd_open_flags(file) | O_DIRECTORY);
	else if ((fd = open(path, fd_open_flags(file) | O_DIRECTORY)) < 0)
		fd = -errno;
	if (fd < 0)
		return report_fail(plan->rep, fd, "%s: %s: %s", fd_file_name(file, name, sizeof(name)), path, strerror(-fd));
	/* The offset is the file system's own cookie: another one may refuse it, and then reading starts over. */
	if (file->r.pos && lseek(fd, (off_t)file->r.pos, SEEK_SET) < 0)
		report_warn(plan->rep, "%s: reading the directory starts over", fd_file_name(file, name, sizeof(name)));
	file->fd = fd_plan_adopt(plan, fd);
	return file->fd < 0 ? file->fd : 0;
}

const struct fd_kind fd_kind_directory = {
	.name = "directory",
	.claim = directory_claim,
	.inspect = directory_inspect,
	.check = directory_check,
	.plan = directory_plan,
	.prepare = directory_prepare,
};
