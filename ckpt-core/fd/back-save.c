// SPDX-License-Identifier: LGPL-2.1-or-later
/* Decides which files' contents belong into an image, and puts them there: by a clone (reflink) or an own copy made while the
 * target stands still and written out later, or straight into the image.
 *
 * Theory of operation. What counts is the instant of the checkpoint: contents and the recorded mtime must both be of it. mtime
 * is only as fine as the kernel's tick, so the target is held until the clock has left the tick of the last write: else a write
 * right after it might leave the same mtime on other contents. Tests: fd-disk.c. */
#include "fd/back.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <time.h>

#include "base/io.h"
#include "base/memory.h"
#include "fd/source.h"

#define TICK_WAIT_MAX_NS 20000000ll /* two ticks at 100 Hz */

const char *fd_back_proc_path(const struct fd_back *back, char *buf, size_t size)
{
	const struct fd_window *window = back->windows.items;

	if (back->slot_fd >= 0)
		snprintf(buf, size, "/proc/%d/fd/%d", back->proc.pid, back->slot_fd);
	else
		snprintf(buf, size, "/proc/%d/map_files/%llx-%llx", window ? window->pid : back->proc.pid,
		         (unsigned long long)(window ? window->start : 0), (unsigned long long)(window ? window->end : 0));
	return buf;
}

static bool is_inode_of(const struct fd_back *back, const struct stat *st)
{
	return st->st_ino == back->r.ino && st->st_dev == makedev(back->r.dev_major, back->r.dev_minor);
}

/* Opens by the path, as we or the target see it, and makes sure that it is the very file. */
static int open_by_path(const struct fd_back *back)
{
	char there[PATH_MAX + 32];
	struct stat st;

	snprintf(there, sizeof(there), "/proc/%d/root%s", back->proc.pid, back->r.path);
	for (int i = 0; i < 2; i++) {
		int fd = open(i ? there : back->r.path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

		if (fd < 0 && errno != ENOENT && i)
			return -errno;
		if (fd >= 0 && !fstat(fd, &st) && is_inode_of(back, &st))
			return fd;
		if (fd >= 0)
			close(fd);
	}
	return -ENOENT;
}

int fd_back_open_source(const struct fd_back *back, bool *ret_copy)
{
	char path[96];
	int fd;

	*ret_copy = false;
	if (back->slot_fd < 0 && back->kind == FD_BACK_REGULAR)
		return open_by_path(back);
	if (back->leased && back->readable) {
		*ret_copy = true;
		return fd_source_copy(&back->proc, back->slot_fd);
	}
	fd_back_proc_path(back, path, sizeof(path));
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOATIME);
	if (fd < 0 && errno == EPERM)
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	/* What the target may read because it opened it before that was forbidden. */
	if (fd < 0 && errno == EACCES && back->readable) {
		*ret_copy = true;
		return fd_source_copy(&back->proc, back->slot_fd);
	}
	return fd < 0 ? -errno : fd;
}

bool fd_back_wants_contents(const struct fd_capture *cap, const struct fd_back *back)
{
	if (back->kind == FD_BACK_DEVICE)
		return false;
	if (back->kind != FD_BACK_REGULAR)
		return true;
	/* A mapped file on tmpfs is memory that has a name, not a disk. */
	return back->r.writable &&
	       (cap->o.disk != STASIS_DISK_NONE || (back->memory && (back->r.mapped & FD_MAPPED_SHARED_WRITE)));
}

/* ---- judgement ---- */

/* Standard output or error sent to a file by a shell: the shell and others may hold the same description, and what they wrote
 * there since is not ours to take back. */
static bool is_shell_log(const struct fd_file *file)
{
	return (file->r.flags & O_ACCMODE) == O_WRONLY && (file->slot_fd == STDOUT_FILENO || file->slot_fd == STDERR_FILENO);
}

/* Opened with O_TMPFILE: by the flag, or, when it was opened anew since, by the name that the kernel gave it (fs/dcache.c,
 * d_mark_tmpfile). With O_EXCL it could not be linked; that flag is not kept. */
