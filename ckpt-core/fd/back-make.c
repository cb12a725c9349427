// SPDX-License-Identifier: LGPL-2.1-or-later
/* Makes the files that a restart needs, opens them as the target had them open, and puts them into place at the end.
 *
 * What is to have a name is written into a nameless file first, so that a restart that is killed leaves nothing. It gets a
 * temporary name before it is opened for the target, since /proc/PID/fd calls a file by the name under which it was opened, and
 * follows renames. Modes come last: a file that nobody may open can be opened until then. Tests: fd-disk.c, fd-memfd.c. */
#include "fd/back.h"

#include <fcntl.h>
#include <linux/memfd.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "fd/back-use.h"
#include "fd/lock.h"
#include "fd/plan.h"

#ifndef MFD_EXEC
#define MFD_NOEXEC_SEAL 0x0008U
#define MFD_EXEC 0x0010U
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x0020
#endif
#ifndef MFD_HUGE_SHIFT
#define MFD_HUGE_SHIFT 26
#endif

static void dir_of(const char *path, char *dir, size_t size)
{
	const char *slash = strrchr(path, '/');

	snprintf(dir, size, "%.*s", slash ? slash == path ? 1 : (int)(slash - path) : 1, slash ? path : ".");
}

static const char *name_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* Owner, times. The mode waits (see above). */
static void set_identity(struct fd_plan *plan, const struct fd_back *back, int fd, const char *name)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT },
		                     { back->r.mtime_ns / 1000000000, back->r.mtime_ns % 1000000000 } };
	struct stat st;

	if (!fstat(fd, &st) && (st.st_uid != back->r.uid || st.st_gid != back->r.gid) && fchown(fd, back->r.uid, back->r.gid))
		report_warn(plan->rep, "%s: cannot be given back to user %u, group %u: %s", name, back->r.uid, back->r.gid,
		            strerror(errno));
	if (times[1].tv_nsec >= 0)
		futimens(fd, times);
}

/* ---- files with a name ---- */

/* Links a nameless file under a temporary name beside `path`. Where nameless files cannot be had it is made with that name. */
static int make_beside(const char *path, char **ret_temp)
{
	char dir[PATH_MAX];
	AUTO_FREE char *temp = NULL;

	dir_of(path, dir, sizeof(dir));
	if (asprintf(&temp, "%s/.%.200s.stasis-XXXXXX", dir, name_of(path)) < 0) {
		temp = NULL;
		return -ENOMEM;
	}
	int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0) {
		fd = mkostemp(temp, O_CLOEXEC);
		if (fd < 0)
			return -errno;
	}
	*ret_temp = STEAL_PTR(temp);
	return fd;
}

/* Gives the nameless file its temporary name, and opens it anew by that name. */
static int name_it(int *fd, char *temp)
{
	char link[32];
	struct stat st;

	if (!fstat(*fd, &st) && st.st_nlink)
		return 0;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", *fd);
	for (int i = 0; i < 100; i++) {
		/* A name that nobody has: taken by mkostemp, made free, and linked unless somebody was quicker. */
		memcpy(temp + strlen(temp) - 6, "XXXXXX", 6);
		int probe = mkostemp(temp, O_CLOEXEC);
		if (probe < 0)
			return -errno;
		close(probe);
		unlink(temp);
		if (!linkat(AT_FDCWD, link, AT_FDCWD, temp, AT_SYMLINK_FOLLOW)) {
			int named = open(temp, O_RDWR | O_CLOEXEC);
			if (named < 0)
				return -errno;
			close(*fd);
			*fd = named;
			return 0;
		}
		if (errno != EEXIST)
			return -errno;
	}
	return -EEXIST;
}

static int make_named(struct fd_plan *plan, struct fd_back *back)
{
	AUTO_FREE char *temp = NULL;
	char mark[64];
	AUTO_CLOSE int fd = make_beside(back->path_now, &temp);
	int err;

	if (fd < 0)
		return report_fail(plan->rep, fd, "%s: no file can be made beside it: %s", back->path_now, strerror(-fd));
	/* From here on a temporary name that is there is taken away by abandon. */
	struct stat st;
	if (!fstat(fd, &st) && st.st_nlink)
		back->path_temp = strdup(temp);
	err = fd_fill(plan, back->r.space, fd, back->r.log ? 0 : back->r.size, 0, back->path_now);
	if (err)
		return err;
	fd_back_mark(plan, back, mark);
	if (!back->r.log && fsetxattr(fd, FD_MARK_XATTR, mark, strlen(mark), 0))
		report_info(
		        plan->rep,
		        "%s: the file system takes no extended attributes (%s): to restart this image once more, --disk=revert "
		        "will be needed",
		        back->path_now, strerror(errno));
	err = name_it(&fd, temp);
	if (err)
		return report_fail(plan->rep, err, "%s: no name can be given to the file made beside it: %s", back->path_now,
		                   strerror(-err));
	if (!back->path_temp)
		back->path_temp = STEAL_PTR(temp);
	set_identity(plan, back, fd, back->path_now);
	back->fd_made = fd_plan_adopt(plan, STEAL_FD(fd));
	return back->fd_made < 0 ? back->fd_made : 0;
}

