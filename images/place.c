// SPDX-License-Identifier: LGPL-2.1-or-later
/* Puts a file into its place whole or not at all. Nameless files (O_TMPFILE) vanish with their last descriptor even when
 * the process is killed; only on file systems without them is there a hidden temporary name. */
#include "place.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

#define PLACE_TRIES 16

static int place_split(struct place *place, const char *path)
{
	const char *slash = strrchr(path, '/');

	place->path = strdup(path);
	place->name = strdup(slash ? slash + 1 : path);
	place->dir = !slash ? strdup(".") : slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
	if (!place->path || !place->name || !place->dir)
		return report_fail(place->rep, -ENOMEM, "image %s: out of memory", path);
	if (!*place->name || !strcmp(place->name, ".") || !strcmp(place->name, ".."))
		return report_fail(place->rep, -EISDIR, "image %s: this is a directory; add a file name", path);
	return 0;
}

/* ".NAME.XXXXXX.tmp", cut so that it fits into a directory entry. */
static int place_temp_name(const struct place *place, char **ret_name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	uint8_t random[6];

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return -EAGAIN;
	char suffix[7] = "";
	for (size_t i = 0; i < sizeof(random); i++)
		suffix[i] = letters[random[i] % (sizeof(letters) - 1)];
	if (asprintf(ret_name, ".%.*s.%s.tmp", NAME_MAX - 12, place->name, suffix) < 0)
		return -ENOMEM;
	return 0;
}

/* One message for whatever keeps a file from being made in the directory. */
static int place_refuse(const struct place *place, int err)
{
	const char *remedy = "choose another directory";

	if (err == -ENOENT)
		return report_fail(place->rep, err, "image %s: directory %s does not exist; create it first", place->path,
		                   place->dir);
	if (err == -ENOTDIR)
		return report_fail(place->rep, err, "image %s: %s is not a directory; choose another one", place->path,
		                   place->dir);
	if (err == -EACCES || err == -EPERM)
		return report_fail(place->rep, err,
		                   "image %s: no permission to write in directory %s; choose another directory or "
		                   "change its permissions",
		                   place->path, place->dir);
	if (err == -EROFS)
		remedy = "choose a directory on a file system that can be written";
	if (err == -ENOSPC || err == -EDQUOT)
		remedy = "free some space or choose another directory";
	if (err == -ENAMETOOLONG)
		remedy = "choose a shorter name";
	if (err == -ENOMEM)
		remedy = "free some memory and try again";
	if (err == -EMFILE || err == -ENFILE)
		remedy = "raise the limit of open files (ulimit -n)";
	return report_fail(place->rep, err, "image %s: cannot create a file in directory %s: %s; %s", place->path, place->dir,
	                   strerror(-err), remedy);
}

/* Is there something under the final name that must not be replaced? */
static int place_check_target(const struct place *place)
{
	struct stat st;

	if (fstatat(place->dirfd, place->name, &st, AT_SYMLINK_NOFOLLOW))
		return errno == ENOENT ? 0 : place_refuse(place, -errno);
	if (S_ISDIR(st.st_mode))
		return report_fail(place->rep, -EISDIR, "image %s: this is a directory; add a file name", place->path);
	if (S_ISLNK(st.st_mode) && place->overwrite)
		return report_fail(place->rep, -EEXIST, "image %s: this is a symbolic link; name the file it points to",
		                   place->path);
	if (!S_ISREG(st.st_mode))
		return report_fail(place->rep, -EEXIST, "image %s: exists and is not a regular file; choose another name",
		                   place->path);
	if (!place->overwrite)
		return report_fail(place->rep, -EEXIST,
		                   "image %s: exists already; choose another name, or replace it (--force)", place->path);
	return 0;
}

