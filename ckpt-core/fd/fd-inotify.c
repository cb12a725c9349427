// SPDX-License-Identifier: LGPL-2.1-or-later
/* inotify: the watches, by path, with their numbers. Events that were queued and not read are lost.
 *
 * fdinfo knows an inode and a handle, not a path. The handle gives the path where it may be opened (CAP_DAC_READ_SEARCH); else places
 * that the process is likely to watch are compared, and at last the file system is searched for a while.
 * Numbers are given out in ascending order, one per added watch (fs/notify/inotify/inotify_user.c, idr_alloc_cyclic), so a
 * restart uses up the ones in between. Tests: fd-inotify.c. */
#include "fd/kinds.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <time.h>

#include "base/io.h"

#define WD_MAX (4 << 20)    /* numbers that a restart is ready to use up */
#define SEARCH_SECONDS 1
#define USER_MASK (IN_ALL_EVENTS | IN_EXCL_UNLINK | IN_ONESHOT | IN_DONT_FOLLOW)

struct watch {
	uint32_t file;
	int32_t wd;
	uint32_t mask; /* IN_* as for inotify_add_watch */
	char *path;    /* NULL: not found */
};

static const struct img_field watch_fields[] = {
	IMG_FIELD_REQUIRED(1, watch, file, IMG_U32, IMG_DEC),
	IMG_FIELD_REQUIRED(2, watch, wd, IMG_I32, IMG_DEC),
	IMG_FIELD_REQUIRED(3, watch, mask, IMG_U32, IMG_HEX),
	IMG_FIELD(4, watch, path, IMG_STR, IMG_DEC),
};
const struct img_schema fd_inotify_schema = IMG_SCHEMA("INWD", 1, IMG_MUST_UNDERSTAND, "inotify watch", watch, watch_fields);

static bool inotify_claim(const struct fd_look *look)
{
	return !strcmp(look->link, "anon_inode:inotify");
}

/* ---- the path of a watch ---- */

struct sought {
	dev_t dev;
	uint64_t ino;
	bool any_dev; /* st_dev says nothing here (btrfs subvolumes) */
};

static bool is_it(const struct sought *what, const char *path)
{
	struct stat st;

	return !lstat(path, &st) && st.st_ino == what->ino && (what->any_dev || st.st_dev == what->dev);
}

static bool path_of_handle(int mount, const struct proc_inotify_watch *watch, const struct sought *what, char **ret_path)
{
	struct {
		struct file_handle head;
		unsigned char bytes[sizeof(watch->handle)];
	} handle = { .head = { .handle_bytes = watch->handle_size, .handle_type = watch->handle_type } };
	AUTO_FREE char *path = NULL;

	memcpy(handle.head.f_handle, watch->handle, watch->handle_size);
	AUTO_CLOSE int fd = open_by_handle_at(mount, &handle.head, O_PATH | O_CLOEXEC);
	if (fd < 0 || io_readlinkf(&path, "/proc/self/fd/%d", fd) || !is_it(what, path))
		return false;
	*ret_path = STEAL_PTR(path);
	return true;
}

/* Tries the mounts of the file system, as the process has them: "36 35 98:0 /root /mount rw - ext4 /dev/x" (proc(5)). */
static bool find_by_handle(const struct fd_process *proc, const struct proc_inotify_watch *watch, const struct sought *what,
			   char **ret_path, char **ret_mount)
{
	AUTO_FREE char *text = NULL;
	char *line, *rest;

	if (io_read_filef(&text, NULL, "/proc/%d/mountinfo", proc->pid))
		return false;
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		unsigned maj, min;
		char root[PATH_MAX], point[PATH_MAX];

		if (sscanf(line, "%*d %*d %u:%u %4095s %4095s", &maj, &min, root, point) != 4 || makedev(maj, min) != what->dev)
			continue;
		AUTO_CLOSE int mount = open(point, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
		if (mount < 0)
			continue;
		if (!*ret_mount)
			*ret_mount = strdup(point);
		if (watch->has_handle && path_of_handle(mount, watch, what, ret_path))
			return true;
	}
	return false;
}

