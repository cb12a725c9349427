/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Open files of a tree of processes. Capture looks from outside (proc, pidfd_getfd, kcmp) and injects nothing; restore runs as
 * ordinary C in the new process ("stage 1"). Kinds are rows of a table (struct fd_kind), one file per family. */
#ifndef STASIS_FD_H
#define STASIS_FD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/findings.h"
#include "base/map.h"
#include "reader.h"
#include "stasis.h"
#include "writer.h"

/* A process of the tree as the capture sees it. With `frozen` false (stasis check) the process runs: contents are not read,
 * and what vanishes meanwhile is no error. */
struct fd_process {
	uint32_t index; /* of the process in the tree, 0 = first */
	pid_t pid;      /* as we see it */
	int pidfd;      /* borrowed; open until fd_capture_save has returned */
};

/* ---- capture ---- */
struct stasis_plugin;
struct fd_plan;
struct fd_capture; /* everything found: descriptions, descriptors, backing files */

/* Descriptors and mappings that the core does not know but somebody above it does, by the text of the link: a better reason and
 * remedy than "unknown". All strings are borrowed for the life of the capture. */
struct fd_claim {
	const char *pattern; /* fnmatch(3), against /proc/PID/fd/N or the name in /proc/PID/maps: "anon_inode:x-*",
	                        "anon_inode:\\[x]" */
	const char *kind;
	const char *obstacle, *remedy;
};

/* A file that is memory: on tmpfs, as are memory files and shared anonymous memory, in pages that are not huge. */
struct fd_memory {
	uint32_t dev_major, dev_minor; /* as the process's maps have them */
	uint64_t ino;
	uint64_t size, allocated; /* bytes */
};

struct fd_capture_options {
	bool frozen;
	enum stasis_disk disk;
	uint32_t first_space;          /* first free space number for contents; see img_writer_pages */
	bool compared;                 /* the writer compares with a parent: contents are copied first, to keep that out of the pause */
	enum stasis_tcp tcp;
	/* REPAIR only of a target that is not to go on. Called before a TCP connection of process `pid` is held (fd/sock-hold.h), so that
	 * whatever happens it can be let go again with this SO_REUSEADDR; `fd` shows the socket with this inode. Returns 0 or a negative
	 * errno. NULL: nobody needs to know. */
	int (*hold)(void *ctx, pid_t pid, int fd, uint64_t ino, int reuse);
	void *ctx;
	/* Asked for contents that were copied before, and are of this instant: returns a memory file, which is taken over, -ENOENT, or another
	 * negative errno, worded. May be NULL. */
	int (*copied)(void *ctx, const struct fd_memory *memory);
	void *copied_ctx;
	const char *image_path;        /* for reflinks: clones are made in its directory; NULL = none are made */
	const struct fd_claim *claims; /* the first that fits counts; copied */
	size_t n_claims;
	const struct stasis_plugin *const *plugins; /* borrowed */
	size_t n_plugins;
};

int fd_capture_create(struct reporter *rep, const struct fd_capture_options *options, struct fd_capture **ret);
void fd_capture_destroy(struct fd_capture *cap);

/* Looks at every descriptor of `proc`. Descriptors that share a description (KCMP_FILE), also with an earlier process, share
 * its record. What is found is said by fd_capture_check. */
int fd_capture_process(struct fd_capture *cap, const struct fd_process *proc);

/* A file that is mapped, by the mapping's own address range; dedups by dev:inode with open files, so that the descriptors of
 * all processes come first. The id goes into the mapping's record. Id 0: there is no file to map it from, so all its pages that
 * are there have to be saved as if they were anonymous (a private mapping of a deleted file), or an obstacle was noted. `path`
 * is what /proc/PID/maps says (with " (deleted)" where it says so). `writable`: is, or may be made so (VM_MAYWRITE). */
struct fd_mapping {
	uint64_t start, end, offset;
	uint32_t dev_major, dev_minor;
	uint64_t ino;
	bool shared, writable;
	const char *path;
};
int fd_capture_mapping(struct fd_capture *cap, const struct fd_process *proc, const struct fd_mapping *map,
                       uint32_t *ret_backing);

