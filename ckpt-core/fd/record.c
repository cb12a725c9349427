// SPDX-License-Identifier: LGPL-2.1-or-later
/* The schemas of the records that every kind of open file shares. */
#include "fd/record.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"

static const struct img_field file_fields[] = {
	IMG_FIELD_REQUIRED(1, fd_file_record, id, IMG_U32, IMG_DEC),
	IMG_FIELD_REQUIRED(2, fd_file_record, kind, IMG_STR, IMG_DEC),
	IMG_FIELD_REQUIRED(3, fd_file_record, flags, IMG_U32, IMG_OCT),
	IMG_FIELD(4, fd_file_record, pos, IMG_U64, IMG_DEC),
	IMG_FIELD_REQUIRED(5, fd_file_record, path, IMG_STR, IMG_DEC),
	IMG_FIELD(6, fd_file_record, backing, IMG_U32, IMG_DEC),
	IMG_FIELD(7, fd_file_record, mode, IMG_U32, IMG_OCT),
	IMG_FIELD(8, fd_file_record, dev_major, IMG_U32, IMG_DEC),
	IMG_FIELD(9, fd_file_record, dev_minor, IMG_U32, IMG_DEC),
	IMG_FIELD(10, fd_file_record, ino, IMG_U64, IMG_DEC),
	IMG_FIELD(11, fd_file_record, rdev_major, IMG_U32, IMG_DEC),
	IMG_FIELD(12, fd_file_record, rdev_minor, IMG_U32, IMG_DEC),
	IMG_FIELD(13, fd_file_record, owner_type, IMG_U32, IMG_DEC),
	IMG_FIELD(14, fd_file_record, owner, IMG_I32, IMG_DEC),
	IMG_FIELD(15, fd_file_record, owner_signal, IMG_I32, IMG_DEC),
	IMG_FIELD(16, fd_file_record, stdio, IMG_BOOL, IMG_DEC),
	IMG_FIELD(17, fd_file_record, deleted, IMG_BOOL, IMG_DEC),
};
const struct img_schema fd_file_schema = IMG_SCHEMA("FILE", 1, IMG_MUST_UNDERSTAND, "open file", fd_file_record, file_fields);

static const struct img_field slot_fields[] = {
	IMG_FIELD_REQUIRED(1, fd_slot_record, process, IMG_U32, IMG_DEC),
	IMG_FIELD_REQUIRED(2, fd_slot_record, fd, IMG_I32, IMG_DEC),
	IMG_FIELD_REQUIRED(3, fd_slot_record, file, IMG_U32, IMG_DEC),
	IMG_FIELD(4, fd_slot_record, cloexec, IMG_BOOL, IMG_DEC),
};
const struct img_schema fd_slot_schema =
        IMG_SCHEMA("FD  ", 1, IMG_MUST_UNDERSTAND, "file descriptor", fd_slot_record, slot_fields);

static const struct img_field back_fields[] = {
	IMG_FIELD_REQUIRED(1, fd_back_record, id, IMG_U32, IMG_DEC),
	IMG_FIELD_REQUIRED(2, fd_back_record, kind, IMG_STR, IMG_DEC),
	IMG_FIELD_REQUIRED(3, fd_back_record, path, IMG_STR, IMG_DEC),
	IMG_FIELD(4, fd_back_record, dev_major, IMG_U32, IMG_DEC),
	IMG_FIELD(5, fd_back_record, dev_minor, IMG_U32, IMG_DEC),
	IMG_FIELD(6, fd_back_record, ino, IMG_U64, IMG_DEC),
	IMG_FIELD(7, fd_back_record, fsid, IMG_U64, IMG_HEX),
	IMG_FIELD(8, fd_back_record, btime_ns, IMG_I64, IMG_DEC),
	IMG_FIELD_REQUIRED(9, fd_back_record, size, IMG_U64, IMG_DEC),
	IMG_FIELD_REQUIRED(10, fd_back_record, mtime_ns, IMG_I64, IMG_DEC),
	IMG_FIELD_REQUIRED(11, fd_back_record, mode, IMG_U32, IMG_OCT),
	IMG_FIELD(12, fd_back_record, uid, IMG_U32, IMG_DEC),
	IMG_FIELD(13, fd_back_record, gid, IMG_U32, IMG_DEC),
	IMG_FIELD(14, fd_back_record, rdev_major, IMG_U32, IMG_DEC),
	IMG_FIELD(15, fd_back_record, rdev_minor, IMG_U32, IMG_DEC),
	IMG_FIELD(16, fd_back_record, writable, IMG_BOOL, IMG_DEC),
	IMG_FIELD(17, fd_back_record, log, IMG_BOOL, IMG_DEC),
	IMG_FIELD(18, fd_back_record, mapped, IMG_U32, IMG_HEX),
	IMG_FIELD(19, fd_back_record, space, IMG_U32, IMG_DEC),
	IMG_FIELD(20, fd_back_record, build_id, IMG_BYTES, IMG_HEX),
	IMG_FIELD(21, fd_back_record, hashed, IMG_BOOL, IMG_DEC),
	IMG_FIELD(22, fd_back_record, xxh3, IMG_U64, IMG_HEX),
	IMG_FIELD(23, fd_back_record, linkable, IMG_BOOL, IMG_DEC),
	IMG_FIELD(24, fd_back_record, has_seals, IMG_BOOL, IMG_DEC),
	IMG_FIELD(25, fd_back_record, seals, IMG_U32, IMG_HEX),
	IMG_FIELD(26, fd_back_record, huge_page, IMG_U64, IMG_DEC),
};
const struct img_schema fd_back_schema =
        IMG_SCHEMA("BACK", 1, IMG_MUST_UNDERSTAND, "backing file", fd_back_record, back_fields);

static const struct img_field lock_fields[] = {
	IMG_FIELD_REQUIRED(1, fd_lock_record, file, IMG_U32, IMG_DEC), IMG_FIELD(2, fd_lock_record, process, IMG_U32, IMG_DEC),
	IMG_FIELD_REQUIRED(3, fd_lock_record, kind, IMG_STR, IMG_DEC), IMG_FIELD(4, fd_lock_record, write, IMG_BOOL, IMG_DEC),
	IMG_FIELD(5, fd_lock_record, start, IMG_U64, IMG_DEC),         IMG_FIELD(6, fd_lock_record, length, IMG_U64, IMG_DEC),
};
const struct img_schema fd_lock_schema = IMG_SCHEMA("LOCK", 1, IMG_MUST_UNDERSTAND, "file lock", fd_lock_record, lock_fields);

static const char *const back_names[FD_BACK_KINDS] = { "regular", "deleted", "memfd", "shm", "device" };
static const char *const lock_names[FD_LOCK_KINDS] = { "flock", "posix", "ofd", "lease" };

static int name_index(const char *const *names, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (name && !strcmp(names[i], name))
			return (int)i;
	return -EBADMSG;
}

const char *fd_back_kind_name(enum fd_back_kind kind)
{
	return back_names[kind];
}

int fd_back_kind_parse(const char *name, enum fd_back_kind *ret)
{
	int i = name_index(back_names, ARRAY_SIZE(back_names), name);

	if (i < 0)
		return i;
	*ret = (enum fd_back_kind)i;
	return 0;
}

const char *fd_lock_kind_name(enum fd_lock_kind kind)
{
	return lock_names[kind];
}

int fd_lock_kind_parse(const char *name, enum fd_lock_kind *ret)
{
	int i = name_index(lock_names, ARRAY_SIZE(lock_names), name);

	if (i < 0)
		return i;
	*ret = (enum fd_lock_kind)i;
	return 0;
}
