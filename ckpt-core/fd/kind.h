/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Inside of ckpt-core/fd: what a kind of open file is (a row of typed callbacks), and what the rows work on. A new kind is a
 * new fd-NAME.c with a `const struct fd_kind` (and its schemas), named in kinds.c; nothing else changes.
 *
 * Theory of operation, capture. For every descriptor the frame reads link, stat and fdinfo, finds the description it shares
 * (KCMP_FILE), and asks the rows in order who claims a new one. The row's `inspect` then reads the state. When the whole tree
 * has been seen, `resolve` ties descriptions together (whose other end is inside, whose outside), `check` words what will
 * happen, and `save` puts contents into the image. Nothing in the target changes in any of this.
 *
 * Restore. `plan` compares with this host and changes nothing. `prepare` runs in the caller, by ascending rank: it makes the
 * description and leaves it in file->fd, above every number the target uses (fd_plan_adopt). Children inherit it. In stage 1
 * the frame calls `install` for the descriptions of that process (what must be done by the process itself, while everything is
 * still at its high number), then puts descriptors in place, then owners and locks, then calls `late`. `commit` or `abandon`
 * runs in the caller at the end. All callbacks but `claim` may be NULL. Tests: tests/unit/fd-*.c. */
#ifndef STASIS_FD_KIND_H
#define STASIS_FD_KIND_H

#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/vec.h"
#include "fd/fd.h"
#include "fd/record.h"
#include "proc/fdinfo.h"

struct fd_kind;

/* What will happen to one thing, and what stands in the way. Texts are owned; see fd_verdict_*. */
struct fd_verdict {
	char *action, *obstacle, *remedy;
	int err; /* -ENOMEM once a text could not be kept */
};

/* An open file description, on both sides. */
struct fd_file {
	struct fd_file_record r;
	const struct fd_kind *kind;
	void *state; /* a struct of kind->state_schema, zeroed at first, its `file` set by the frame; NULL without schema */
	void *items; /* n_items structs of kind->item_schema */
	size_t n_items, room_items;

	/* capture */
	struct fd_process proc; /* who holds it, and as which number, first */
	int slot_fd;            /* restore: the same, of process slot_process; -1 if nobody has it */
	uint32_t slot_process;
	char *link;     /* the link's text as it is */
	struct stat st; /* of the file; all zero if it could not be had */
	int32_t serial; /* of an eventfd (fdinfo eventfd-id), else -1: tells many of them apart for nothing */
	unsigned own;   /* for the kind's own use between its callbacks, zero at first; so is own_ptr (freed) */
	void *own_ptr;
	bool later;                   /* set by `save`: state and items are written by fd_capture_save_late, after `save_late` */
	const struct fd_claim *claim; /* not NULL: an adapter's word on it */
	struct fd_verdict said;       /* of a plugin's: what the plugin says of it, both sides */

	/* restore */
	int fd;          /* from prepare on: the description, at a high number; -1 = made by install or late, or a stdio one */
	bool foreign_fd; /* the caller's own 0-2 takes its place (see fd_plan_fd_for) */
};

/* A descriptor. */
struct fd_slot {
	struct fd_slot_record r;
	struct fd_file *file;
};

/* A mapping that shows a part of a file. */
struct fd_window {
	pid_t pid;
	uint64_t start, end, offset;
};

/* A file behind descriptions and mappings, on both sides. */
struct fd_back {
	struct fd_back_record r;
	enum fd_back_kind kind;

	/* capture: how to get at it again: a descriptor or a mapping of a process */
	struct fd_process proc;
	int slot_fd;   /* -1: only mapped, see the windows */
	bool readable; /* open for reading as slot_fd */
	VEC(struct fd_window) windows;
	bool has_map_id; /* what /proc/PID/maps calls it; may differ from st_dev:st_ino (btrfs, overlayfs) */
	uint32_t map_major, map_minor;
	uint64_t map_ino;
	unsigned writers, appenders; /* descriptions */
	bool memory;                 /* on tmpfs or hugetlbfs: shared memory with a name when it is mapped */
	bool leased;                 /* to open it might break a lease of the target's */
	int clone_fd;                /* own copy or reflink, made while frozen, written to the image by save_late; -1 = none */

