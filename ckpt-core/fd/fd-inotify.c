// SPDX-License-Identifier: LGPL-2.1-or-later
/* inotify: the watches, by path, with their numbers. Events that were queued and not read are lost.
 *
 * fdinfo knows an inode and a handle, not a path. The handle gives the path where it may be opened (CAP_DAC_READ_SEARCH); else
 * places that the process is likely to watch are compared, and at last the file system is searched for a while. Numbers are
 * given out in ascending order, one per added watch (fs/notify/inotify/inotify_user.c, idr_alloc_cyclic), so a restart uses up
 * the ones in between. Tests: fd-inotify.c. */
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

#define WD_MAX (1 << 20) /* numbers that a restart is ready to use up */
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

struct handle {
	struct file_handle head;
	unsigned char bytes[sizeof(((struct proc_inotify_watch *)NULL)->handle)];
};

struct sought {
	dev_t dev;
	uint64_t ino;
	long any_dev_of; /* not 0: st_dev says nothing on this type of file system (btrfs with subvolumes, overlayfs) */
	bool has_handle;
	struct handle handle;
};

/* Whether something with this st_dev, at a path or a descriptor, can be on the file system. */
static bool same_file_system(const struct sought *what, dev_t dev, const char *path)
{
	struct statfs fs;

	return dev == what->dev || (what->any_dev_of && !statfs(path, &fs) && fs.f_type == what->any_dev_of);
}

/* Numbers of inodes are unique in a file system only, and on btrfs not even there: the handle decides where there is one. */
static bool is_it(const struct sought *what, const char *path)
{
	struct handle have = { .head = { .handle_bytes = sizeof(have.bytes) } };
	struct stat st;
	int mount;

	if (lstat(path, &st) || st.st_ino != what->ino || !same_file_system(what, st.st_dev, path))
		return false;
	if (what->has_handle && !name_to_handle_at(AT_FDCWD, path, &have.head, &mount, 0) &&
	    have.head.handle_type == what->handle.head.handle_type)
		return have.head.handle_bytes == what->handle.head.handle_bytes &&
		       !memcmp(have.head.f_handle, what->handle.head.f_handle, have.head.handle_bytes);
	return true;
}

static bool path_of_handle(int mount, const struct sought *what, char **ret_path)
{
	struct handle handle = what->handle;
	AUTO_FREE char *path = NULL;
	AUTO_CLOSE int fd = open_by_handle_at(mount, &handle.head, O_PATH | O_CLOEXEC);

	if (fd < 0 || io_readlinkf(&path, "/proc/self/fd/%d", fd) || !is_it(what, path))
		return false;
	*ret_path = STEAL_PTR(path);
	return true;
}

/* Tries the mounts of the file system, as the process has them: "36 35 98:0 /root /mount rw - ext4 /dev/x" (proc(5)). */
static bool find_by_handle(const struct fd_process *proc, struct sought *what, char **ret_path, char **ret_mount)
{
	AUTO_FREE char *text = NULL;
	char *line, *rest;

	if (io_read_filef(&text, NULL, "/proc/%d/mountinfo", proc->pid))
		return false;
	for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		unsigned maj, min;
		char root[PATH_MAX], point[PATH_MAX];
		struct statfs fs;

		if (sscanf(line, "%*d %*d %u:%u %4095s %4095s", &maj, &min, root, point) != 4 || makedev(maj, min) != what->dev)
			continue;
		AUTO_CLOSE int mount = open(point, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
		if (mount < 0)
			continue;
		if (!fstatfs(mount, &fs) && (fs.f_type == BTRFS_SUPER_MAGIC || fs.f_type == OVERLAYFS_SUPER_MAGIC))
			what->any_dev_of = fs.f_type;
		if (!*ret_mount)
			*ret_mount = strdup(point);
		if (what->has_handle && path_of_handle(mount, what, ret_path))
			return true;
	}
	return false;
}

/* Directories to look into, nearest first: a queue, so that what lies shallow is found soon. */
struct search {
	const struct sought *what;
	VEC(char *) queue;
	time_t deadline; /* CLOCK_MONOTONIC_COARSE */
	char *found;
};

static int search_add(struct search *s, const char *path)
{
	char *copy;

	if (is_it(s->what, path)) {
		s->found = strdup(path);
		return s->found ? 0 : -ENOMEM;
	}
	copy = strdup(path);
	if (!copy || vec_push(&s->queue, copy)) {
		free(copy);
		return -ENOMEM;
	}
	return 0;
}