static bool is_linkable(const struct fd_file *file)
{
	const char *name = strrchr(file->r.path, '/');
	char own[32];

	snprintf(own, sizeof(own), "/#%llu", (unsigned long long)file->r.ino);
	return (file->r.flags & O_TMPFILE) == O_TMPFILE || (name && !strcmp(name, own));
}

static void count_openers(struct fd_capture *cap)
{
	vec_each(&cap->files, it) {
		const struct fd_file_record *r = &(*it)->r;

		if (!r->backing || (r->flags & O_PATH))
			continue;
		struct fd_back *back = cap->backs.items[r->backing - 1];
		if (back->kind == FD_BACK_DELETED && is_linkable(*it))
			back->r.linkable = true;
		if ((r->flags & O_ACCMODE) != O_WRONLY && !back->readable) {
			back->readable = true;
			back->proc = (*it)->proc;
			back->slot_fd = (*it)->slot_fd;
		}
		if ((r->flags & O_ACCMODE) == O_RDONLY)
			continue;
		if ((r->flags & O_APPEND) || is_shell_log(*it))
			back->appenders++;
		else
			back->writers++;
	}
	vec_each(&cap->locks, lock) {
		uint32_t id = cap->files.items[lock->r.file - 1]->r.backing;

		if (lock->kind == FD_LOCK_LEASE && id)
			cap->backs.items[id - 1]->leased = true;
	}
}

int fd_back_resolve(struct fd_capture *cap)
{
	char path[96];

	count_openers(cap);
	vec_each(&cap->backs, it) {
		struct fd_back *back = *it;
		uint32_t type = 0;

		back->r.writable = back->writers || (back->r.mapped & FD_MAPPED_SHARED_WRITE);
		back->r.log = back->appenders && !back->r.writable;
		if (back->kind == FD_BACK_REGULAR && back->r.writable) {
			const char *where = back->slot_fd >= 0 ? fd_back_proc_path(back, path, sizeof(path)) : back->r.path;

			back->r.fsid = fd_ident_fsid(where, &type);
			back->r.btime_ns = fd_ident_btime(where);
			back->memory = type == TMPFS_MAGIC || type == HUGETLBFS_MAGIC;
		}
		if (fd_back_wants_contents(cap, back) && !back->r.space)
			back->r.space = fd_capture_space(cap);
	}
	return 0;
}

static void size_text(uint64_t bytes, char *buf, size_t size)
{
	if (bytes < 1u << 20)
		snprintf(buf, size, "%.1f KiB", (double)bytes / 1024);
	else
		snprintf(buf, size, "%.1f MiB", (double)bytes / (1 << 20));
}

static void check_contents(struct fd_capture *cap, const struct fd_back *back, struct fd_verdict *v)
{
	bool copy;
	AUTO_CLOSE int fd = fd_back_open_source(back, &copy);
	char amount[32];
	struct stat st;

	/* A mapping that has been moved meanwhile is found where it is then. */
	if (fd < 0 && back->windows.n && (fd == -EPERM || fd == -EACCES || (fd == -ENOENT && !cap->o.frozen))) {
		size_text(back->r.size, amount, sizeof(amount));
		fd_verdict_action(v, "contents (%s) saved through the memory that shows them", amount);
		return;
	}
	if (fd < 0) {
		fd_verdict_obstacle(v,
		                    back->kind == FD_BACK_REGULAR ? "run as a user who may read the file, or checkpoint with "
		                                                    "--disk=none and keep the file unchanged yourself"
		                                                  : "run as a user who may read the file",
		                    "its contents cannot be read: %s", strerror(-fd));
		return;
	}
	size_text(fstat(fd, &st) ? back->r.size : (uint64_t)st.st_blocks * 512, amount, sizeof(amount));
	if (back->kind != FD_BACK_REGULAR || back->memory)
		fd_verdict_action(v, "contents (%s) saved", amount);
	else if (cap->o.disk == STASIS_DISK_COPY)
		fd_verdict_action(v, "contents (%s) copied during the pause", amount);
	else
		fd_verdict_action(v, "contents (%s) cloned if the file system can, else copied during the pause", amount);
}

