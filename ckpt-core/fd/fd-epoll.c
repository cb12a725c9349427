// SPDX-License-Identifier: LGPL-2.1-or-later
/* epoll: the entries, by the descriptions they watch.
 *
 * An entry is known by a description and the number it had at EPOLL_CTL_ADD. That number may since be closed (the description
 * living on under another one) or be another file, so who is meant is asked of the kernel (KCMP_EPOLL_TFD), and at a restart
 * the description is put at that number for the moment of the ADD. Nested epolls need nothing more: all of them exist before
 * the first entry is made. Edge-triggered entries report once more after a restart. Tests: fd-epoll.c. */
#include "fd/kinds.h"

#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

/* What an entry keeps when EPOLLONESHOT has disarmed it (fs/eventpoll.c, EP_PRIVATE_BITS). */
#define PRIVATE_BITS (EPOLLWAKEUP | EPOLLONESHOT | EPOLLET | EPOLLEXCLUSIVE)
#define RANK_EPOLL 100 /* after all that can be watched */

struct epoll_entry {
	uint32_t file;   /* the epoll */
	uint32_t target; /* FILE watched; 0 = nobody in the tree has it */
	int32_t number;  /* at EPOLL_CTL_ADD */
	uint32_t events;
	uint64_t data;
};

static const struct img_field entry_fields[] = {
	IMG_FIELD_REQUIRED(1, epoll_entry, file, IMG_U32, IMG_DEC),
	IMG_FIELD_REQUIRED(2, epoll_entry, target, IMG_U32, IMG_DEC),
	IMG_FIELD_REQUIRED(3, epoll_entry, number, IMG_I32, IMG_DEC),
	IMG_FIELD_REQUIRED(4, epoll_entry, events, IMG_U32, IMG_HEX),
	IMG_FIELD_REQUIRED(5, epoll_entry, data, IMG_U64, IMG_HEX),
};
const struct img_schema fd_epoll_schema = IMG_SCHEMA("EPLE", 1, IMG_MUST_UNDERSTAND, "epoll entry", epoll_entry, entry_fields);

/* Between inspect and resolve: what fdinfo says of the inode of each entry. */
struct entry_hint {
	bool known;
	uint64_t ino;
	dev_t dev;
};

static bool epoll_claim(const struct fd_look *look)
{
	return !strcmp(look->link, "anon_inode:[eventpoll]");
}

static int epoll_inspect(struct fd_capture *cap, struct fd_file *file, const struct fd_look *look)
{
	struct entry_hint *hints = calloc(look->info->epoll.n + 1, sizeof(*hints));

	(void)cap;
	if (!hints)
		return -ENOMEM;
	file->own_ptr = hints;
	vec_each(&look->info->epoll, item) {
		struct epoll_entry entry = { .number = item->tfd, .events = item->events, .data = item->data };
		int err = fd_file_add_item(file, &entry);

		if (err)
			return err;
		*hints++ = (struct entry_hint){ item->has_file, item->ino, makedev(item->sdev >> 20, item->sdev & 0xfffff) };
	}
	return 0;
}

/* 1: the entry watches what `slot` has open. 0: it does not. `nth`: among the entries with this number, in fdinfo's order. */
static int watches(const struct fd_capture *cap, const struct fd_file *file, const struct fd_slot *slot, int32_t number,
                   unsigned nth)
{
	struct kcmp_epoll_slot epoll = { .efd = (unsigned)file->slot_fd, .tfd = (unsigned)number, .toff = nth };
	pid_t pid = 0;

	vec_each(&cap->procs, proc)
		if (proc->index == slot->r.process)
			pid = proc->pid;
	long r = syscall(SYS_kcmp, pid, file->proc.pid, KCMP_EPOLL_TFD, (unsigned long)slot->r.fd, &epoll);
	return r < 0 ? -errno : r == 0;
}

static bool may_be(const struct fd_slot *slot, const struct entry_hint *hint)
{
	return !hint->known || (slot->file->st.st_ino == hint->ino && slot->file->st.st_dev == hint->dev);
}

/* The number itself first, then whoever has the same inode open. */
static int find_target(struct fd_capture *cap, struct fd_file *file, struct epoll_entry *entry, const struct entry_hint *hint,
                       unsigned nth)
{
	for (int pass = 0; pass < 2; pass++) {
		vec_each(&cap->slots, slot) {
			bool straight = slot->r.fd == entry->number && slot->r.process == file->proc.index;

			if (straight != (pass == 0) || (pass && !may_be(slot, hint)))
				continue;
			int r = watches(cap, file, slot, entry->number, nth);
			if (r == -ENOSYS || r == -EOPNOTSUPP || r == -EINVAL)
				return report_fail(cap->rep, r,
				                   "fd %d (epoll): this kernel cannot tell what it watches (KCMP_EPOLL_TFD); "
				                   "use a kernel with CONFIG_KCMP",
				                   file->slot_fd);
			if (r == 1) {
				entry->target = slot->file->r.id;
				return 0;
			}
		}
	}
	return 0;
}

