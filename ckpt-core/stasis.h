/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the engine offers to an adapter: check, checkpoint, restart. One job is one such run; it owns everything that hangs
 * off it, says what is wrong through its reporter, and leaves nothing behind when it is destroyed. */
#ifndef STASIS_H
#define STASIS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/findings.h"
#include "base/map.h"
#include "base/report.h"
#include "writer.h"

struct stasis_job;

/* `faults`: fault points to arm (see report_arm_faults), NULL for none. `cancel` may be NULL. Returns 0 or -ENOMEM. */
int stasis_job_create(const struct report_sink *sink, enum report_level level, const char *faults,
		      const volatile int *cancel, struct stasis_job **ret);
void stasis_job_destroy(struct stasis_job *job);
struct reporter *stasis_job_reporter(struct stasis_job *job);

/* What is known of host hardware that the engine itself has no name for (see fd/fd.h); borrowed for the life of the job. */
struct fd_claim;
void stasis_job_claims(struct stasis_job *job, const struct fd_claim *claims, size_t n);

/* The plugins that take part; borrowed for the life of the job. */
struct stasis_plugin;
void stasis_job_plugins(struct stasis_job *job, const struct stasis_plugin *const *plugins, size_t n);

enum stasis_disk { STASIS_DISK_AUTO, STASIS_DISK_COPY, STASIS_DISK_NONE };

/* TCP connections to outside. REPAIR: their state is saved, the target is killed without a word to the other side, and they go on at a
 * restart, or it is refused; only of a target that does not run on, for a connection has one future only. RESET: they look reset by
 * the other side. AUTO: of a checkpoint RESET, of a restart as the image has it. */
enum stasis_tcp { STASIS_TCP_AUTO, STASIS_TCP_REPAIR, STASIS_TCP_RESET };

struct stasis_checkpoint_options {
	const char *image; /* path to be */
	bool stop;         /* kill the target once the image is whole */
	bool overwrite;
	enum img_codec codec;
	int level;
	enum stasis_disk disk;
	enum stasis_tcp tcp;
	const char *name; /* the target's registered name, kept in the image; may be NULL */
	/* Of a target that goes on. FORK: a copy-on-write picture is written while it runs; PRECOPY: the same, but as much as possible of
	 * its memory is copied before, while it runs, and only what was written to since then when it is stopped; STOP: it stands still until
	 * the image is written. AUTO: precopy where that makes the pause shorter, else fork, and where there is no room for that stop, with a
	 * warning. */
	enum stasis_snapshot { STASIS_SNAPSHOT_AUTO, STASIS_SNAPSHOT_FORK, STASIS_SNAPSHOT_STOP, STASIS_SNAPSHOT_PRECOPY } snapshot;
	/* An image that holds only what differs from this one, which it will need at a restart; NULL = a whole image. Where parents of it are
	 * looked for first; NULL = where the images say. */
	const char *parent, *parent_dir;
	uint64_t bwlimit;           /* bytes per second that are written while the target runs, or is to be killed; 0 = any */
	/* Has the kernel note from now on which memory is written to, so that the next image, made from this one, need not compare (track/track.h);
	 * and believes what it has noted since the parent. AUTO: in the making of an incremental image; ON: of a whole one as well. */
	enum stasis_track { STASIS_TRACK_AUTO, STASIS_TRACK_ON, STASIS_TRACK_OFF } track;
	unsigned freeze_timeout_ms; /* for threads to stop, and for hardware to come to rest; 0 = default (10 s) */
};

struct stasis_checkpoint_result {
	uint64_t pause_us; /* from the first thread stopped to the last one let go */
	uint64_t total_us;
	enum stasis_snapshot snapshot; /* how it was made in the end; never AUTO */
	struct img_writer_stats stats;
	unsigned n_processes, n_threads, n_mappings, n_files;
	bool tracked; /* what has changed since the parent was known from tracking; else by comparison, if there is a parent */
	bool tracks;  /* the next one made from this will know */
};

/* What `pid` holds and what will happen to each thing. Stops nothing. Returns 0 when it could look (even when there are
 * obstacles: see findings.obstacles), or a negative errno, worded. */
int stasis_check(struct stasis_job *job, pid_t pid, const struct stasis_checkpoint_options *options, struct findings *ret);

/* Freezes the process with this pid into an image. On any failure the target runs on unchanged and no image appears. Must
 * be called from a single-threaded process; forks a helper (see checkpoint.c). */
int stasis_checkpoint(struct stasis_job *job, pid_t pid, const struct stasis_checkpoint_options *options,
		      struct stasis_checkpoint_result *ret);