static int place_create_temp(struct place *place)
{
	for (int i = 0; i < PLACE_TRIES; i++) {
		int err = place_temp_name(place, &place->temp);
		if (err)
			return err;
		place->fd = openat(place->dirfd, place->temp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (place->fd >= 0)
			return 0;
		err = -errno;
		free(STEAL_PTR(place->temp));
		if (err != -EEXIST)
			return err;
	}
	return -EEXIST;
}

static int place_open(struct place *place)
{
	/* A directory that may be written but not read can hold an image as well; it only cannot be fsynced. */
	place->dirfd = open(place->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	place->synced_dir = place->dirfd >= 0;
	if (place->dirfd < 0 && errno == EACCES)
		place->dirfd = open(place->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (place->dirfd < 0)
		return place_refuse(place, -errno);
	int err = place_check_target(place);
	if (err)
		return err;
	place->fd = openat(place->dirfd, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	err = place->fd < 0 ? -errno : 0;
	/* open(2): EOPNOTSUPP from a file system without it, EISDIR or ENOENT from a kernel without it. */
	if (err == -EOPNOTSUPP || err == -EISDIR || err == -ENOENT || err == -EINVAL)
		err = place_create_temp(place);
	if (err)
		return place_refuse(place, err);
	/* The umask may have taken bits away, and a default ACL of the directory may have added some. */
	if (fchmod(place->fd, 0600))
		return place_refuse(place, -errno);
	return 0;
}

int place_create(struct reporter *rep, const char *path, bool overwrite, struct place *ret)
{
	struct place place = { .rep = rep, .dirfd = -1, .fd = -1, .overwrite = overwrite };
	int err = report_fault(rep, "image.create");

	if (!err)
		err = place_split(&place, path);
	if (!err)
		err = place_open(&place);
	if (err) {
		place_finish(&place);
		return err;
	}
	*ret = place;
	return 0;
}

/* Gives the nameless file a name that is free. */
static int place_link(const struct place *place, const char *name)
{
	char proc[64];

	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", place->fd);
	if (!linkat(AT_FDCWD, proc, place->dirfd, name, AT_SYMLINK_FOLLOW))
		return 0;
	if (errno != ENOENT)
		return -errno;
	/* No /proc: the other way, which older kernels grant to CAP_DAC_READ_SEARCH only. */
	return linkat(place->fd, "", place->dirfd, name, AT_EMPTY_PATH) ? -errno : 0;
}

static int place_link_temp(struct place *place)
{
	int err = -EEXIST;

	for (int i = 0; i < PLACE_TRIES && err == -EEXIST; i++) {
		char *temp = NULL;
		if ((err = place_temp_name(place, &temp)))
			return err;
		err = place_link(place, temp);
		if (err)
			free(temp);
		else
			place->temp = temp;
	}
	return err;
}

/* The temporary name becomes the final one. */
static int place_rename(struct place *place)
{
	if (place->overwrite) {
		if (renameat(place->dirfd, place->temp, place->dirfd, place->name))
			return -errno;
	} else if (renameat2(place->dirfd, place->temp, place->dirfd, place->name, RENAME_NOREPLACE)) {
		if (errno != EINVAL && errno != ENOSYS)
			return -errno;
		/* A file system without RENAME_NOREPLACE: a link refuses an existing name just as well. */
		if (linkat(place->dirfd, place->temp, place->dirfd, place->name, 0))
			return -errno;
		unlinkat(place->dirfd, place->temp, 0);
	}
	free(STEAL_PTR(place->temp));
	return 0;
}

static int place_settle(struct place *place)
{
	int err = 0;

	if (!place->temp) {
		err = place_link(place, place->name);
		if (!err || err != -EEXIST || !place->overwrite)
			return err;
		err = place_link_temp(place);
	}
	return err ? err : place_rename(place);
}

int place_commit(struct place *place)
{
	int err = report_fault(place->rep, "image.fsync");

	if (err)
		return err;
	if (fsync(place->fd)) {
		err = -errno;
		return report_fail(place->rep, err,
		                   "image %s: writing to the disk failed: %s; check the disk or choose another directory",
		                   place->path, strerror(-err));
	}
	if ((err = report_fault(place->rep, "image.rename")) || (err = place_check_target(place)))
		return err;
	/* The fsync may have taken long. */
	if (report_cancelled(place->rep))
		return report_fail(place->rep, -ECANCELED, "image %s: cancelled; nothing was written", place->path);
	err = place_settle(place);
	if (err == -EEXIST)
		return report_fail(place->rep, err, "image %s: appeared while it was being written; choose another name",
		                   place->path);
	if (err)
		return report_fail(place->rep, err, "image %s: cannot be put into its place: %s; choose another directory",
		                   place->path, strerror(-err));
	if (place->synced_dir && fsync(place->dirfd) && errno != EINVAL) {
		err = -errno;
		if (!place->overwrite)
			unlinkat(place->dirfd, place->name, 0);
		return report_fail(place->rep, err, "directory %s: writing it to the disk failed: %s; check the disk",
		                   place->dir, strerror(-err));
	}
	return 0;
}

void place_finish(struct place *place)
{
	if (place->temp && place->dirfd >= 0)
		unlinkat(place->dirfd, place->temp, 0);
	if (place->fd >= 0)
		close(place->fd);
	if (place->dirfd >= 0)
		close(place->dirfd);
	free(place->temp);
	free(place->path);
	free(place->dir);
	free(place->name);
	*place = (struct place){ .dirfd = -1, .fd = -1 };
}
