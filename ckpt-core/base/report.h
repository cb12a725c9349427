/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How Stasis says things: every fault is worded once, at the place that finds it, and handed up to whoever
 * owns the reporter (the command line prints, the tests collect). Fault points for tests live here as well. */
#ifndef STASIS_BASE_REPORT_H
#define STASIS_BASE_REPORT_H

#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum report_level { REPORT_ERROR, REPORT_WARNING, REPORT_INFO, REPORT_DEBUG };

/* What the owner of a reporter supplies. Both may be NULL. `text` lives only during the call.
 * `phase` is one of the phase names of the architecture; total 0 means: not known (yet). */
struct report_sink {
	void (*message)(void *ctx, enum report_level level, const char *text);
	void (*progress)(void *ctx, const char *phase, uint64_t done_bytes, uint64_t total_bytes);
	void *ctx;
};

struct reporter {
	struct report_sink sink;
	pthread_mutex_t lock;     /* threads speak one at a time, to a sink that need not know of them; all zero at first */
	enum report_level level;  /* the most talkative level that is passed on */
	char *faults;             /* "name[=errno|kill|hang][,name...]"; NULL when no fault is armed; owned */
	char *first_error;        /* wording of the first error said, NULL if none; owned */
	const volatile int *cancel; /* not NULL and not 0: the user asked to stop; see report_cancelled() */
};

void report_init(struct reporter *rep, const struct report_sink *sink, enum report_level level);
void report_finish(struct reporter *rep);

/* Says why something failed and returns `err` (a negative errno), so that a caller can write
 * `return report_fail(rep, -EINVAL, "image %s: ...", path)`. Name the object and the remedy. */
__attribute__((format(printf, 3, 4))) int report_fail(struct reporter *rep, int err, const char *fmt, ...);
__attribute__((format(printf, 2, 3))) void report_warn(struct reporter *rep, const char *fmt, ...);
__attribute__((format(printf, 2, 3))) void report_info(struct reporter *rep, const char *fmt, ...);
__attribute__((format(printf, 2, 3))) void report_debug(struct reporter *rep, const char *fmt, ...);
void report_progress(struct reporter *rep, const char *phase, uint64_t done, uint64_t total);

/* True once the user has asked to stop (Ctrl-C); long loops ask it and return -ECANCELED. */
bool report_cancelled(const struct reporter *rep);

/* Arms fault points: a comma-separated list of NAME (fails with -EIO), NAME=ENOSPC-style decimal errno,
 * NAME=kill (SIGKILL to the calling process) or NAME=hang (sleeps until killed). Copies `list`; NULL disarms.
 * Returns 0 or -ENOMEM. */
int report_arm_faults(struct reporter *rep, const char *list);

/* A fault point. Returns 0, or says "fault point NAME" and returns the armed negative errno. */
int report_fault(struct reporter *rep, const char *name);

/* True when a point of this name is armed: for tests of paths that no fault leads to (a kernel with another vdso). Says nothing. */
bool report_is_armed(const struct reporter *rep, const char *name);

#endif
