// SPDX-License-Identifier: LGPL-2.1-or-later
/* Compares the files that an image names with what is here, and decides what a restart does about each. Changes nothing.
 *
 * Theory of operation. A file that the target only read must be the same file: size and mtime, or else build-id or hash. A file
 * that it wrote to is part of its state: after a restart it has the contents of the instant of the checkpoint, any number of
 * times. If nothing wrote to it since, it is used in place. If it was written to, its contents of now are set aside, never
 * overwritten. "It" is the same inode, or a file that an earlier restart of this image made (told by an extended attribute);
 * anything else at the path is somebody's file and is not touched without the user's word. Tests: fd-disk.c. */
#include "fd/back.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <time.h>

#include "fd/back-use.h"
#include "fd/lock.h"
#include "fd/plan.h"

#define REMEDY_FILE "put the file back as it was, or point to a copy of it with --map file:OLD=NEW"

void fd_back_mark(const struct fd_plan *plan, const struct fd_back *back, char ret_text[64])
{
	const uint8_t *id = img_reader_content_id(plan->reader);

	for (int i = 0; i < 16; i++)
		sprintf(ret_text + 2 * i, "%02x", id[i]);
	sprintf(ret_text + 32, "-%u", back->r.id);
}

static bool is_marked(const struct fd_plan *plan, const struct fd_back *back)
{
	char want[64], have[64];
	ssize_t n = getxattr(back->path_now, FD_MARK_XATTR, have, sizeof(have));

	fd_back_mark(plan, back, want);
	return n == (ssize_t)strlen(want) && !memcmp(have, want, (size_t)n);
}

/* Whether this inode is the one that was recorded. st_dev may have changed with a reboot, and inode numbers are used again. */
static bool is_same_inode(const struct fd_back *back)
{
	const struct fd_back_record *r = &back->r;
	uint32_t type;

	if (back->st_now.st_ino != r->ino)
		return false;
	if (back->st_now.st_dev != makedev(r->dev_major, r->dev_minor) &&
	    (!r->fsid || fd_ident_fsid(back->path_now, &type) != r->fsid))
		return false;
	int64_t btime = fd_ident_btime(back->path_now);
	return !btime || !r->btime_ns || btime == r->btime_ns;
}

static bool is_unchanged(const struct fd_back *back)
{
	return (uint64_t)back->st_now.st_size == back->r.size && fd_ident_mtime(&back->st_now) == back->r.mtime_ns;
}

/* "has 10 bytes (had 20), was modified at 2024-01-01 10:00:00 (had been at ...)" */
static void differences(const struct fd_back *back, char *buf, size_t size)
{
	char now[32], then[32];
	time_t then_s = (time_t)(back->r.mtime_ns / 1000000000);
	struct tm tm;
	int n = 0;

	if ((uint64_t)back->st_now.st_size != back->r.size)
		n = snprintf(buf, size, "has %lld bytes (had %llu), ", (long long)back->st_now.st_size,
		             (unsigned long long)back->r.size);
	strftime(now, sizeof(now), "%Y-%m-%d %H:%M:%S",
	         localtime_r(&back->st_now.st_mtim.tv_sec, &tm) ? &tm : &(struct tm){ 0 });
	strftime(then, sizeof(then), "%Y-%m-%d %H:%M:%S", localtime_r(&then_s, &tm) ? &tm : &(struct tm){ 0 });
	snprintf(buf + n, size - (size_t)n, "was modified %s.%09ld (recorded: %s.%09lld)", now, back->st_now.st_mtim.tv_nsec,
	         then, (long long)(back->r.mtime_ns % 1000000000));
}

