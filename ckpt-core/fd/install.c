// SPDX-License-Identifier: LGPL-2.1-or-later
/* Stage 1 of a restart, in the new process: every descriptor into its place, with what belongs to the process.
 *
 * Order. Rows that need the process itself (time namespace, signal handlers, pids) make their descriptions first, by rank;
 * epoll is the last of them and adds its entries while every description still is at its high number. Then the places are
 * filled, so that nothing that is still needed can be overwritten. Then everything else is closed. POSIX locks come after that,
 * since closing any descriptor of a file drops them (test: fd-locks.c). */
#include "fd/plan.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "fd/back.h"
#include "fd/kinds.h"
#include "fd/lock.h"

static int install_rank(struct fd_plan *plan, uint32_t index, int rank, int *ret_next)
{
	vec_each(&plan->files, it) {
		struct fd_file *file = *it;

		if (file->kind->rank > rank && file->kind->rank < *ret_next)
			*ret_next = file->kind->rank;
		if (file->kind->rank != rank || file->foreign_fd || !file->kind->install || !fd_is_set_up_by(file, index))
			continue;
		int err = file->kind->install(plan, file, index);
		if (err)
			return err;
	}
	return 0;
}

static int install_kinds(struct fd_plan *plan, uint32_t index)
{
	int err = 0, rank = INT32_MIN, next;

	while (!err) {
		next = INT32_MAX;
		err = install_rank(plan, index, rank, &next);
		if (next == INT32_MAX)
			break;
		rank = next;
	}
	return err;
}

static int place_slots(struct fd_plan *plan, uint32_t index)
{
	vec_each(&plan->slots, slot) {
		if (slot->r.process != index)
			continue;
		int from = fd_plan_fd_for(plan, slot->file, slot->r.fd);
		if (from < 0)
			return report_fail(plan->rep, from, "fd %d (%s): nothing was made for it", slot->r.fd,
			                   slot->file->r.path);
		if (dup3(from, slot->r.fd, slot->r.cloexec ? O_CLOEXEC : 0) < 0)
			return report_fail(plan->rep, -errno, "fd %d cannot be put into place: %s", slot->r.fd,
			                   strerror(errno));
	}
	return 0;
}

/* F_SETOWN, F_SETSIG and O_ASYNC. An owner that is gone gets no signals, which is what it would get anyway. */
static int set_owner(struct fd_plan *plan, const struct fd_file *file, int fd)
{
	struct f_owner_ex owner = { .type = (int)file->r.owner_type, .pid = file->r.owner };

	if (file->r.owner && fcntl(fd, F_SETOWN_EX, &owner) && errno != ESRCH)
		return report_fail(plan->rep, -errno, "fd %d: the owner of its signals cannot be set: %s", fd, strerror(errno));
	if (file->r.owner_signal && fcntl(fd, F_SETSIG, file->r.owner_signal))
		return report_fail(plan->rep, -errno, "fd %d: its signal %d cannot be set: %s", fd, file->r.owner_signal,
		                   strerror(errno));
	if ((file->r.flags & O_ASYNC) && fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_ASYNC))
		return report_fail(plan->rep, -errno, "fd %d: O_ASYNC cannot be set: %s", fd, strerror(errno));
	return 0;
}

static int set_owners(struct fd_plan *plan, uint32_t index)
{
	vec_each(&plan->files, it) {
		const struct fd_file *file = *it;

		if (!fd_is_set_up_by(file, index) || (file->r.flags & O_PATH))
			continue;
		int err = file->r.owner || file->r.owner_signal || (file->r.flags & O_ASYNC)
		                  ? set_owner(plan, file, file->slot_fd)
		                  : 0;
		if (err)
			return err;
	}
	return 0;
}

static int by_number(const void *a, const void *b)
{
	const int *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Closes [first, last]. */
static void close_range_of(int first, int last)
{
	if (first > last || !syscall(SYS_close_range, (unsigned)first, (unsigned)last, 0))
		return;
	for (int fd = first; fd <= last && fd < (1 << 20); fd++) /* before 5.9, or filtered */
		close(fd);
}

/* Backing files that this process is to map through a descriptor of its own must not be open otherwise. */
static bool is_needed(const struct fd_plan *plan, uint32_t index, int fd)
{
	vec_each(&plan->backs, it)
		if (((*it)->fd_ro == fd || (*it)->fd_rw == fd) && (fd_plan_backing(plan, index, (*it)->r.id, false) == fd ||
		                                                   fd_plan_backing(plan, index, (*it)->r.id, true) == fd))
			return true;
	return false;
}

static int close_others(struct fd_plan *plan, uint32_t index, const int *keep, size_t n_keep)
{
	VEC(int) open = { 0 };
	int err = 0, next = 0;

	vec_each(&plan->slots, slot)
		if (!err && slot->r.process == index)
			err = vec_push(&open, slot->r.fd);
	for (size_t i = 0; !err && i < n_keep; i++)
		err = vec_push(&open, keep[i]);
	for (int fd = plan->back_first; !err && fd <= plan->back_last; fd++)
		if (is_needed(plan, index, fd))
			err = vec_push(&open, fd);
	if (!err) {
		if (open.n)
			qsort(open.items, open.n, sizeof(int), by_number);
		vec_each(&open, fd) {
			close_range_of(next, *fd - 1);
			next = *fd + 1;
		}
		close_range_of(next, INT32_MAX);
	}
	vec_finish(&open);
	return err;
}

/* From here on descriptions are known by the number that this process has for them. */
static void rename_files(struct fd_plan *plan, uint32_t index)
{
	vec_each(&plan->files, it)
		(*it)->fd = -1;
	for (size_t i = plan->slots.n; i > 0; i--) {
		struct fd_slot *slot = &plan->slots.items[i - 1];

		if (slot->r.process == index) {
			slot->file->fd = slot->r.fd;
			slot->file->foreign_fd = false;
		}
	}
}

int fd_plan_install(struct fd_plan *plan, uint32_t index, const int *keep, size_t n_keep)
{
	int err = 0;

	for (size_t i = 0; i < n_keep; i++)
		if (keep[i] <= plan->max_fd)
			return report_fail(plan->rep, -EINVAL, "descriptor %d is needed by the target and cannot be kept",
			                   keep[i]);
	if (plan->o.restore)
		err = plan->o.restore(plan->o.ctx, plan, index);
	if (!err)
		err = install_kinds(plan, index);
	if (!err)
		err = place_slots(plan, index);
	if (!err)
		err = set_owners(plan, index);
	if (!err)
		err = close_others(plan, index, keep, n_keep);
	if (err)
		return err;
	rename_files(plan, index);
	err = fd_lock_install(plan, index);
	vec_each(&plan->files, it)
		if (!err && (*it)->kind->late && fd_is_set_up_by(*it, index))
			err = (*it)->kind->late(plan, *it, index);
	return err;
}