static bool find_likely(const struct fd_capture *cap, const struct fd_process *proc, const struct sought *what, char **ret_path)
{
	static const char *const usual[] = { "/", "/etc", "/tmp", "/run", "/dev", "/dev/input", "/dev/bus/usb", "/var", "/var/run", "/var/log" };
	AUTO_FREE char *cwd = NULL;
	char dir[PATH_MAX];

	if (!io_readlinkf(&cwd, "/proc/%d/cwd", proc->pid) && is_it(what, cwd)) {
		*ret_path = STEAL_PTR(cwd);
		return true;
	}
	for (size_t i = 0; i < ARRAY_SIZE(usual); i++)
		if (is_it(what, usual[i]))
			return (*ret_path = strdup(usual[i])) != NULL;
	vec_each(&cap->files, it) {
		if ((*it)->link[0] != '/')
			continue;
		snprintf(dir, sizeof(dir), "%s", (*it)->link);
		for (char *slash = dir + strlen(dir); slash; slash = strrchr(dir, '/')) {
			*slash = '\0';
			if (*dir && is_it(what, dir))
				return (*ret_path = strdup(dir)) != NULL;
		}
	}
	return false;
}

/* nftw(3) hands no context to its callback, so the search is written out. */
static bool search(const char *dir, const struct sought *what, time_t deadline, int depth, char **ret_path)
{
	AUTO_CLOSEDIR DIR *d = depth < 32 ? opendir(dir) : NULL;
	struct dirent *entry;
	struct timespec now;
	bool root = !strcmp(dir, "/");

	while (d && (entry = readdir(d))) {
		AUTO_FREE char *path = NULL;
		struct stat st;

		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
		if (now.tv_sec > deadline || asprintf(&path, "%s/%s", root ? "" : dir, entry->d_name) < 0) {
			path = NULL;
			return false;
		}
		if (entry->d_ino == what->ino && is_it(what, path)) {
			*ret_path = STEAL_PTR(path);
			return true;
		}
		if ((entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN) && !lstat(path, &st) && S_ISDIR(st.st_mode) &&
		    (what->any_dev || st.st_dev == what->dev) && search(path, what, deadline, depth + 1, ret_path))
			return true;
	}
	return false;
}

static char *find_path(const struct fd_capture *cap, const struct fd_process *proc, const struct proc_inotify_watch *watch)
{
	struct sought what = { .dev = makedev(watch->sdev >> 20, watch->sdev & 0xfffff), .ino = watch->ino };
	AUTO_FREE char *mount = NULL;
	char *path = NULL;
	struct statfs fs;
	struct timespec now;

	if (find_by_handle(proc, watch, &what, &path, &mount))
		return path;
	what.any_dev = mount && !statfs(mount, &fs) && (fs.f_type == BTRFS_SUPER_MAGIC || fs.f_type == OVERLAYFS_SUPER_MAGIC);
	if (find_likely(cap, proc, &what, &path))
		return path;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	if (mount && search(mount, &what, now.tv_sec + SEARCH_SECONDS, 0, &path))
		return path;
	return NULL;
}

static int inotify_inspect(struct fd_capture *cap, struct fd_file *file, const struct fd_look *look)
{
	int queued = 0;

	vec_each(&look->info->inotify, seen) {
		struct watch watch = { .wd = seen->wd, .mask = seen->mask & USER_MASK, .path = find_path(cap, look->proc, seen) };
		struct stat st;

		if (watch.path && !lstat(watch.path, &st) && S_ISLNK(st.st_mode))
			watch.mask |= IN_DONT_FOLLOW;
		int err = fd_file_add_item(file, &watch);
		if (err) {
			free(watch.path);
			return err;
		}
	}
	if (!ioctl(look->copy, FIONREAD, &queued))
		file->own = (unsigned)queued;
	return 0;
}

static int inotify_check(struct fd_capture *cap, struct fd_file *file, struct fd_verdict *v)
{
	const struct watch *watches = file->items;

	(void)cap;
	for (size_t i = 0; i < file->n_items; i++)
		if (!watches[i].path)
			fd_verdict_obstacle(v, "run as root, or have the program drop the watch",
					    "the path that inotify watch %d is for cannot be found", watches[i].wd);
	fd_verdict_action(v, "%zu watches saved and restored%s", file->n_items, file->own ? "; unread events are lost" : "");
	return 0;
}

