/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A restart under way: what the image says, and what has been made of it so far. */
#ifndef STASIS_RESTORE_H
#define STASIS_RESTORE_H

#include "base/findings.h"
#include "fd/fd.h"
#include "inject/batch.h"
#include "inject/tracee.h"
#include "job.h"
#include "plugin/session.h"
#include "reader.h"
#include "records.h"

/* An array of records as the reader gives it. */
#define RECORDS(T)      \
	struct {        \
		T *items; \
		size_t n; \
	}

struct restore {
	struct stasis_job *job;
	struct reporter *rep;
	const struct stasis_restart_options *opt;
	struct img_reader *reader;
	struct fd_plan *files;
	struct plugin_set plugins;
	/* the image */
	RECORDS(struct rec_host) host;
	RECORDS(struct rec_process) processes;
	RECORDS(struct rec_thread) threads;
	RECORDS(struct rec_seccomp) filters;
	RECORDS(struct rec_timer) timers;
	RECORDS(struct rec_vma) vmas;
	RECORDS(struct rec_guard) guards;
	/* the plan */
	bool user_ns;    /* we have no privilege: everything happens in a user namespace of our own */
	bool foreign_vdso;
	bool lazy;       /* memory of guest size is loaded while the target runs */
	int uffd_device; /* /dev/userfaultfd for stage 1, above the target's descriptors; -1 = none */
	uint64_t region; /* where stub and scratch memory lie in the new process: a gap in both layouts */
	/* the work */
	uint64_t begin_us; /* on our stopwatch */
	int exe_fd; /* a copy of a deleted executable, above the target's descriptors; -1 = none */
	struct fill_crew *crew; /* threads that wait for fill_all; NULL: none */
	struct restore_shared *shared;
	char *words; /* LAZY_WORDS, shared with the page server; NULL when not lazy */
};

#define REGION_STUB_SIZE 4096ul
#define REGION_AREA_SIZE (1024 * 1024ul)
#define REGION_SIZE (REGION_STUB_SIZE + REGION_AREA_SIZE)

/* load.c: records into arrays, and whatever of them does not make sense refused (-EBADMSG, worded). */
int restore_load(struct restore *r);
void restore_unload(struct restore *r);

/* plan.c: what this host lacks; obstacles into findings. */
int restore_plan(struct restore *r, struct findings *findings);

/* processes.c: memory shared between the caller, the controller and the new processes. */
struct restore_shared {
	int32_t error;       /* of whoever failed first, negative errno */
	char text[2048];     /* its wording */
	bool released, controller_done;
	int cancel;          /* set by the caller */
	pid_t init, first;   /* as the caller sees them */
};

/* A new process of the image, in the hands of the controller. */
struct newborn {
	pid_t pid;
	const struct rec_process *rec;
	VEC(struct tracee) threads; /* the leader first */
	int uffd;                   /* of its memory, when it is to be loaded lazily; -1 = none */
	int starter;                /* of its page server, to be closed when it runs; -1 = none */
	int sock;                   /* its end of the socket to us, to be closed by the last batch */
	struct batch_place place;
};

/* processes.c, in the controller: namespaces, init, the processes with their old pids and descriptors (stage 1). `status_fd` is
 * the writing end of the caller's status pipe. The first process is attached and stopped in `*ret`. */
int processes_create(struct restore *r, int status_fd, struct newborn *ret);

/* memory.c: replaces all mappings by those of the image and fills them. */
int memory_restore(struct restore *r, struct newborn *nb);

/* Mappings that are the kernel's to make; an old vdso under another kernel is memory like any other. */
bool memory_is_kernels(const struct restore *r, const struct rec_vma *v);

/* Private anonymous memory that stays where it is, and that nothing but its contents is said of: no stack that grows, not locked, nothing that
 * a child would not inherit. */
bool memory_is_plain(const struct rec_vma *v);

/* fill.c: contents of all mappings but those that `lazy` names (may be NULL: none). Threads for that have to be hired before the
 * controller makes namespaces; fill_all lets them go, or they end with the controller. Returns 0 or -ENOMEM. */
struct lazy_choice;
int fill_hire(struct restore *r);
int fill_all(struct restore *r, struct newborn *nb, const struct lazy_choice *lazy);

/* template.c: memory that the new process was born with (stasis_template_create). Whether this mapping is; contents that each has to have for itself; whether the template is of this image;
 * whether `at` is in it, and up to where, `end` at most, that holds, for ascending addresses, `*i` being 0 at first; and takes it out
 * of this process. */
bool template_has(const struct restore *r, const struct rec_vma *v);
const uint8_t *template_contents(const struct restore *r, size_t extent); /* by its number; NULL: it has none */
bool template_is_of(const struct stasis_template *t, const struct img_reader *reader);
bool template_next(const struct stasis_template *t, size_t *i, uint64_t at, uint64_t end, uint64_t *ret_end);
void template_leave(const struct stasis_template *t);

/* lazy.c: which mappings are filled while the target runs: chosen, once they are mapped; begun with one page each, before they get
 * their protection; and by whom, once all else is done. */
struct lazy_pair;
struct lazy_choice {
	bool *chosen;           /* by the index of the mapping */
	struct ledger *ledger;  /* NULL: none is chosen */
	struct lazy_pair *pair; /* NULL: not yet, or none is chosen */
};
int lazy_plan(struct restore *r, struct findings *findings);
int lazy_choose(struct restore *r, struct newborn *nb, struct lazy_choice *ret);
int lazy_first(struct restore *r, struct newborn *nb, struct lazy_choice *choice);
int lazy_begin(struct restore *r, struct newborn *nb, const struct lazy_choice *choice);
void lazy_choice_finish(struct lazy_choice *choice);

/* threads.c: makes the other threads, gives each its attributes and registers. attributes.c: what belongs to the process. */
int threads_create(struct restore *r, struct newborn *nb);
int attributes_restore(struct restore *r, struct newborn *nb);
int threads_restore(struct restore *r, struct newborn *nb);

/* plugins.c: what plugins need of this host (as fd_plan_options.loaded), their descriptors (as .restore), and the state that they
 * put back in when everything else is in place. */
int plugins_planned(void *ctx, struct fd_plan *plan);
int plugins_restore(void *ctx, struct fd_plan *plan, uint32_t index);
int plugins_late(struct restore *r, struct newborn *nb);

/* release.c: takes out the stub and sets the final registers; then lets all threads run. */
int release_prepare(struct restore *r, struct newborn *nb);
int release_run(struct restore *r, struct newborn *nb);

/* The records of one process: calls `it` is a pointer to. */
#define for_each_of(r, list, it, index)                                                                           \
	for (__typeof__(&*(r)->list.items) it = (r)->list.items; it && it < (r)->list.items + (r)->list.n; it++) \
		if (it->process == (index))

#endif