/* ---- files without a name ---- */

static int make_memfd(const struct fd_back *back)
{
	const char *name = back->kind == FD_BACK_MEMFD ? back->r.path : "shared-anonymous";
	unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;

	if (back->r.huge_page)
		flags |= MFD_HUGETLB | (unsigned)__builtin_ctzll(back->r.huge_page) << MFD_HUGE_SHIFT;
	/* Both flags since 6.3; the sysctl vm.memfd_noexec decides without them. */
	int fd = memfd_create(name,
	                      flags | ((back->r.seals & F_SEAL_EXEC) && !(back->r.mode & 0111) ? MFD_NOEXEC_SEAL : MFD_EXEC));
	if (fd < 0 && errno == EINVAL)
		fd = memfd_create(name, flags);
	return fd < 0 ? -errno : fd;
}

/* A deleted file: under its old name while that is free, so that it is called what it was called, else where there is room. */
static int make_deleted(const struct fd_back *back)
{
	const char *tmp = getenv("TMPDIR");
	char dir[PATH_MAX], path[PATH_MAX + 32];
	int fd;

	dir_of(back->path_now, dir, sizeof(dir));
	if (back->r.linkable && (fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)) >= 0)
		return fd;
	snprintf(path, sizeof(path), "%s", back->path_now);
	fd = open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		snprintf(path, sizeof(path), "%s.stasis-XXXXXX", back->path_now);
		fd = mkostemp(path, O_CLOEXEC);
	}
	if (fd < 0) {
		snprintf(path, sizeof(path), "%s/%.200s.stasis-XXXXXX", tmp && *tmp ? tmp : "/tmp", name_of(back->path_now));
		fd = mkostemp(path, O_CLOEXEC);
	}
	if (fd < 0)
		return -errno;
	unlink(path);
	return fd;
}

static int make_nameless(struct fd_plan *plan, struct fd_back *back)
{
	AUTO_CLOSE int fd = back->kind == FD_BACK_DELETED ? make_deleted(back) : make_memfd(back);

	if (fd < 0)
		return report_fail(plan->rep, fd, "%s (%s): cannot be made again: %s", back->r.path, back->r.kind,
		                   strerror(-fd));
	int err = fd_fill(plan, back->r.space, fd, back->r.size, back->r.huge_page, back->r.path);
	if (err)
		return err;
	set_identity(plan, back, fd, back->r.path);
	back->fd_made = fd_plan_adopt(plan, STEAL_FD(fd));
	return back->fd_made < 0 ? back->fd_made : 0;
}

/* ---- in place ---- */

/* What plan compared must be what is there now. */
static int still_there(struct fd_plan *plan, const struct fd_back *back)
{
	struct stat st;

	if (stat(back->path_now, &st))
		return report_fail(plan->rep, -errno, "%s: %s", back->path_now, strerror(errno));
	if (st.st_dev != back->st_now.st_dev || st.st_ino != back->st_now.st_ino ||
	    (back->r.writable && (st.st_size != back->st_now.st_size || fd_ident_mtime(&st) != fd_ident_mtime(&back->st_now))))
		return report_fail(plan->rep, -ESTALE,
		                   "%s changed while it was looked at: another process uses it (is the target itself "
		                   "still running?)",
		                   back->path_now);
	return 0;
}

int fd_back_prepare(struct fd_plan *plan)
{
	vec_each(&plan->backs, it)
		if ((*it)->r.space && (*it)->use != FD_USE_NONE && (*it)->use != FD_USE_FILE)
			plan->fill_total += fd_fill_bytes(plan, (*it)->r.space);
	vec_each(&plan->backs, it) {
		struct fd_back *back = *it;
		int err = 0;

		switch ((enum fd_back_use)back->use) {
		case FD_USE_NONE:
			err = report_fail(plan->rep, -ENOENT, "%s cannot be used as it is", back->r.path);
			break;
		case FD_USE_FILE:
			err = still_there(plan, back);
			break;
		case FD_USE_CREATE:
		case FD_USE_REPLACE:
			err = make_named(plan, back);
			break;
		case FD_USE_NAMELESS:
			err = make_nameless(plan, back);
			break;
		}
		if (err)
			return err;
	}
	return 0;
}