/* ---- restore ---- */

static int by_wd(const void *a, const void *b)
{
	const struct watch *x = a, *y = b;

	return (x->wd > y->wd) - (x->wd < y->wd);
}

static int inotify_plan(struct fd_plan *plan, struct fd_file *file, struct fd_verdict *v)
{
	struct watch *watches = file->items;

	if (file->n_items)
		qsort(watches, file->n_items, sizeof(*watches), by_wd);
	for (size_t i = 0; i < file->n_items; i++) {
		AUTO_FREE char *owned = NULL;
		struct stat st;
		bool mapped;

		if (!watches[i].path || watches[i].wd < 1 || (i && watches[i].wd == watches[i - 1].wd))
			return report_fail(plan->rep, -EBADMSG, "image %s: inotify watch %d makes no sense; the image is damaged",
					   img_reader_path(plan->reader), watches[i].wd);
		if (watches[i].wd > WD_MAX)
			fd_verdict_obstacle(v, "restart the program afresh from time to time",
					    "inotify watch number %d is too high to be given out again", watches[i].wd);
		int err = fd_plan_path(plan, watches[i].path, &owned, &mapped);
		if (err)
			return err;
		if (lstat(owned ? owned : watches[i].path, &st))
			fd_verdict_obstacle(v, "make it, or point elsewhere with --map file:OLD=NEW", "%s, which is watched, is not there: %s",
					    owned ? owned : watches[i].path, strerror(errno));
	}
	return v->err;
}

/* Reads away what was queued (IN_IGNORED of the numbers used up). */
static void drain(int fd)
{
	char buf[4096] __attribute__((aligned(8)));

	while (read(fd, buf, sizeof(buf)) > 0)
		;
}

/* Uses up numbers until the next one is `wd`, with watches on an inode that nobody else can be watching. */
static int use_up(int fd, int dummy, int32_t *next, int32_t wd)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", dummy);
	for (; *next < wd; ++*next) {
		int got = inotify_add_watch(fd, path, IN_ATTRIB);

		if (got != *next)
			return got < 0 ? -errno : -ERANGE;
		inotify_rm_watch(fd, got);
		if (*next % 1024 == 0)
			drain(fd);
	}
	return 0;
}

static int add_watches(struct fd_plan *plan, struct fd_file *file, int fd)
{
	AUTO_CLOSE int dummy = memfd_create("stasis-inotify", MFD_CLOEXEC);
	const struct watch *watches = file->items;
	int32_t next = 1;

	for (size_t i = 0; i < file->n_items; i++) {
		AUTO_FREE char *owned = NULL;
		bool mapped;
		int err = fd_plan_path(plan, watches[i].path, &owned, &mapped);

		if (!err)
			err = dummy < 0 ? -EMFILE : use_up(fd, dummy, &next, watches[i].wd);
		if (!err) {
			int got = inotify_add_watch(fd, owned ? owned : watches[i].path, watches[i].mask & USER_MASK);
			err = got < 0 ? -errno : got != next++ ? -ERANGE : 0;
		}
		if (err)
			return report_fail(plan->rep, err, "fd %d (inotify): %s cannot be watched as number %d again: %s", file->slot_fd,
					   owned ? owned : watches[i].path, watches[i].wd, strerror(-err));
	}
	drain(fd);
	return 0;
}

static int inotify_prepare(struct fd_plan *plan, struct fd_file *file)
{
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK), err;

	if (fd < 0)
		return report_fail(plan->rep, -errno, "fd %d (inotify): %s; raise fs.inotify.max_user_instances", file->slot_fd,
				   strerror(errno));
	err = add_watches(plan, file, fd);
	if (!err)
		err = fd_set_status(plan, file, fd);
	if (err) {
		close(fd);
		return err;
	}
	file->fd = fd_plan_adopt(plan, fd);
	return file->fd < 0 ? file->fd : 0;
}

const struct fd_kind fd_kind_inotify = {
	.name = "inotify",
	.item_schema = &fd_inotify_schema,
	.claim = inotify_claim,
	.inspect = inotify_inspect,
	.check = inotify_check,
	.plan = inotify_plan,
	.prepare = inotify_prepare,
};
