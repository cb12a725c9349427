/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Plugins at work: a session is one plugin in one checkpoint, check, plan or restart; a set is one session per plugin. */
#ifndef STASIS_PLUGIN_SESSION_H
#define STASIS_PLUGIN_SESSION_H

#include "base/findings.h"
#include "base/report.h"
#include "base/vec.h"
#include "fd/fd.h"
#include "inject/batch.h"
#include "inject/freeze.h"
#include "inject/undo.h"
#include "proc/maps.h"
#include "reader.h"
#include "recorder/root.h"
#include "stasis/plugin.h"
#include "writer.h"

struct plugin_set;

struct stasis_session {
	struct plugin_set *set;
	const struct stasis_plugin *plugin;
	void *state;
	bool opened;
	VEC(struct stasis_descriptor) descriptors; /* links are the capture's or the plan's */
	char not_ready[160];
};

/* What all sessions of one job look at. Everything but the sessions is borrowed; what is not there yet is NULL or 0. */
struct plugin_set {
	struct reporter *rep;
	pid_t pid; /* of the target, as we see it; 0 while there is none */
	struct findings *findings;
	/* the stopped process */
	struct frozen *frozen;
	struct tracee *worker;
	struct batch_place place;
	/* checkpoint */
	struct undo_journal *journal;
	struct fd_capture *files;
	struct img_writer *writer;
	uint64_t root_addr; /* of the recorder; 0 = none */
	struct recorder_root root;
	bool last;          /* the target will not go on (--stop) */
	bool recorder_unknown; /* there is one, of a version that we do not know */
	/* restart */
	struct fd_plan *plan;
	const struct img_reader *reader;
	struct resource_map *map;
	unsigned wait_ms; /* for hardware that is not there yet */
	uint32_t process; /* index of the process that is being restored */
	VEC(struct stasis_session *) sessions;
};

/* One session per plugin that has claimed anything; the descriptors are those of `files` (checkpoint) or `plan` (restart), which
 * must be set. Opens them. A session that is there already (from the look at the running process) stays, with the descriptors of now. */
int plugin_set_open(struct plugin_set *set, const struct stasis_plugin *const *plugins, size_t n_plugins);
void plugin_set_close(struct plugin_set *set);
/* Anything claimed at all. */
bool plugin_set_is_empty(const struct plugin_set *set);

/* The callbacks of all sessions, in the order of the plugins, until one fails. */
int plugin_set_check(struct plugin_set *set);
int plugin_set_rest(struct plugin_set *set);
int plugin_set_save(struct plugin_set *set);
int plugin_set_plan(struct plugin_set *set);
int plugin_set_restore(struct plugin_set *set);
int plugin_set_late(struct plugin_set *set);
/* After a failed restart; all of them. */
void plugin_set_abandon(struct plugin_set *set);

/* 0; -EAGAIN: some plugin waits for something (`*ret_what`: "KVM: virtual CPU 1 ..."); or an error. */
int plugin_set_ready(struct plugin_set *set, const char **ret_what);

/* The description (id of a FILE) behind a mapping of a claimed file. 0 in `*ret_file`: it is none. -ENOENT, noted among the
 * findings: its descriptor is not open any more. */
int plugin_set_mapping(struct plugin_set *set, const struct proc_vma *vma, uint32_t *ret_file);

/* Finds the recorder in the target. */
int plugin_set_recorder(struct plugin_set *set, const struct proc_vma *vmas, size_t n_vmas);

/* Their records, for show: appends pointers to `ret`, at most `room`; returns how many. */
size_t plugin_schemas(const struct stasis_plugin *const *plugins, size_t n_plugins, const struct img_schema **ret, size_t room);

#endif
