/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a frozen process is made of, gathered into records. The parts are independent: mappings and obstacles can be looked at
 * without stopping anything (stasis check); threads and attributes need the frozen process. */
#ifndef STASIS_COLLECT_H
#define STASIS_COLLECT_H

#include "base/findings.h"
#include "base/vec.h"
#include "fd/fd.h"
#include "inject/batch.h"
#include "inject/freeze.h"
#include "plugin/session.h"
#include "proc/maps.h"
#include "records.h"
#include "writer.h"

/* Spaces of page data (see img_writer_pages): private memory of process N is N, its deleted executable this + N, files come after. */
#define COLLECT_EXE_SPACE 0x8000u
#define COLLECT_FILE_SPACE 0x10000u

/* One process. Everything in it is owned and given back by collect_finish. */
struct collect {
	struct reporter *rep;
	struct fd_process proc;
	struct frozen *frozen;        /* NULL while only checking */
	struct plugin_set *plugins;   /* for the mappings of their files; may be NULL; borrowed */
	struct batch_place place;     /* of the worker: stub and scratch memory for calls on behalf of the whole process */
	struct tracee *worker;
	struct proc_vma *vmas;
	size_t n_vmas;
	uint64_t locked_kb;           /* of memory */
	bool watched;                 /* a keeper of ours watches its memory (track/keeper.h): that userfaultfd is no obstacle, and not its own */
	const struct collect *before; /* this process a moment ago: its `vmas` and `locked_kb`; may be NULL; borrowed */
	bool adopted;                 /* `vmas` have their flags from there: collect_verify() */
	struct rec_process process;
	VEC(struct rec_vma) mappings;
	VEC(bool) whole;              /* per mapping: every page is saved, not only private ones */
	VEC(struct rec_thread) threads;
	VEC(struct rec_seccomp) filters;
	VEC(struct rec_timer) timers;
	VEC(struct rec_guard) guards;
};

void collect_init(struct collect *c, struct reporter *rep, const struct fd_process *proc);
void collect_finish(struct collect *c);

/* mappings.c: reads smaps, sorts every mapping into a kind, hands files to `files`; obstacles go to `findings`. Reading smaps takes the longer the
 * more memory there is (the kernel looks at every page), so with `before` it is read only when maps says that anything has changed. */
int collect_mappings(struct collect *c, struct fd_capture *files, struct findings *findings);

/* The mappings of a process as /proc/PID/maps has them; freed with proc_maps_free(). Returns 0 or a negative errno, not worded. */
int collect_read_maps(pid_t pid, struct proc_vma **ret, size_t *ret_n);

/* Whether what was adopted from `before` was still true at the time of the snapshot: `child` has inherited the flags; of what was left out of it
 * (`precopy`) the target itself still has them. -ESTALE (not worded) when not. */
struct precopy;
int collect_verify(const struct collect *c, pid_t child, const struct precopy *precopy);

/* obstacles.c: whatever of a process (not of its files and mappings) cannot be checkpointed: children, tracers, kernel threads,
 * permission. Works on a running process. */
int collect_obstacles(struct reporter *rep, pid_t pid, struct findings *findings);

/* Of these the one that may come at any time: to be looked for once more when the process is stopped. */
int collect_children(pid_t pid, struct findings *findings);

/* process.c, threads.c: attributes; by injection where the kernel gives them to nobody else. */
int collect_process(struct collect *c);
int collect_threads(struct collect *c);

/* mappings.c: size and hash of the target's vdso text, by which a restart tells whether it has the same one. */
int collect_vdso(struct collect *c, struct rec_host *host);

/* Writes the records. */
int collect_save(struct collect *c, struct img_writer *w);

/* pages.c: the private memory of the process, read from `source` (the process itself while it is stopped, or its snapshot child), or from
 * `precopy`, whose copy is used up. What `track` knows need not be compared. */
struct track;
int collect_pages(struct collect *c, pid_t source, struct precopy *precopy, struct track *track, struct img_writer *w);

/* The contents of an executable that has no name any more; read through /proc/PID/exe. */
int collect_exe(struct collect *c, struct img_writer *w);

/* Bytes that collect_pages will find, about, from smaps. */
uint64_t collect_pages_estimate(const struct collect *c);

#endif
