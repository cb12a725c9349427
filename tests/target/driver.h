/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs target programs and the stasis command for a test: start, wait, read the state file, end everything. It is linked to
 * nothing of stasis, so that a fault there cannot hide itself here. */
#ifndef DRIVER_H
#define DRIVER_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define DRIVER_SKIP 77

/* One test: a target program, its scratch directory and what its state file has told so far. */
struct driver {
	const char *stasis;         /* path of the stasis command; NULL = none, only wait instead */
	char scratch[PATH_MAX / 2]; /* "" = not made yet */
	bool keep;                  /* leave the scratch directory behind */
	int n_runs;                 /* stasis commands run; each has its output in SCRATCH/out.N */
	char last_output[PATH_MAX];

	const char *restart_option; /* for every restart; NULL: none */
	const char *checkpoint_option; /* for every checkpoint of a target that runs on; NULL: none */
	const char *restart_fault;  /* armed in every restart; NULL: none */

	pid_t child; /* gen 0 started by us, or a foreground restart; 0 = none */
	pid_t pid;   /* the target's first process as we see it; 0 = none */
	int pidfd;   /* of it; -1 = none */

	/* from the ready line */
	bool ready, quiet, stopped, rewind, skipped;
	uint64_t nonce;
	pid_t inner_pid; /* as the target sees it */
	int off_ms, wake, want_exit, want_signal;
	long image_max;
	char refused[4][64]; /* words that must be in the refusal; "" = none */

	/* from the turns */
	uint64_t turns;              /* the counter of the last one */
	uint64_t again_lo, again_hi; /* after going back: one line may repeat a counter of this range */
	bool done;
	char verdict[1200]; /* the fail or skip line */
};

/* Never return on failure: driver_fail() shows what there is to see, ends everything and exits. */
__attribute__((format(printf, 2, 3))) _Noreturn void driver_fail(struct driver *d, const char *fmt, ...);
__attribute__((format(printf, 2, 3))) _Noreturn void driver_skip(struct driver *d, const char *fmt, ...);

/* Makes the scratch directory, becomes the reaper of all that is left behind, arms the time limit (seconds). */
void driver_init(struct driver *d, const char *stasis, int limit_s);

/* As uid and gid `uid` from now on (only root can); before driver_init(). Skips if user namespaces are forbidden to it. */
void driver_become(struct driver *d, uid_t uid);

/* Starts the target directly and waits for its ready line. */
void driver_start(struct driver *d, char **argv);

/* Reads the state file anew from the beginning; fails on a gap, a repeat, a wrong digest or a `fail` line. */
void driver_look(struct driver *d);

/* Waits until `n` more turns were taken (or, for a quiet target, for 100 ms) and the target is still there. */
void driver_turns(struct driver *d, unsigned n);

/* Runs `stasis ARGS` to its end with output in a file; returns its wait status. */
int driver_stasis(struct driver *d, const char *const *args);

/* The output of the last stasis command, in a static buffer. */
const char *driver_output(struct driver *d);

/* Starts `stasis ARGS` as our child without waiting for it. */
pid_t driver_stasis_begin(struct driver *d, const char *const *args);

/* Waits for a child of ours, up to `ms`; returns its wait status or -1 when it does not end. */
int driver_wait(pid_t pid, int ms);

/* Takes up the target by the pid file of a detached restart. */
void driver_adopt(struct driver *d, const char *pidfile);

/* Waits until the target is no more (reaping it if it is our child). */
void driver_gone(struct driver *d);

/* Kills the target, as a power cut would, and waits until it is gone; a line of the state file that it was writing just then is
 * taken away. */
void driver_kill(struct driver *d);

/* The state letter of the target in /proc/PID/stat, 0 if it is gone; its TracerPid. */
char driver_state(struct driver *d);
pid_t driver_tracer(struct driver *d);

/* Asks the target to finish (and wakes it, and continues it if it is stopped). */
void driver_ask_finish(struct driver *d);

/* Waits for `done`. */
void driver_done(struct driver *d);

/* Waits until no descendant of ours is left but the target, those between it and us, and as long as it lives the keeper of what is noted
 * of its memory; how many of these there are. */
void driver_alone(struct driver *d);
int driver_keepers(void);

/* The children of a process, at most `max`; how many. */
int driver_children(pid_t parent, pid_t *pids, int max);

/* Everything must have ended by itself: no descendant of ours may be left after a moment. Removes the scratch directory. */
void driver_finish(struct driver *d);

const char *driver_path(struct driver *d, const char *name); /* SCRATCH/name; a new string */
void driver_sleep_ms(int ms);
int64_t driver_now_ms(void);

#endif