/* Pages of an image that several restarts of it share while they are loaded lazily (lazy_on_touch): each chunk is read, checked
 * and unpacked once for all of them. Shared memory, to be made before the processes that restart it are forked. Returns 0 or a
 * negative errno, worded. */
struct stasis_page_store;
struct stasis_restart_options;
int stasis_page_store_create(struct stasis_job *job, const struct stasis_restart_options *options, struct stasis_page_store **ret);
void stasis_page_store_destroy(struct stasis_page_store *store);

/* Memory of an image that several restarts of it begin with, and share until they write to it. It lies in the process that calls this, which has to
 * have one thread, at the addresses of the image; the restarts are to be made by children of that process, out of which
 * stasis_restart() takes it. Returns 0 or a negative errno, worded, or not worded -ENOSPC: there is not so much memory free. */
struct stasis_template;
int stasis_template_create(struct stasis_job *job, const struct stasis_restart_options *options, struct stasis_template **ret);
void stasis_template_destroy(struct stasis_template *t);

struct stasis_restart_options {
	const char *image;
	const char *parent_dir; /* where parents of an incremental image are looked for first; may be NULL */
	struct resource_map *map; /* borrowed; may be NULL */
	unsigned wait_ms;         /* for hardware that is not there yet: USB devices */
	bool host_pids;
	bool plan_only;           /* stop after `plan`; findings tell, and of the result only `name` is set */
	bool stopped;             /* leave the target stopped (SIGSTOP) after release, for debuggers */
	enum { STASIS_DISK_REVERT_AUTO, STASIS_DISK_REVERT_ALWAYS, STASIS_DISK_REVERT_KEEP } disk;
	/* Memory of guest size: read before the target runs, or while it does, by a page server that goes away when all is read. AUTO
	 * does so when that saves time and is possible here, ON refuses what it cannot do. */
	enum stasis_lazy { STASIS_LAZY_AUTO, STASIS_LAZY_ON, STASIS_LAZY_OFF } lazy;
	bool lazy_on_touch; /* not in the background: the server stays, and only what is touched takes memory */
	struct stasis_page_store *store; /* borrowed; may be NULL */
	struct stasis_template *template; /* the same */
	/* The target's monotonic clock, and with it a guest's: goes on where it was, or jumps by the real time that has passed. */
	enum { STASIS_CLOCK_CONTINUE, STASIS_CLOCK_REALTIME } clock;
	enum stasis_tcp tcp;
	struct findings *findings; /* filled when not NULL */
	/* Called in the caller's process when everything is in place but no file has been changed yet, with the pid of the first
	 * process as the caller sees it. May still refuse, with a negative errno, worded: then nothing is left. May be NULL. */
	int (*reconnect)(void *ctx, pid_t pid);
	/* Called in the caller's process when everything is in place and nothing can fail any more but the release itself, with
	 * the pid of the first process as the caller sees it; for the terminal to be given to it. May be NULL. */
	void (*before_release)(void *ctx, pid_t pid);
	void *ctx;
};

struct stasis_restarted {
	pid_t pid;   /* of the target's first process, as the caller sees it */
	pid_t init;  /* of the process that keeps its pid namespace (with host_pids: its parent only); the caller's child */
	int pidfd;   /* of the first process; owned by the caller */
	/* Yields the first process's wait status as an int: whenever a signal has stopped it (WIFSTOPPED), and when it ends, which is
	 * the last. Owned by the caller, who must read it: init waits when the pipe is full. */
	int status_fd;
	char *name;  /* the name it had, NULL if none; owned by the caller */
	uint64_t total_us;
	/* Why the target had to be killed while its memory was loaded lazily, "" if it was not; NULL when it is not loaded so. */
	char *last_words;
};

/* Gives back what hangs off it; the target runs on. */
void stasis_restarted_finish(struct stasis_restarted *target);

/* Starts the image again. On any failure nothing is left: no process, no device, no file. On success the target runs as a
 * descendant of the caller. The keeper process `init` lives as long as the target does and reaps it. */
int stasis_restart(struct stasis_job *job, const struct stasis_restart_options *options, struct stasis_restarted *ret);

/* All record schemas of the engine and of the plugins, for show: puts pointers into `ret` and returns how many. */
#define STASIS_SCHEMAS_MAX 128
size_t stasis_schemas(const struct stasis_plugin *const *plugins, size_t n_plugins, const struct img_schema *ret[STASIS_SCHEMAS_MAX]);

#endif
