// SPDX-License-Identifier: LGPL-2.1-or-later
/* Devices that are opened again as they are, block devices, and whatever nobody knows. Tests: fd-device.c. */
#include "fd/kinds.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#define MEM_MAJOR 1 /* Documentation/admin-guide/devices.txt */

/* Devices without state worth the name: memory devices by number, clocks by name (their numbers are given out at boot). */
static bool device_claim(const struct fd_look *look)
{
	static const unsigned char minors[] = { 3 /* null */,   5 /* zero */,    7 /* full */,
		                                8 /* random */, 9 /* urandom */, 11 /* kmsg */ };
	static const char *const names[] = { "/dev/rtc", "/dev/rtc0", "/dev/rtc1", "/dev/hpet", "/dev/misc/rtc" };

	if (!S_ISCHR(look->st->st_mode))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(minors); i++)
		if (look->st->st_rdev == makedev(MEM_MAJOR, minors[i]))
			return true;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(look->link, names[i]))
			return true;
	return false;
}

static int device_check(struct fd_capture *cap, struct fd_file *file, struct fd_verdict *v)
{
	(void)cap;
	fd_verdict_action(v, "%s: opened again", file->r.path);
	return 0;
}

static void plan_node(struct fd_file *file, const char *path, struct fd_verdict *v)
{
	struct stat st;

	if (stat(path, &st))
		fd_verdict_obstacle(v, "make the device node, or point elsewhere with --map file:OLD=NEW", "%s: %s", path,
		                    strerror(errno));
	else if ((st.st_mode & S_IFMT) != (file->r.mode & S_IFMT) ||
	         (major(st.st_rdev) == MEM_MAJOR) != (file->r.rdev_major == MEM_MAJOR) ||
	         (file->r.rdev_major == MEM_MAJOR && minor(st.st_rdev) != file->r.rdev_minor))
		fd_verdict_obstacle(v, "point elsewhere with --map file:OLD=NEW",
		                    "%s is another device than it was (%u:%u, was %u:%u)", path, major(st.st_rdev),
		                    minor(st.st_rdev), file->r.rdev_major, file->r.rdev_minor);
}

static int device_plan(struct fd_plan *plan, struct fd_file *file, struct fd_verdict *v)
{
	AUTO_FREE char *owned = NULL;
	bool mapped;
	int err = fd_plan_path(plan, file->r.path, &owned, &mapped);

	if (!err)
		plan_node(file, owned ? owned : file->r.path, v);
	return err ? err : v->err;
}

static int device_prepare(struct fd_plan *plan, struct fd_file *file)
{
	AUTO_FREE char *owned = NULL;
	char name[PATH_MAX + 32];
	bool mapped;
	int err = fd_plan_path(plan, file->r.path, &owned, &mapped);

	if (err)
		return err;
	const char *path = owned ? owned : file->r.path;
	int fd = open(path, fd_open_flags(file) | O_NONBLOCK);
	if (fd < 0)
		return report_fail(plan->rep, -errno, "%s: %s: %s", fd_file_name(file, name, sizeof(name)), path,
		                   strerror(errno));
	/* kmsg: what was logged so far has been read, or is of another boot. Elsewhere an offset means little and may be
	 * refused. */
	if (file->r.rdev_major == MEM_MAJOR && file->r.rdev_minor == 11)
		lseek(fd, 0, SEEK_END);
	else if (file->r.pos)
		lseek(fd, (off_t)file->r.pos, SEEK_SET);
	err = fd_set_status(plan, file, fd);
	if (err) {
		close(fd);
		return err;
	}
	file->fd = fd_plan_adopt(plan, fd);
	return file->fd < 0 ? file->fd : 0;
}

const struct fd_kind fd_kind_device = {
	.name = "device",
	.claim = device_claim,
	.check = device_check,
	.plan = device_plan,
	.prepare = device_prepare,
};

/* ---- block devices ---- */

struct block_state {
	uint32_t file;
	uint64_t size; /* bytes */
};

static const struct img_field block_fields[] = {
	IMG_FIELD_REQUIRED(1, block_state, file, IMG_U32, IMG_DEC),
	IMG_FIELD_REQUIRED(2, block_state, size, IMG_U64, IMG_DEC),
};
const struct img_schema fd_block_schema = IMG_SCHEMA("BLKD", 1, IMG_MUST_UNDERSTAND, "block device", block_state, block_fields);

static bool block_claim(const struct fd_look *look)
{
	return S_ISBLK(look->st->st_mode);
}

static int block_inspect(struct fd_capture *cap, struct fd_file *file, const struct fd_look *look)
{
	struct block_state *state = file->state;

	(void)cap;
	if (ioctl(look->copy, BLKGETSIZE64, &state->size))
		state->size = 0;
	return 0;
}

static int block_check(struct fd_capture *cap, struct fd_file *file, struct fd_verdict *v)
{
	if ((file->r.flags & O_ACCMODE) == O_RDONLY)
		fd_verdict_action(v, "%s: opened again, read-only", file->r.path);
	else if (cap->o.disk == STASIS_DISK_NONE)
		fd_verdict_action(
		        v, "%s: opened again; its contents are not saved (--disk=none) and must be unchanged at the restart",
		        file->r.path);
	else
		fd_verdict_obstacle(
		        v, "use a disk image file, or checkpoint with --disk=none and keep the device unchanged yourself",
		        "the contents of block device %s cannot be saved", file->r.path);
	return 0;
}

static int block_plan(struct fd_plan *plan, struct fd_file *file, struct fd_verdict *v)
{
	const struct block_state *state = file->state;
	AUTO_FREE char *owned = NULL;
	bool mapped;
	uint64_t size = 0;
	int err = fd_plan_path(plan, file->r.path, &owned, &mapped);

	if (err)
		return err;
	const char *path = owned ? owned : file->r.path;
	plan_node(file, path, v);
	AUTO_CLOSE int fd = v->obstacle ? -1 : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (!v->obstacle && (fd < 0 || ioctl(fd, BLKGETSIZE64, &size)))
		fd_verdict_obstacle(v, "run as a user who may open it", "block device %s: %s", path, strerror(errno));
	else if (!v->obstacle && size != state->size)
		fd_verdict_obstacle(v, "point elsewhere with --map file:OLD=NEW", "block device %s has %llu bytes, it had %llu",
		                    path, (unsigned long long)size, (unsigned long long)state->size);
	if (!v->obstacle && (file->r.flags & O_ACCMODE) != O_RDONLY)
		fd_verdict_action(v, "%s is used as it is: whether it has changed since the checkpoint cannot be told", path);
	return v->err;
}

const struct fd_kind fd_kind_block = {
	.name = "block device",
	.state_schema = &fd_block_schema,
	.claim = block_claim,
	.inspect = block_inspect,
	.check = block_check,
	.plan = block_plan,
	.prepare = device_prepare,
};

/* ---- all the rest ---- */

static int foreign_check(struct fd_capture *cap, struct fd_file *file, struct fd_verdict *v)
{
	(void)cap;
	fd_verdict_obstacle(v, "have the program close it first, or start it without what needs this descriptor",
	                    "descriptors of this kind (%s) cannot be restored", file->link);
	return 0;
}

static int foreign_plan(struct fd_plan *plan, struct fd_file *file, struct fd_verdict *v)
{
	(void)plan;
	fd_verdict_obstacle(v, "use a newer version", "descriptors of this kind (%s) cannot be restored", file->r.path);
	return v->err;
}

const struct fd_kind fd_kind_foreign = {
	.name = "unknown",
	.check = foreign_check,
	.plan = foreign_plan,
};