	/* restore */
	char *path_now;     /* what is opened here and now; owned */
	char *path_temp;    /* made by us beside path_now, renamed to it by commit; NULL = none; owned */
	int use;            /* enum fd_back_use, see back-plan.c */
	struct stat st_now; /* of path_now, as compared by plan */
	int fd_made;        /* what prepare made or opened to make descriptions from; -1 = none */
	int fd_ro, fd_rw;   /* for mapping, in the backing range; -1 = none */
};

/* A lock, on both sides. */
struct fd_lock {
	struct fd_lock_record r;
	enum fd_lock_kind kind;
};

__attribute__((format(printf, 2, 3))) void fd_verdict_action(struct fd_verdict *v, const char *fmt, ...);
/* `remedy` is copied. The first obstacle stays. */
__attribute__((format(printf, 3, 4))) void fd_verdict_obstacle(struct fd_verdict *v, const char *remedy, const char *fmt, ...);

void fd_verdict_clear(struct fd_verdict *v);

/* Hands the verdict to the findings and clears it. */
int fd_verdict_give(struct fd_verdict *v, struct findings *findings, const char *object, const char *kind);

/* What claim and inspect look at. All borrowed, for the call only. */
struct fd_look {
	const struct fd_process *proc;
	int fd;
	const char *link; /* /proc/PID/fd/FD */
	const struct stat *st;
	const struct proc_fdinfo *info;
	int copy; /* by pidfd_getfd: shares offset and status flags with the target, so no read, lseek or F_SETFL on it */
};

struct fd_kind {
	const char *name;   /* in the image and for people */
	const char *action; /* what `check` says will happen, when the row has no `check` or that says nothing */
	/* Records of the kind's own, or NULL: one per description, any number per description. The first member of both
	 * structs is `uint32_t file`, the FILE's id. Several kinds may share a schema. */
	const struct img_schema *state_schema, *item_schema;
	int rank; /* prepare goes from low to high; 0 unless something must be there before */

	/* capture */
	bool (*claim)(const struct fd_look *look);
	int (*inspect)(struct fd_capture *cap, struct fd_file *file, const struct fd_look *look);
	int (*resolve)(struct fd_capture *cap, struct fd_file *file); /* the whole tree is known */
	int (*check)(struct fd_capture *cap, struct fd_file *file, struct fd_verdict *v);
	int (*save)(struct fd_capture *cap, struct fd_file *file,
	            struct img_writer *w); /* frozen; before state and items are written */
	/* Of files with `later`: still frozen, before state and items are written / the image is whole, the target is killed next. */
	int (*save_late)(struct fd_capture *cap, struct fd_file *file);
	int (*dying)(struct fd_capture *cap, struct fd_file *file);

	/* restore */
	int (*plan)(struct fd_plan *plan, struct fd_file *file, struct fd_verdict *v);
	int (*prepare)(struct fd_plan *plan, struct fd_file *file);
	int (*install)(struct fd_plan *plan, struct fd_file *file, uint32_t process); /* in the first process that holds it */
	int (*late)(struct fd_plan *plan, struct fd_file *file, uint32_t process);    /* likewise, all descriptors in place */
	int (*commit)(struct fd_plan *plan, struct fd_file *file);
	int (*live)(struct fd_plan *plan, struct fd_file *file); /* in the caller, when all was committed: others see it now */
	void (*abandon)(struct fd_plan *plan, struct fd_file *file);
};

/* The rows, in the order in which they are asked to claim; NULL ends it. The last one takes all. */
extern const struct fd_kind *const fd_kinds[];
const struct fd_kind *fd_kind_find(const char *name);