/* Contents that are known to be the same although size and mtime or the inode are not. 1 yes, 0 no, -1 not recorded. */
static int same_contents(const struct fd_back *back)
{
	AUTO_CLOSE int fd = open(back->path_now, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct img_bytes id = { 0 };
	uint64_t hash;

	if (fd < 0 || (!back->r.build_id.size && !back->r.hashed))
		return -1;
	if (back->r.build_id.size) {
		bool same = !fd_ident_build_id(fd, &id) && id.size == back->r.build_id.size &&
		            !memcmp(id.data, back->r.build_id.data, id.size);
		free(id.data);
		return same;
	}
	return (uint64_t)back->st_now.st_size == back->r.size && back->r.size <= FD_IDENT_HASH_MAX &&
	       !fd_ident_hash(fd, back->r.size, &hash) && hash == back->r.xxh3;
}

/* A file that was only read. */
static void plan_read(struct fd_back *back, bool mapped, struct fd_verdict *v)
{
	char what[192];

	back->use = FD_USE_FILE;
	if (is_unchanged(back) && (is_same_inode(back) || same_contents(back) != 0))
		return;
	if (!is_unchanged(back) && same_contents(back) == 1)
		return;
	if (mapped && !back->r.mapped) {
		fd_verdict_action(v, "%s is used in its place", back->path_now);
		return;
	}
	back->use = FD_USE_NONE;
	if (is_unchanged(back))
		fd_verdict_obstacle(v, REMEDY_FILE, "%s has other contents than it had", back->path_now);
	else {
		differences(back, what, sizeof(what));
		fd_verdict_obstacle(v, REMEDY_FILE, "%s %s", back->path_now, what);
	}
}

/* A file that was written to. */
static void plan_written(struct fd_plan *plan, struct fd_back *back, struct fd_verdict *v)
{
	bool same = is_same_inode(back) || is_marked(plan, back);
	char what[192];

	back->use = FD_USE_FILE;
	differences(back, what, sizeof(what));
	if (plan->o.disk == STASIS_DISK_REVERT_KEEP) {
		if (!is_unchanged(back))
			fd_verdict_action(v, "used as it is, on your word: %s %s", back->path_now, what);
		return;
	}
	if (is_unchanged(back) && (same || plan->o.disk != STASIS_DISK_REVERT_ALWAYS)) {
		fd_verdict_action(v, "%s is as it was at the checkpoint: used in place", back->path_now);
		return;
	}
	back->use = FD_USE_NONE;
	if (!back->r.space)
		fd_verdict_obstacle(v, "put back the file as it was at the checkpoint, or use it as it is with --disk=keep",
		                    "%s has changed since the checkpoint, which did not save its contents: it %s",
		                    back->path_now, what);
	else if (same || plan->o.disk == STASIS_DISK_REVERT_ALWAYS) {
		back->use = FD_USE_REPLACE;
		fd_verdict_action(
		        v, "%s gets its contents of the checkpoint back; what is there now is kept as %s" FD_BEFORE_SUFFIX,
		        back->path_now, back->path_now);
	} else {
		fd_verdict_obstacle(v, "point to the right one with --map file:OLD=NEW, or replace this one with --disk=revert",
		                    "%s is another file than was recorded: it %s", back->path_now, what);
	}
}

static void plan_missing(struct fd_back *back, struct fd_verdict *v)
{
	if (back->r.space || back->r.log) {
		back->use = FD_USE_CREATE;
		fd_verdict_action(v, back->r.log ? "%s is gone: an empty log is made" : "%s is missing: made from the image",
		                  back->path_now);
	} else {
		fd_verdict_obstacle(v, REMEDY_FILE, "%s is missing", back->path_now);
	}
}

/* What the target's descriptions and mappings need to be allowed to do. */
static int access_needed(const struct fd_plan *plan, const struct fd_back *back)
{
	int mode = back->r.mapped ? R_OK : 0;

	if (back->r.mapped & FD_MAPPED_SHARED_WRITE)
		mode |= W_OK;
	vec_each(&plan->files, it) {
		const struct fd_file_record *r = &(*it)->r;

		if (r->backing != back->r.id || (r->flags & O_PATH))
			continue;
		if ((r->flags & O_ACCMODE) != O_WRONLY)
			mode |= R_OK;
		if ((r->flags & O_ACCMODE) != O_RDONLY)
			mode |= W_OK;
	}
	return mode;
}

static void split_path(const char *path, char *dir, size_t size)
{
	const char *slash = strrchr(path, '/');

	snprintf(dir, size, "%.*s", slash ? slash == path ? 1 : (int)(slash - path) : 1, slash ? path : ".");
}

/* A file that is a mount point of its own (a bind mount) cannot be renamed. */
static bool is_mount(const char *path)
{
	struct statx x;

	return !statx(AT_FDCWD, path, 0, STATX_TYPE, &x) && (x.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) &&
	       (x.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

static int check_access(struct fd_plan *plan, struct fd_back *back, struct fd_verdict *v)
{
	char dir[PATH_MAX];

	if (back->use == FD_USE_REPLACE && is_mount(back->path_now))
		fd_verdict_obstacle(v, "restart where the file is not a mount point, or use it as it is with --disk=keep",
		                    "%s has changed and is a mount point, so that it cannot be replaced", back->path_now);
	if (back->use == FD_USE_CREATE || back->use == FD_USE_REPLACE) {
		split_path(back->path_now, dir, sizeof(dir));
		if (faccessat(AT_FDCWD, dir, W_OK | X_OK, AT_EACCESS))
			fd_verdict_obstacle(v, "run as a user who may write there, or point elsewhere with --map file:OLD=NEW",
			                    "no file can be made in %s: %s", dir, strerror(errno));
		return 0;
	}
	if (back->use != FD_USE_FILE)
		return 0;
	int mode = access_needed(plan, back);
	if (mode && faccessat(AT_FDCWD, back->path_now, mode, AT_EACCESS))
		fd_verdict_obstacle(v, "run as a user who may", "%s cannot be opened for %s: %s", back->path_now,
		                    mode == R_OK   ? "reading"
		                    : mode == W_OK ? "writing"
		                                   : "reading and writing",
		                    strerror(errno));
	AUTO_CLOSE int fd = open(back->path_now, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	vec_each(&plan->files, it)
		if (fd >= 0 && (*it)->r.backing == back->r.id)
			fd_lock_plan(plan, *it, fd, v);
	return v->err;
}

static int plan_regular(struct fd_plan *plan, struct fd_back *back, struct fd_verdict *v)
{
	bool mapped;
	int err = fd_plan_path(plan, back->r.path, &back->path_now, &mapped);

	if (err)
		return err;
	if (!back->path_now && !(back->path_now = strdup(back->r.path)))
		return -ENOMEM;
	/* A link is followed once, here: what replaces a file must not replace the link. */
	char *real = realpath(back->path_now, NULL);
	if (real) {
		free(back->path_now);
		back->path_now = real;
	}
	if (stat(back->path_now, &back->st_now)) {
		if (errno == ENOENT)
			plan_missing(back, v);
		else
			fd_verdict_obstacle(v, REMEDY_FILE, "%s: %s", back->path_now, strerror(errno));
	} else if (back->kind == FD_BACK_DEVICE) {
		back->use = FD_USE_FILE;
		if (!S_ISCHR(back->st_now.st_mode) || back->st_now.st_rdev != makedev(back->r.rdev_major, back->r.rdev_minor))
			fd_verdict_obstacle(v, "make the device node", "%s is another device than it was", back->path_now);
	} else if (!S_ISREG(back->st_now.st_mode)) {
		fd_verdict_obstacle(v, REMEDY_FILE, "%s is no regular file", back->path_now);
	} else if (back->r.log) {
		back->use = FD_USE_FILE;
	} else if (back->r.writable) {
		plan_written(plan, back, v);
	} else {
		plan_read(back, mapped, v);
	}
	return check_access(plan, back, v);
}

/* ---- room on disks ---- */

/* Contents that go to the file system of `dir`. */
static uint64_t bytes_for(const struct fd_plan *plan, dev_t dev)
{
	uint64_t bytes = 0;

	vec_each(&plan->backs, it) {
		const struct fd_back *back = *it;
		char dir[PATH_MAX];
		struct stat st;

		if (back->kind != FD_BACK_DELETED && back->use != FD_USE_CREATE && back->use != FD_USE_REPLACE)
			continue;
		split_path(back->path_now, dir, sizeof(dir));
		if (back->r.space && !stat(dir, &st) && st.st_dev == dev)
			bytes += fd_fill_bytes(plan, back->r.space);
	}
	return bytes;
}

static int check_room(struct fd_plan *plan, struct findings *findings)
{
	vec_each(&plan->backs, it) {
		const struct fd_back *back = *it;
		char dir[PATH_MAX], object[PATH_MAX + 16];
		struct statvfs fs;
		struct stat st;

		if (!back->r.space ||
		    (back->kind != FD_BACK_DELETED && back->use != FD_USE_CREATE && back->use != FD_USE_REPLACE))
			continue;
		split_path(back->path_now, dir, sizeof(dir));
		if (stat(dir, &st) || statvfs(dir, &fs))
			continue;
		uint64_t need = bytes_for(plan, st.st_dev), have = (uint64_t)fs.f_bavail * fs.f_frsize;
		if (need <= have)
			continue;
		snprintf(object, sizeof(object), "file %s", back->path_now);
		int err = findings_obstacle(findings, object, back->r.kind,
		                            "make room, or point elsewhere with --map file:OLD=NEW",
		                            "%llu MiB are needed in %s to restore files, %llu MiB are free",
		                            (unsigned long long)(need >> 20) + 1, dir, (unsigned long long)(have >> 20));
		if (err)
			return err;
	}
	return 0;
}

static int plan_one(struct fd_plan *plan, struct fd_back *back, struct fd_verdict *v)
{
	bool mapped;

	if (back->kind == FD_BACK_REGULAR || back->kind == FD_BACK_DEVICE)
		return plan_regular(plan, back, v);
	back->use = FD_USE_NAMELESS;
	if (back->kind != FD_BACK_DELETED)
		return 0;
	int err = fd_plan_path(plan, back->r.path, &back->path_now, &mapped);
	if (!err && !back->path_now && !(back->path_now = strdup(back->r.path)))
		err = -ENOMEM;
	return err;
}

int fd_back_plan(struct fd_plan *plan, struct findings *findings)
{
	vec_each(&plan->backs, it) {
		AUTO_FREE char *object = NULL;
		struct fd_verdict v = { 0 };
		struct fd_back *back = *it;
		int err = plan_one(plan, back, &v);

		if (err)
			v.err = err;
		/* Libraries go without saying, unless they are elsewhere now. */
		if (!v.action && !v.obstacle && back->kind == FD_BACK_REGULAR && back->use == FD_USE_FILE &&
		    (!back->r.mapped || strcmp(back->path_now, back->r.path)))
			fd_verdict_action(&v, "%s is used", back->path_now);
		if (!v.action && !v.obstacle && !v.err)
			continue;
		if (asprintf(&object, "file %s", back->r.path) < 0) {
			object = NULL;
			v.err = -ENOMEM;
		}
		const char *uses = v.obstacle || back->use == FD_USE_NONE ? NULL : back->path_now;
		err = fd_verdict_give(&v, findings, object, back->r.kind);
		if (!err)
			err = findings_compare(findings, back->r.path, back->st_now.st_ino ? back->path_now : NULL, uses);
		if (err)
			return err;
	}
	return check_room(plan, findings);
}