static void check_back(struct fd_capture *cap, const struct fd_back *back, struct fd_verdict *v)
{
	if (back->kind == FD_BACK_DEVICE)
		fd_verdict_action(v, "mapped again from the device");
	else if (fd_back_wants_contents(cap, back))
		check_contents(cap, back, v);
	else if (back->r.writable)
		fd_verdict_action(v, "contents not saved (--disk=none): the file must be unchanged at the restart");
	else if (back->r.log)
		fd_verdict_action(v, "contents not saved: a log, appended to as it is at the restart");
	else
		fd_verdict_action(v, "identity recorded: the same file must be there at the restart");
}

int fd_back_check(struct fd_capture *cap, struct findings *findings)
{
	vec_each(&cap->backs, it) {
		AUTO_FREE char *object = NULL;
		struct fd_verdict v = { 0 };
		const struct fd_back *back = *it;

		check_back(cap, back, &v);
		if (asprintf(&object, "file %s", back->r.path) < 0) {
			object = NULL;
			v.err = -ENOMEM;
		}
		int err = fd_verdict_give(&v, findings, object, back->r.kind);
		if (err)
			return err;
	}
	return 0;
}

/* ---- contents ---- */

static int open_nameless(const char *beside)
{
	char dir[PATH_MAX];
	const char *slash = strrchr(beside, '/');

	snprintf(dir, sizeof(dir), "%.*s", slash ? slash == beside ? 1 : (int)(slash - beside) : 1, slash ? beside : ".");
	return open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
}

/* A reflink beside the image or else beside the file itself. -1 where the file systems cannot; of one that cannot at all it is tried once: the target
 * stands still. */
static int clone_file(struct fd_capture *cap, const struct fd_back *back, int source)
{
	const char *beside[] = { cap->image_path, back->r.path };
	bool never = true;

	if (cap->has_whole && cap->whole_major == back->r.dev_major && cap->whole_minor == back->r.dev_minor)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(beside); i++) {
		AUTO_CLOSE int fd = beside[i] ? open_nameless(beside[i]) : -1;

		if (fd >= 0 && !ioctl(fd, FICLONE, source))
			return STEAL_FD(fd);
		if (beside[i])
			never = never && fd >= 0 && (errno == EOPNOTSUPP || errno == ENOTTY || errno == EXDEV);
	}
	if (never) {
		cap->has_whole = true;
		cap->whole_major = back->r.dev_major;
		cap->whole_minor = back->r.dev_minor;
	}
	return -1;
}

/* Bytes that own copies may take: a quarter of what the host has to spare. */
static uint64_t copy_budget(void)
{
	return memory_available() / 4;
}

/* Memory can be copied several times faster than it can be packed, and the target stands still. -1 when it does not fit. */
static int copy_file(struct fd_capture *cap, const struct fd_back *back, int source, bool is_copy, int *ret_fd)
{
	AUTO_CLOSE int fd = -1;

	*ret_fd = -1;
	if (back->r.size > copy_budget())
		return 0;
	fd = memfd_create("stasis-copy", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, (off_t)((back->r.size + IMG_PAGE_SIZE - 1) & ~(uint64_t)(IMG_PAGE_SIZE - 1))))
		return 0;
	int err = fd_source_to_file(cap->rep, back, source, is_copy, fd);
	if (!err)
		*ret_fd = STEAL_FD(fd);
	return err;
}

/* Whether the file, which `source` reads, is memory that is mapped shared. */
static bool is_memory(const struct fd_back *back, int source, bool is_copy, struct fd_memory *ret)
{
	struct statfs fs;
	struct stat st;

	if (source < 0 || is_copy || back->kind == FD_BACK_DEVICE || back->r.huge_page || !back->has_map_id || !(back->r.mapped & FD_MAPPED_SHARED) ||
	    fstatfs(source, &fs) || fs.f_type != TMPFS_MAGIC || fstat(source, &st) || !is_inode_of(back, &st))
		return false;
	*ret = (struct fd_memory){ .dev_major = back->map_major, .dev_minor = back->map_minor, .ino = back->map_ino, .size = (uint64_t)st.st_size,
				   .allocated = (uint64_t)st.st_blocks * 512 };
	return true;
}