/* Appends a struct of the kind's item schema (copied, with what it owns) to the description; sets its `file`. */
int fd_file_add_item(struct fd_file *file, const void *item);
void fd_file_destroy(struct fd_file *file);
void fd_back_destroy(struct fd_back *back);

/* ---- capture ---- */
struct fd_capture {
	struct reporter *rep;
	struct fd_capture_options o;
	char *image_path;
	struct fd_claim *claims;
	uint32_t next_space;
	uint64_t own_copies; /* bytes held in memory for save_late */
	bool has_whole;      /* there is a file system that cannot clone its files: */
	uint32_t whole_major, whole_minor;
	bool checked;        /* fd_capture_check was here, and found: */
	size_t obstacles;
	VEC(struct fd_process) procs;
	VEC(struct fd_file *) files; /* by id - 1 */
	VEC(struct fd_file *) order; /* the same, as capture.c sorts them */
	VEC(struct fd_slot) slots;
	VEC(struct fd_back *) backs; /* by id - 1 */
	VEC(struct fd_lock) locks;
	struct findings notes; /* of mappings; given on by fd_capture_check */
};

/* A copy of the description (see fd_look.copy: the same warning). Owned by the caller. Returns it or a negative errno, worded
 * unless it is -EBADF in a process that is not frozen (then it is gone). */
int fd_file_copy(struct fd_capture *cap, const struct fd_file *file);

/* The number of the next free space for contents. */
uint32_t fd_capture_space(struct fd_capture *cap);

/* The pid of a task, given as we see it, as the task's own pid namespace sees it; 0 if it cannot be told. */
int32_t fd_inner_pid(pid_t pid);

/* The index of the process of the tree with this pid (as we see it), or -1. */
int fd_capture_process_index(const struct fd_capture *cap, pid_t pid);

/* ---- restore ---- */
struct fd_plan {
	struct reporter *rep;
	const struct img_reader *reader;
	struct fd_plan_options o;
	int max_fd;
	VEC(struct fd_file *) files; /* by id - 1 */
	VEC(struct fd_slot) slots;   /* by process, then number */
	VEC(struct fd_back *) backs; /* by id - 1 */
	VEC(struct fd_lock) locks;
	int back_first, back_last;      /* descriptors for mapping */
	uint64_t fill_done, fill_total; /* bytes of contents that come out of the image */
	int stdio_fd[3];                /* what takes the place of a foreign 0, 1, 2: made by prepare; -1 */
};

/* Moves `fd` above plan->max_fd, close-on-exec, and closes the old number. Returns the new one or a negative errno, worded. */
int fd_plan_adopt(struct fd_plan *plan, int fd);

/* A path of the image as it is to be used here: through the user's map, whole or by its longest leading directory. Borrowed
 * when unchanged, else in *ret_owned (to be freed). `ret_mapped`: the user spoke about it. */
int fd_plan_path(struct fd_plan *plan, const char *path, char **ret_owned, bool *ret_mapped);

/* The descriptor at which `file` is to be had now, in the caller or in stage 1, for use as number `slot` of a process (only
 * the caller's own 0-2 make a difference between slots; -1 = any). -EBADF if there is none yet. */
int fd_plan_fd_for(const struct fd_plan *plan, const struct fd_file *file, int slot);

struct fd_file *fd_plan_file(const struct fd_plan *plan, uint32_t id);
struct fd_back *fd_plan_back(const struct fd_plan *plan, uint32_t id);

/* "fd 5 (/a/b)": how messages name a description: by its first descriptor. A static part of the plan's memory is not used:
 * writes into buf and returns it. */
const char *fd_file_name(const struct fd_file *file, char *buf, size_t size);

/* The recorded flags as open(2) is to be given them now: without those that act on the file (O_CREAT, O_EXCL, O_TRUNC), and
 * with O_NOCTTY and O_CLOEXEC. */
int fd_open_flags(const struct fd_file *file);

/* F_SETFL with the recorded status flags (those that F_SETFL can set, without O_ASYNC). */
int fd_set_status(struct fd_plan *plan, const struct fd_file *file, int fd);

#endif