/* ---- opening ---- */

/* A file with several names is opened by the one that this description had. */
static bool own_path(struct fd_plan *plan, const struct fd_back *back, const struct fd_file *file, char **ret_path)
{
	AUTO_FREE char *owned = NULL;
	struct stat st;
	bool mapped;

	if (!file || !strcmp(file->r.path, back->r.path) || back->use != FD_USE_FILE ||
	    fd_plan_path(plan, file->r.path, &owned, &mapped))
		return false;
	const char *path = owned ? owned : file->r.path;
	if (stat(path, &st) || st.st_ino != back->st_now.st_ino || st.st_dev != back->st_now.st_dev)
		return false;
	*ret_path = owned ? STEAL_PTR(owned) : strdup(path);
	return *ret_path != NULL;
}

static int open_back(struct fd_plan *plan, struct fd_back *back, const struct fd_file *file, int flags)
{
	AUTO_FREE char *own = NULL;
	char link[32];
	const char *path = back->path_temp ? back->path_temp : back->path_now;

	if (back->use == FD_USE_NAMELESS) {
		snprintf(link, sizeof(link), "/proc/self/fd/%d", back->fd_made);
		path = link;
	} else if (own_path(plan, back, file, &own)) {
		path = own;
	}
	int fd = open(path, flags);
	if (fd < 0 && errno == EINVAL && (flags & O_DIRECT)) {
		fd = open(path, flags & ~O_DIRECT);
		if (fd >= 0)
			report_warn(plan->rep, "%s: opened without O_DIRECT, which this file system refuses", back->r.path);
	}
	if (fd < 0 && errno == EPERM && (flags & O_NOATIME))
		fd = open(path, flags & ~O_NOATIME);
	return fd < 0 ? -errno : fd;
}

int fd_back_open(struct fd_plan *plan, struct fd_back *back, const struct fd_file *file)
{
	int fd = open_back(plan, back, file, fd_open_flags(file));

	if (fd < 0)
		return report_fail(plan->rep, fd, "fd %d: %s cannot be opened again: %s", file->slot_fd,
		                   back->path_now ? back->path_now : back->r.path, strerror(-fd));
	return fd;
}

/* ---- mapping ---- */

static bool is_sealed_against_writing(const struct fd_back *back)
{
	return back->r.has_seals && (back->r.seals & F_SEAL_WRITE);
}