static int epoll_resolve(struct fd_capture *cap, struct fd_file *file)
{
	struct epoll_entry *entries = file->items;
	const struct entry_hint *hints = file->own_ptr;

	for (size_t i = 0; i < file->n_items; i++) {
		unsigned nth = 0;

		for (size_t k = 0; k < i; k++)
			nth += entries[k].number == entries[i].number;
		int err = find_target(cap, file, &entries[i], &hints[i], nth);
		if (err)
			return err;
		file->own += !entries[i].target;
	}
	return 0;
}

static int epoll_check(struct fd_capture *cap, struct fd_file *file, struct fd_verdict *v)
{
	if (file->own && cap->o.frozen)
		fd_verdict_action(v, "%zu entries saved and restored; %u that watch files of other processes are dropped",
		                  file->n_items - file->own, file->own);
	else
		fd_verdict_action(v, "%zu entries saved and restored", file->n_items);
	return 0;
}

static int epoll_plan(struct fd_plan *plan, struct fd_file *file, struct fd_verdict *v)
{
	const struct epoll_entry *entries = file->items;

	for (size_t i = 0; i < file->n_items; i++)
		if (entries[i].target && !fd_plan_file(plan, entries[i].target))
			return report_fail(plan->rep, -EBADMSG,
			                   "image %s: fd %d (epoll) watches something that is not there; "
			                   "the image is damaged",
			                   img_reader_path(plan->reader), file->slot_fd);
	return v->err;
}

static int epoll_prepare(struct fd_plan *plan, struct fd_file *file)
{
	int fd = epoll_create1(EPOLL_CLOEXEC), err;

	if (fd < 0)
		return report_fail(plan->rep, -errno, "fd %d (epoll): %s", file->slot_fd, strerror(errno));
	err = fd_set_status(plan, file, fd);
	if (err) {
		close(fd);
		return err;
	}
	file->fd = fd_plan_adopt(plan, fd);
	return file->fd < 0 ? file->fd : 0;
}

static bool is_disarmed(const struct epoll_entry *entry)
{
	return (entry->events & EPOLLONESHOT) && !(entry->events & ~(uint32_t)PRIVATE_BITS);
}

/* EPOLL_CTL_ADD of the description at `from` under the number of the entry, whatever is at that number now. */
static int add_as(int epoll, const struct epoll_entry *entry, int from)
{
	struct epoll_event event = { .events = entry->events, .data.u64 = entry->data };
	int held = fcntl(entry->number, F_DUPFD_CLOEXEC, 0), err = 0;

	if (from != entry->number && dup3(from, entry->number, O_CLOEXEC) < 0)
		err = -errno;
	if (!err && epoll_ctl(epoll, EPOLL_CTL_ADD, entry->number, &event))
		err = -errno;
	if (held < 0) {
		close(entry->number);
		return err;
	}
	dup3(held, entry->number, O_CLOEXEC);
	close(held);
	return err;
}

static int add_entry(struct fd_plan *plan, struct fd_file *file, const struct epoll_entry *entry)
{
	const struct fd_file *target = fd_plan_file(plan, entry->target);
	int from = fd_plan_fd_for(plan, target, entry->number), err;

	if (from < 0)
		return report_fail(plan->rep, from, "fd %d (epoll): what it watches as %d was not made", file->slot_fd,
		                   entry->number);
	err = add_as(file->fd, entry, from);
	/* What took the place of the target's terminal or pipe may be a file that cannot be polled. */
	if (err == -EPERM && target->foreign_fd) {
		report_info(plan->rep, "descriptor %d of this command cannot be polled: the target will see no events of it",
		            entry->number);
		return 0;
	}
	return err ? report_fail(plan->rep, err, "fd %d (epoll): %d cannot be watched again: %s", file->slot_fd, entry->number,
	                         strerror(-err))
	           : 0;
}

/* In stage 1: an entry for a signalfd listens to the signals of the process that adds it. The kernel arms every new entry for
 * errors and hang-ups; one that was disarmed and has such a condition is disarmed again by taking the event, which must happen
 * while no other entry can report. */
static int epoll_install(struct fd_plan *plan, struct fd_file *file, uint32_t process)
{
	const struct epoll_entry *entries = file->items;
	struct epoll_event ignored;

	(void)process;
	for (int pass = 0; pass < 2; pass++) {
		for (size_t i = 0; i < file->n_items; i++) {
			if (!entries[i].target || is_disarmed(&entries[i]) != (pass == 0))
				continue;
			int err = add_entry(plan, file, &entries[i]);
			if (err)
				return err;
			if (pass == 0)
				epoll_wait(file->fd, &ignored, 1, 0);
		}
	}
	return 0;
}

const struct fd_kind fd_kind_epoll = {
	.name = "epoll",
	.item_schema = &fd_epoll_schema,
	.rank = RANK_EPOLL,
	.claim = epoll_claim,
	.inspect = epoll_inspect,
	.resolve = epoll_resolve,
	.check = epoll_check,
	.plan = epoll_plan,
	.prepare = epoll_prepare,
	.install = epoll_install,
};