int fd_capture_memory(struct fd_capture *cap, int (*visit)(void *ctx, const struct fd_memory *memory, int fd), void *ctx)
{
	vec_each(&cap->backs, it) {
		struct fd_memory memory;
		bool copy = false;
		AUTO_CLOSE int source = (*it)->r.space ? fd_back_open_source(*it, &copy) : -1;

		if (!is_memory(*it, source, copy, &memory))
			continue;
		int err = visit(ctx, &memory, STEAL_FD(source));
		if (err)
			return err;
	}
	return 0;
}

static int save_contents(struct fd_capture *cap, struct fd_back *back, struct img_writer *w)
{
	struct fd_memory memory;
	bool copy;
	AUTO_CLOSE int source = fd_back_open_source(back, &copy);
	int err;

	if (source < 0 && !back->windows.n)
		return report_fail(cap->rep, source, "%s: the contents cannot be read: %s", back->r.path, strerror(-source));
	if (cap->o.copied && is_memory(back, source, copy, &memory) && (err = cap->o.copied(cap->o.copied_ctx, &memory)) != -ENOENT) {
		back->clone_fd = err < 0 ? -1 : err;
		return err < 0 ? err : 0;
	}
	if (back->kind == FD_BACK_REGULAR && !back->memory) {
		if (cap->o.disk != STASIS_DISK_COPY)
			back->clone_fd = clone_file(cap, back, source);
	}
	if (back->clone_fd < 0 && (back->kind != FD_BACK_REGULAR || back->memory || cap->o.compared)) {
		err = copy_file(cap, back, source, copy, &back->clone_fd);
		if (err)
			return err;
	}
	return back->clone_fd >= 0 ? 0 : fd_source_to_image(cap->rep, back, source, copy, w);
}

/* See the theory of operation. A file system whose clock is far off (a network's) is not waited for. */
static void leave_tick(int64_t last_ns)
{
	struct timespec now, nap = { 0, 500000 };

	for (int i = 0; i < 40; i++) {
		clock_gettime(CLOCK_REALTIME_COARSE, &now);
		int64_t ahead = last_ns - (now.tv_sec * 1000000000ll + now.tv_nsec);
		if (ahead < 0 || ahead > TICK_WAIT_MAX_NS)
			return;
		nanosleep(&nap, NULL);
	}
}

int fd_back_save(struct fd_capture *cap, struct img_writer *w)
{
	int64_t last_ns = 0;

	vec_each(&cap->backs, it) {
		struct fd_back *back = *it;
		int err = back->r.space ? save_contents(cap, back, w) : 0;

		if (err)
			return err;
		if (back->r.writable && back->kind == FD_BACK_REGULAR && back->r.mtime_ns > last_ns)
			last_ns = back->r.mtime_ns;
	}
	leave_tick(last_ns);
	return 0;
}

/* The target runs again, so a file may be another one by now: then it keeps its stat for an identity. */
static int identify(struct fd_back *back)
{
	AUTO_CLOSE int fd = open_by_path(back);
	struct stat st;
	int err;

	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != back->r.size ||
	    fd_ident_mtime(&st) != back->r.mtime_ns)
		return 0;
	err = back->r.mapped ? fd_ident_build_id(fd, &back->r.build_id) : 0;
	if (err == -ENOMEM)
		return err;
	if (back->r.build_id.size || back->r.size > FD_IDENT_HASH_MAX)
		return 0;
	err = fd_ident_hash(fd, back->r.size, &back->r.xxh3);
	back->r.hashed = !err;
	return err == -ENOMEM ? err : 0;
}

int fd_back_save_late(struct fd_capture *cap, struct img_writer *w)
{
	vec_each(&cap->backs, it) {
		struct fd_back *back = *it;
		int err = 0;

		if (report_cancelled(cap->rep))
			return -ECANCELED;
		if (back->clone_fd >= 0) {
			err = fd_source_to_image(cap->rep, back, back->clone_fd, false, w);
			close(STEAL_FD(back->clone_fd));
		} else if (back->kind == FD_BACK_REGULAR && !back->r.writable && !back->r.log && !back->leased) {
			err = identify(back);
		}
		if (!err)
			err = img_writer_record(w, &fd_back_schema, &back->r);
		if (err)
			return err;
	}
	return 0;
}