static int open_for_mapping(struct fd_plan *plan, struct fd_back *back)
{
	bool write = (back->r.mapped & FD_MAPPED_SHARED_WRITE) && !is_sealed_against_writing(back);
	int *slot = write ? &back->fd_rw : &back->fd_ro;
	int fd = open_back(plan, back, NULL, (write ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0)
		return report_fail(plan->rep, fd, "%s cannot be opened to be mapped%s: %s",
		                   back->path_now ? back->path_now : back->r.path, write ? " writable" : "", strerror(-fd));
	*slot = fd_plan_adopt(plan, fd);
	return *slot < 0 ? *slot : 0;
}

static int highest_open(void)
{
	AUTO_CLOSEDIR DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	int highest = -1;

	if (!dir)
		return -errno;
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.' && atoi(entry->d_name) > highest)
			highest = atoi(entry->d_name);
	return highest;
}

static int move_to(struct fd_plan *plan, int *fd)
{
	int to = plan->back_last + 1;

	if (*fd < 0)
		return 0;
	if (dup3(*fd, to, O_CLOEXEC) < 0)
		return report_fail(plan->rep, -errno, "descriptor %d: %s; raise the limit (ulimit -n)", to, strerror(errno));
	close(*fd);
	*fd = to;
	plan->back_last = to;
	return 0;
}

int fd_back_arrange(struct fd_plan *plan)
{
	int err = 0, highest;

	vec_each(&plan->backs, it)
		if (!err && (*it)->r.mapped)
			err = open_for_mapping(plan, *it);
	if (err)
		return err;
	highest = highest_open();
	if (highest < 0)
		return report_fail(plan->rep, highest, "/proc/self/fd cannot be read: %s; is /proc mounted?",
		                   strerror(-highest));
	plan->back_first = highest + 1;
	plan->back_last = highest;
	vec_each(&plan->backs, it) {
		struct fd_back *back = *it;

		if (!err)
			err = move_to(plan, &back->fd_ro);
		if (!err)
			err = move_to(plan, &back->fd_rw);
		/* Everything is open that has to be: now it may be forbidden. */
		if (!err && back->fd_made >= 0 && fchmod(back->fd_made, back->r.mode & 07777))
			err = report_fail(plan->rep, -errno, "%s: mode %o cannot be set: %s", back->r.path,
			                  back->r.mode & 07777, strerror(errno));
	}
	return err;
}

/* A descriptor of the process's own by which it may be mapped. */
static int own_descriptor(const struct fd_plan *plan, uint32_t index, uint32_t id, bool writable)
{
	vec_each(&plan->slots, slot) {
		uint32_t flags = slot->file->r.flags;

		if (slot->r.process != index || slot->file->r.backing != id || (flags & O_PATH))
			continue;
		if ((flags & O_ACCMODE) == O_RDWR || (!writable && (flags & O_ACCMODE) == O_RDONLY))
			return slot->r.fd;
	}
	return -ENOENT;
}

int fd_plan_backing(const struct fd_plan *plan, uint32_t index, uint32_t id, bool writable)
{
	const struct fd_back *back = fd_plan_back(plan, id);

	if (!back)
		return -ENOENT;
	if (fd_lock_posix_on(plan, index, id)) {
		int own = own_descriptor(plan, index, id, writable && !is_sealed_against_writing(back));
		if (own >= 0)
			return own;
	}
	if (back->fd_rw >= 0)
		return back->fd_rw;
	if (back->fd_ro >= 0 && (!writable || is_sealed_against_writing(back)))
		return back->fd_ro;
	return -ENOENT;
}

void fd_plan_backing_range(const struct fd_plan *plan, int *ret_first, int *ret_last)
{
	*ret_first = plan->back_first;
	*ret_last = plan->back_last;
}

/* ---- the end ---- */

static int put_in_place(struct fd_plan *plan, struct fd_back *back)
{
	AUTO_FREE char *before = NULL;

	if (back->use == FD_USE_CREATE) {
		if (renameat2(AT_FDCWD, back->path_temp, AT_FDCWD, back->path_now, RENAME_NOREPLACE) &&
		    (errno != EINVAL || rename(back->path_temp, back->path_now)))
			return report_fail(plan->rep, -errno, "%s cannot be put into place: %s", back->path_now,
			                   strerror(errno));
		free(STEAL_PTR(back->path_temp));
		return 0;
	}
	if (asprintf(&before, "%s" FD_BEFORE_SUFFIX, back->path_now) < 0) {
		before = NULL;
		return -ENOMEM;
	}
	/* An exchange leaves no moment without a file; not every file system knows it. */
	if (!renameat2(AT_FDCWD, back->path_temp, AT_FDCWD, back->path_now, RENAME_EXCHANGE)) {
		if (rename(back->path_temp, before))
			return report_fail(plan->rep, -errno, "%s cannot be renamed to %s: %s", back->path_temp, before,
			                   strerror(errno));
	} else if (rename(back->path_now, before) || rename(back->path_temp, back->path_now)) {
		return report_fail(plan->rep, -errno, "%s cannot be put into place: %s", back->path_now, strerror(errno));
	}
	free(STEAL_PTR(back->path_temp));
	report_info(plan->rep, "%s has its contents of the checkpoint again; what it held is in %s", back->path_now, before);
	return 0;
}

static int seal(struct fd_plan *plan, const struct fd_back *back)
{
	int seals = (int)back->r.seals, now = fcntl(back->fd_made, F_GET_SEALS);

	if (!back->r.has_seals || now < 0 || now == seals)
		return 0;
	if (fcntl(back->fd_made, F_ADD_SEALS, seals & ~now))
		return report_fail(plan->rep, -errno, "memfd %s: its seals 0x%x cannot be set: %s", back->r.path, back->r.seals,
		                   strerror(errno));
	return 0;
}

int fd_back_commit(struct fd_plan *plan)
{
	int err = 0;

	vec_each(&plan->backs, it)
		if (!err && (*it)->kind == FD_BACK_MEMFD && (*it)->fd_made >= 0)
			err = seal(plan, *it);
	vec_each(&plan->backs, it)
		if (!err && (*it)->path_temp)
			err = put_in_place(plan, *it);
	return err;
}

void fd_back_abandon(struct fd_plan *plan)
{
	vec_each(&plan->backs, it)
		if ((*it)->path_temp) {
			unlink((*it)->path_temp);
			free(STEAL_PTR((*it)->path_temp));
		}
}
