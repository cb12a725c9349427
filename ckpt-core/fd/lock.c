// SPDX-License-Identifier: LGPL-2.1-or-later
/* File locks: flock, POSIX, open file description locks and leases, as fdinfo shows them (fs/locks.c, show_fd_locks).
 *
 * POSIX locks belong to the process and are dropped when it closes any descriptor of the file, so they come last in stage 1.
 * Tests: fd-locks.c. */
#include "fd/lock.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>

static bool lock_known(const struct fd_capture *cap, const struct fd_lock_record *r, uint32_t backing)
{
	vec_each(&cap->locks, it)
		if (it->kind == FD_LOCK_POSIX && it->r.process == r->process && it->r.start == r->start &&
		    it->r.length == r->length && cap->files.items[it->r.file - 1]->r.backing == backing)
			return true;
	return false;
}

static int lock_add(struct fd_capture *cap, enum fd_lock_kind kind, const struct fd_process *proc, const struct fd_file *file,
                    const struct proc_lock *seen)
{
	struct fd_lock lock = { .kind = kind,
		                .r = { .file = file->r.id,
		                       .process = proc->index,
		                       .write = seen->access == PROC_LOCK_WRITE,
		                       .start = seen->start } };

	if (seen->end != UINT64_MAX)
		lock.r.length = seen->end - seen->start + 1;
	if (kind == FD_LOCK_POSIX && lock_known(cap, &lock.r, file->r.backing))
		return 0;
	if (!(lock.r.kind = strdup(fd_lock_kind_name(kind))))
		return -ENOMEM;
	int err = vec_push(&cap->locks, lock);
	if (err)
		free(lock.r.kind);
	return err;
}

static int lock_refuse(struct fd_capture *cap, const struct fd_file *file, const char *what, const char *remedy)
{
	char object[64];

	snprintf(object, sizeof(object), "fd %d", file->slot_fd);
	return findings_obstacle(&cap->notes, object, file->r.path, remedy, "%s", what);
}

int fd_lock_collect(struct fd_capture *cap, const struct fd_process *proc, const struct fd_file *file,
                    const struct proc_fdinfo *info, bool fresh)
{
	int err = 0;

	vec_each(&info->locks, seen) {
		if (err)
			return err;
		if (seen->mode == PROC_LOCK_NOINODE || seen->access == PROC_LOCK_NONE)
			continue;
		switch (seen->type) {
		case PROC_LOCK_POSIX:
			/* Locks that another process took through this description are shown as well. */
			if (seen->pid == proc->pid)
				err = lock_add(cap, FD_LOCK_POSIX, proc, file, seen);
			break;
		case PROC_LOCK_FLOCK:
			if (fresh)
				err = lock_add(cap, FD_LOCK_FLOCK, proc, file, seen);
			break;
		case PROC_LOCK_OFD:
			if (fresh)
				err = lock_add(cap, FD_LOCK_OFD, proc, file, seen);
			break;
		case PROC_LOCK_LEASE:
			if (fresh && seen->mode != PROC_LOCK_ACTIVE)
				err = lock_refuse(cap, file, "its lease is being broken by another process",
				                  "try again in a moment");
			else if (fresh)
				err = lock_add(cap, FD_LOCK_LEASE, proc, file, seen);
			break;
		case PROC_LOCK_DELEG: /* of the kernel's own file servers, on the same inode */
			break;
		case PROC_LOCK_OTHER:
			err = lock_refuse(cap, file, "it holds a lock of an unknown type",
			                  "have the program drop the lock first");
			break;
		}
	}
	return err;
}

static struct flock lock_range(const struct fd_lock *lock)
{
	return (struct flock){ .l_type = lock->r.write ? F_WRLCK : F_RDLCK,
		               .l_whence = SEEK_SET,
		               .l_start = (off_t)lock->r.start,
		               .l_len = (off_t)lock->r.length };
}

