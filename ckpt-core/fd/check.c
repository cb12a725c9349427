// SPDX-License-Identifier: LGPL-2.1-or-later
/* Judges what capture saw, once the whole tree is known, and writes it into an image. */
#include "fd/kind.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "fd/back.h"
#include "fd/kinds.h"

static pid_t pid_of(const struct fd_capture *cap, uint32_t index)
{
	vec_each(&cap->procs, proc)
		if (proc->index == index)
			return proc->pid;
	return 0;
}

static int resolve_files(struct fd_capture *cap)
{
	vec_each(&cap->files, it) {
		struct fd_file *file = *it;
		int err = file->kind->resolve ? file->kind->resolve(cap, file) : 0;

		if (err)
			return err;
	}
	/* Only what a process has as its 0-2 can become the restarter's 0-2. */
	vec_each(&cap->files, it) {
		bool low = false;

		vec_each(&cap->slots, slot)
			low = low || (slot->file == *it && slot->r.fd <= 2);
		(*it)->r.stdio = (*it)->r.stdio && low;
	}
	return 0;
}

/* The descriptor that already stands for this description; NULL if `slot` is the first. */
static const struct fd_slot *first_slot(const struct fd_capture *cap, const struct fd_slot *slot)
{
	for (const struct fd_slot *it = cap->slots.items; it < slot; it++)
		if (it->file == slot->file)
			return it;
	return NULL;
}

/* What people call it. */
static const char *kind_label(const struct fd_file *file)
{
	if (file->kind == &fd_kind_plugin)
		return ((const struct fd_plugin_state *)file->state)->what;
	return file->claim ? file->claim->kind : file->kind->name;
}

static int check_slot(struct fd_capture *cap, const struct fd_slot *slot, struct findings *findings)
{
	const struct fd_slot *first = first_slot(cap, slot);
	struct fd_file *file = slot->file;
	struct fd_verdict v = { 0 };
	char object[64];
	int err = 0;

	if (cap->procs.n > 1)
		snprintf(object, sizeof(object), "process %d fd %d", pid_of(cap, slot->r.process), slot->r.fd);
	else
		snprintf(object, sizeof(object), "fd %d", slot->r.fd);
	if (first) {
		fd_verdict_action(&v,
		                  first->r.process == slot->r.process ? "shares what fd %d has open"
		                                                      : "shares what fd %d of process %d has open",
		                  first->r.fd, pid_of(cap, first->r.process));
		return fd_verdict_give(&v, findings, object, kind_label(file));
	}
	if (file->claim && file->kind != &fd_kind_plugin)
		fd_verdict_obstacle(&v, file->claim->remedy, "%s", file->claim->obstacle);
	else if (file->kind->check)
		err = file->kind->check(cap, file, &v);
	if (!v.action && !v.obstacle)
		fd_verdict_action(&v, "%s", file->kind->action ? file->kind->action : "restored");
	if (err && !v.err)
		v.err = err;
	return fd_verdict_give(&v, findings, object, kind_label(file));
}

int fd_capture_check(struct fd_capture *cap, struct findings *findings)
{
	size_t before = findings->obstacles;
	int err = 0;

	/* Kinds come first: they may still change what files are good for. */
	if (!cap->checked)
		err = resolve_files(cap);
	if (!err && !cap->checked)
		err = fd_back_resolve(cap);
	if (!err) {
		vec_each(&cap->slots, slot)
			if (!err)
				err = check_slot(cap, slot, findings);
	}
	if (!err)
		err = fd_back_check(cap, findings);
	vec_each(&cap->notes.list, it)
		if (!err)
			err = findings_add(findings, it->object, it->kind, it->action, it->obstacle, it->remedy);
	if (err)
		return err;
	cap->checked = true;
	cap->obstacles = findings->obstacles - before;
	return 0;
}

static int save_state(struct fd_file *file, struct img_writer *w)
{
	const struct fd_kind *kind = file->kind;
	int err = kind->state_schema ? img_writer_record(w, kind->state_schema, file->state) : 0;

	for (size_t i = 0; !err && i < file->n_items; i++)
		err = img_writer_record(w, kind->item_schema, (char *)file->items + i * kind->item_schema->size);
	return err;
}

static int save_file(struct fd_capture *cap, struct fd_file *file, struct img_writer *w)
{
	int err = file->kind->save ? file->kind->save(cap, file, w) : 0;

	if (!err)
		err = img_writer_record(w, &fd_file_schema, &file->r);
	return err || file->later ? err : save_state(file, w);
}

int fd_capture_save(struct fd_capture *cap, struct img_writer *w)
{
	int err = 0;

	if (!cap->checked || !cap->o.frozen)
		return report_fail(cap->rep, -EINVAL, "open files can only be saved of a stopped process that was checked");
	if (cap->obstacles)
		return report_fail(cap->rep, -EOPNOTSUPP, "%zu open files or mappings cannot be saved; see `stasis check`",
		                   cap->obstacles);
	vec_each(&cap->files, it)
		if (!err)
			err = save_file(cap, *it, w);
	vec_each(&cap->slots, slot)
		if (!err)
			err = img_writer_record(w, &fd_slot_schema, &slot->r);
	vec_each(&cap->locks, lock)
		if (!err)
			err = img_writer_record(w, &fd_lock_schema, &lock->r);
	return err ? err : fd_back_save(cap, w);
}

int fd_capture_save_late(struct fd_capture *cap, struct img_writer *w)
{
	int err = fd_back_save_late(cap, w);

	vec_each(&cap->files, it) {
		if (!err && (*it)->later && !(err = (*it)->kind->save_late(cap, *it)))
			err = save_state(*it, w);
	}
	return err;
}

bool fd_capture_holds(const struct fd_capture *cap)
{
	vec_each(&cap->files, it)
		if ((*it)->later)
			return true;
	return false;
}

void fd_capture_dying(struct fd_capture *cap)
{
	vec_each(&cap->files, it)
		if ((*it)->later && (*it)->kind->dying)
			(*it)->kind->dying(cap, *it);
}