/* After the last process and mapping: ties together what belongs together (the two ends of a pipe), then adds an entry per
 * descriptor and mapped file that needs one, with what will happen to it and obstacles with remedy. Must be called before
 * fd_capture_save, which refuses when there was an obstacle. */
int fd_capture_check(struct fd_capture *cap, struct findings *findings);

/* Calls `visit` for each file that is memory, is mapped shared, and whose contents are to be saved, with a description of our own to read it
 * with, which is its to close. Ends with the first that `visit` does not return 0 for, and returns that. */
int fd_capture_memory(struct fd_capture *cap, int (*visit)(void *ctx, const struct fd_memory *memory, int fd), void *ctx);

/* Writes the records, and the contents that must be taken now (frozen). fd_capture_save_late writes, after the target was let
 * go, the contents that reflinks or own copies keep, and the records of files, with the hashes that take time; of a target that
 * is to be stopped, and still stands, also its connections, which from then on are held. Call both. */
int fd_capture_save(struct fd_capture *cap, struct img_writer *w);
int fd_capture_save_late(struct fd_capture *cap, struct img_writer *w);
/* Whether fd_capture_save_late holds connections. */
bool fd_capture_holds(const struct fd_capture *cap);
/* The image is whole and the target is killed next: its connections are to end without a word to the other side. */
void fd_capture_dying(struct fd_capture *cap);
unsigned fd_capture_count(const struct fd_capture *cap); /* descriptions, for the summary */

/* ---- restore ---- */
struct fd_plan;

struct fd_plan_options {
	struct resource_map *map; /* may be NULL */
	int disk;                 /* stasis_restart_options.disk */
	enum stasis_tcp tcp;
	bool stdio_inherit; /* descriptors 0-2 that were a terminal or had their peer outside become the caller's own 0-2 */
	const struct stasis_plugin *const *plugins; /* borrowed */
	size_t n_plugins;
	/* Plugins at work: after the records are loaded, to say what they need; in stage 1, to make their descriptors. May be NULL. */
	int (*loaded)(void *ctx, struct fd_plan *plan);
	int (*restore)(void *ctx, struct fd_plan *plan, uint32_t index);
	void *ctx;
};

/* Loads the records, compares with this host, adds a finding per need and an obstacle per unmet need. Changes nothing. */
int fd_plan_create(struct reporter *rep, const struct img_reader *reader, const struct fd_plan_options *options,
                   struct findings *findings, struct fd_plan **ret);
void fd_plan_destroy(struct fd_plan *plan);

/* The highest descriptor number any process of the image uses; our own must stay above. */
int fd_plan_max_fd(const struct fd_plan *plan);

/* In the caller, before the first process is made: opens and creates everything that is shared or slow (file contents, memfds)
 * at descriptors above fd_plan_max_fd() so that children inherit it. */
int fd_plan_prepare(struct fd_plan *plan);

/* Stage 1, in the new process `index` (its only thread, same memory as the caller had, in its final pid and time namespace, all
 * processes of the tree made): puts every descriptor in its place with its flags, offset, owner, locks; leaves open besides
 * them only `keep` and the backing descriptors that fd_plan_backing names. */
int fd_plan_install(struct fd_plan *plan, uint32_t index, const int *keep, size_t n_keep);

/* The descriptor in process `index`, valid there after fd_plan_install and known in the caller after fd_plan_prepare, from
 * which backing file `id` is to be mapped (read-write if `writable`, else at least readable); -ENOENT if none. It lies in
 * [first, last], all of which the last injected batch closes, or is one of the process's own: closing another descriptor of a
 * file on which the process holds POSIX locks would drop them. An empty range has last < first. */
int fd_plan_backing(const struct fd_plan *plan, uint32_t index, uint32_t id, bool writable);
void fd_plan_backing_range(const struct fd_plan *plan, int *ret_first, int *ret_last);

/* After everything is mapped and the restart is certain, before the target runs / when it has failed: makes visible what was
 * prepared aside (reverted disks are renamed into place, stale socket paths replaced, memfds sealed, the terminal set), or
 * takes away whatever was made. Both run in the caller, which still has what fd_plan_prepare opened. */
int fd_plan_commit(struct fd_plan *plan);
void fd_plan_abandon(struct fd_plan *plan);

const struct img_schema *const *fd_schemas(size_t *ret_n);

#endif