int fd_lock_plan(struct fd_plan *plan, const struct fd_file *file, int fd, struct fd_verdict *v)
{
	vec_each(&plan->locks, lock) {
		struct flock range = lock_range(lock);

		if (lock->r.file != file->r.id || (lock->kind != FD_LOCK_POSIX && lock->kind != FD_LOCK_OFD))
			continue;
		/* F_OFD_GETLK asks on behalf of the description: locks of ours through another one count as well. */
		if (fcntl(fd, F_OFD_GETLK, &range) || range.l_type == F_UNLCK)
			continue;
		if (range.l_pid > 0)
			fd_verdict_obstacle(v, "end that process first", "process %d holds a lock on %s", range.l_pid,
			                    file->r.path);
		else
			fd_verdict_obstacle(v, "end the process that uses it (is the target itself still running?)",
			                    "another process holds a lock on %s", file->r.path);
	}
	return v->err;
}

static int lock_failed(struct fd_plan *plan, const struct fd_lock *lock, const struct fd_file *file, int err)
{
	if (err == -EAGAIN || err == -EACCES)
		return report_fail(plan->rep, err,
		                   "fd %d: %s is locked by another process (%s lock); end that process first "
		                   "(is the target itself still running?)",
		                   file->slot_fd, file->r.path, lock->r.kind);
	return report_fail(plan->rep, err, "fd %d: the %s lock on %s cannot be taken again: %s", file->slot_fd, lock->r.kind,
	                   file->r.path, strerror(-err));
}

static int lock_take(const struct fd_lock *lock, int fd)
{
	struct flock range = lock_range(lock);
	int r = -1;

	switch (lock->kind) {
	case FD_LOCK_FLOCK:
		r = flock(fd, (lock->r.write ? LOCK_EX : LOCK_SH) | LOCK_NB);
		break;
	case FD_LOCK_OFD:
		r = fcntl(fd, F_OFD_SETLK, &range);
		break;
	case FD_LOCK_POSIX:
		r = fcntl(fd, F_SETLK, &range);
		break;
	case FD_LOCK_LEASE:
		r = fcntl(fd, F_SETLEASE, lock->r.write ? F_WRLCK : F_RDLCK);
		break;
	case FD_LOCK_KINDS:
		break;
	}
	return r ? -errno : 0;
}

int fd_lock_prepare(struct fd_plan *plan)
{
	vec_each(&plan->locks, lock) {
		const struct fd_file *file = fd_plan_file(plan, lock->r.file);
		int fd = fd_plan_fd_for(plan, file, -1);

		/* What is made in stage 1 is locked there; the caller's own descriptors are not locked. */
		if ((lock->kind != FD_LOCK_FLOCK && lock->kind != FD_LOCK_OFD) || file->fd < 0)
			continue;
		int err = lock_take(lock, fd);
		if (err)
			return lock_failed(plan, lock, file, err);
	}
	return 0;
}

/* The number by which the process knows the description; -1 if it has none. */
static int lock_slot(const struct fd_plan *plan, uint32_t process, const struct fd_file *file)
{
	vec_each(&plan->slots, slot)
		if (slot->r.process == process && slot->file == file)
			return slot->r.fd;
	return -1;
}

int fd_lock_install(struct fd_plan *plan, uint32_t process)
{
	vec_each(&plan->locks, lock) {
		const struct fd_file *file = fd_plan_file(plan, lock->r.file);
		int fd = lock_slot(plan, process, file);

		if (lock->r.process != process || fd < 0 || (lock->kind != FD_LOCK_POSIX && lock->kind != FD_LOCK_LEASE))
			continue;
		int err = lock_take(lock, fd);
		if (err)
			return lock_failed(plan, lock, file, err);
	}
	return 0;
}

bool fd_lock_posix_on(const struct fd_plan *plan, uint32_t process, uint32_t backing)
{
	vec_each(&plan->locks, lock)
		if (lock->kind == FD_LOCK_POSIX && lock->r.process == process && backing &&
		    fd_plan_file(plan, lock->r.file)->r.backing == backing)
			return true;
	return false;
}