/* Where the process is, what it has open and everything above that, and where programs like to watch. */
static int search_begin(struct search *s, const struct fd_capture *cap, const struct fd_process *proc)
{
	static const char *const usual[] = { "/etc",         "/tmp", "/run",     "/dev",    "/dev/input",
		                             "/dev/bus/usb", "/var", "/var/run", "/var/log" };
	AUTO_FREE char *cwd = NULL;
	char dir[PATH_MAX];
	int err = io_readlinkf(&cwd, "/proc/%d/cwd", proc->pid) ? 0 : search_add(s, cwd);

	vec_each(&cap->files, it) {
		if (err || s->found || (*it)->link[0] != '/')
			continue;
		snprintf(dir, sizeof(dir), "%s", (*it)->link);
		if (!S_ISDIR((*it)->st.st_mode) && strrchr(dir, '/') != dir)
			*strrchr(dir, '/') = '\0';
		err = search_add(s, dir);
	}
	for (size_t i = 0; !err && !s->found && i < ARRAY_SIZE(usual); i++)
		err = search_add(s, usual[i]);
	return err;
}

static bool out_of_time(const struct search *s)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return now.tv_sec > s->deadline;
}

static int search_directory(struct search *s, const char *dir)
{
	AUTO_CLOSEDIR DIR *d = opendir(dir);
	struct dirent *entry;
	struct stat st;
	int err = 0;

	/* Other file systems have their own mounts. */
	if (!d || fstat(dirfd(d), &st) || !same_file_system(s->what, st.st_dev, dir))
		return 0;
	while (!err && !s->found && !out_of_time(s) && (entry = readdir(d))) {
		AUTO_FREE char *path = NULL;

		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if (entry->d_ino != s->what->ino && entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN)
			continue;
		if (asprintf(&path, "%s/%s", strcmp(dir, "/") ? dir : "", entry->d_name) < 0) {
			path = NULL;
			return -ENOMEM;
		}
		err = search_add(s, path);
	}
	return err;
}

static char *search_path(const struct fd_capture *cap, const struct fd_process *proc, const struct sought *what,
                         const char *mount)
{
	struct search s = { .what = what };
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	s.deadline = now.tv_sec + SEARCH_SECONDS;
	int err = search_begin(&s, cap, proc);
	if (!err && !s.found && mount)
		err = search_add(&s, mount);
	for (size_t i = 0; !err && !s.found && i < s.queue.n && !out_of_time(&s); i++)
		err = search_directory(&s, s.queue.items[i]);
	vec_each(&s.queue, path)
		free(*path);
	vec_finish(&s.queue);
	return s.found;
}

static char *find_path(const struct fd_capture *cap, const struct fd_process *proc, const struct proc_inotify_watch *watch)
{
	struct sought what = { .dev = makedev(watch->sdev >> 20, watch->sdev & 0xfffff),
		               .ino = watch->ino,
		               .has_handle = watch->has_handle,
		               .handle.head = { .handle_bytes = watch->handle_size, .handle_type = watch->handle_type } };
	AUTO_FREE char *mount = NULL;
	char *path = NULL;

	memcpy(what.handle.head.f_handle, watch->handle, watch->handle_size);
	if (find_by_handle(proc, &what, &path, &mount))
		return path;
	return search_path(cap, proc, &what, mount);
}

static int inotify_inspect(struct fd_capture *cap, struct fd_file *file, const struct fd_look *look)
{
	int queued = 0;

	vec_each(&look->info->inotify, seen) {
		struct watch watch = { .wd = seen->wd,
			               .mask = seen->mask & USER_MASK,
			               .path = find_path(cap, look->proc, seen) };
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
			return report_fail(plan->rep, -EBADMSG,
			                   "image %s: inotify watch %d makes no sense; the image is damaged",
			                   img_reader_path(plan->reader), watches[i].wd);
		if (watches[i].wd > WD_MAX)
			fd_verdict_obstacle(v, "restart the program afresh from time to time",
			                    "inotify watch number %d is too high to be given out again", watches[i].wd);
		int err = fd_plan_path(plan, watches[i].path, &owned, &mapped);
		if (err)
			return err;
		if (lstat(owned ? owned : watches[i].path, &st))
			fd_verdict_obstacle(v, "make it, or point elsewhere with --map file:OLD=NEW",
			                    "%s, which is watched, is not there: %s", owned ? owned : watches[i].path,
			                    strerror(errno));
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
			return report_fail(plan->rep, err, "fd %d (inotify): %s cannot be watched as number %d again: %s",
			                   file->slot_fd, owned ? owned : watches[i].path, watches[i].wd, strerror(-err));
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
