/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an image says about open files: one FILE per open file description, one FD per descriptor of a process, one BACK per
 * file behind descriptions and mappings, one LOCK per file lock. Kinds add records of their own that name the FILE they belong
 * to. */
#ifndef STASIS_FD_RECORD_H
#define STASIS_FD_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "schema.h"

/* FILE: an open file description. */
struct fd_file_record {
	uint32_t id;                   /* from 1 */
	char *kind;                    /* the name of a row of the table of kinds: "regular", "eventfd" */
	uint32_t flags;                /* access mode and status flags as F_GETFL gives them, without O_CLOEXEC */
	uint64_t pos;                  /* file offset in bytes (directories: the file system's cookie) */
	char *path;                    /* what /proc/PID/fd says, without " (deleted)" */
	uint32_t backing;              /* id of a BACK, 0 = none */
	uint32_t mode;                 /* st_mode */
	uint32_t dev_major, dev_minor; /* st_dev */
	uint64_t ino;
	uint32_t rdev_major, rdev_minor; /* devices only */
	uint32_t owner_type;             /* F_OWNER_TID, F_OWNER_PID, F_OWNER_PGRP; meaningful when owner is not 0 */
	int32_t owner;                   /* F_SETOWN, as the target sees it; 0 = none */
	int32_t owner_signal;            /* F_SETSIG; 0 = SIGIO */
	bool deleted;                    /* a directory or FIFO that no path leads to any more (regular files: see BACK) */
	bool stdio; /* may become the descriptor 0-2 of whoever restarts: a terminal, a pipe or socket whose peer was outside */
};

/* FD: a descriptor of a process. */
struct fd_slot_record {
	uint32_t process; /* index in the tree */
	int32_t fd;
	uint32_t file; /* id of a FILE */
	bool cloexec;
};

/* What a BACK is. The image holds the name (see fd_back_kind_name). */
enum fd_back_kind {
	FD_BACK_REGULAR, /* has a path that leads to it */
	FD_BACK_DELETED, /* a regular file that no path leads to: contents in the image */
	FD_BACK_MEMFD,
	FD_BACK_SHM,    /* anonymous shared memory */
	FD_BACK_DEVICE, /* a mapped character device */
	FD_BACK_KINDS,
};

#define FD_MAPPED_PRIVATE 1u      /* mapped MAP_PRIVATE */
#define FD_MAPPED_SHARED 2u       /* mapped MAP_SHARED */
#define FD_MAPPED_SHARED_WRITE 4u /* mapped MAP_SHARED by someone who may write */

/* BACK: an inode behind descriptions and mappings. */
struct fd_back_record {
	uint32_t id; /* from 1 */
	char *kind;
	char *path;                    /* memfd: the name given to memfd_create */
	uint32_t dev_major, dev_minor; /* st_dev */
	uint64_t ino;
	uint64_t fsid;           /* statfs f_fsid: outlives a reboot where st_dev may not; 0 unknown */
	int64_t btime_ns;        /* birth of the inode; 0 unknown */
	uint64_t size;           /* bytes */
	int64_t mtime_ns;        /* CLOCK_REALTIME */
	uint32_t mode, uid, gid; /* st_mode and owner; uid and gid as our user namespace sees them */
	uint32_t rdev_major, rdev_minor;
	bool writable; /* open for writing (but for appending only), or mapped shared and writable: part of the state */
	bool log; /* written by appending, or as a shell's standard output, only: goes on at its end, contents never reverted */
	uint32_t mapped;           /* FD_MAPPED_* */
	uint32_t space;            /* of the contents, offset 0 = start of the file; 0 = contents are not in the image */
	struct img_bytes build_id; /* of an ELF file that is mapped */
	bool hashed;
	uint64_t xxh3; /* XXH3 64 of the whole contents; valid when hashed */
	bool linkable; /* opened with O_TMPFILE and without O_EXCL: linkat may give it a name */
	bool has_seals;
	uint32_t seals;     /* F_GET_SEALS */
	uint64_t huge_page; /* bytes of a page of hugetlbfs; 0 = ordinary memory */
};

enum fd_lock_kind { FD_LOCK_FLOCK, FD_LOCK_POSIX, FD_LOCK_OFD, FD_LOCK_LEASE, FD_LOCK_KINDS };

/* LOCK: a lock held by a description (flock, OFD, lease) or by a process on the file behind it (POSIX). */
struct fd_lock_record {
	uint32_t file;    /* id of a FILE */
	uint32_t process; /* index in the tree: who takes it again */
	char *kind;       /* "flock", "posix", "ofd", "lease" */
	bool write;
	uint64_t start, length; /* bytes; length 0 = to the end of the file */
};

extern const struct img_schema fd_file_schema, fd_slot_schema, fd_back_schema, fd_lock_schema;

/* Names in the image, and back; -EBADMSG when the name is unknown. */
const char *fd_back_kind_name(enum fd_back_kind kind);
int fd_back_kind_parse(const char *name, enum fd_back_kind *ret);
const char *fd_lock_kind_name(enum fd_lock_kind kind);
int fd_lock_kind_parse(const char *name, enum fd_lock_kind *ret);

#endif
