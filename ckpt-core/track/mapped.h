/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Notices when anybody on this host maps a file, or a process forks: in the side band of perf_event_open(2), for all processors, which takes
 * CAP_PERFMON or kernel.perf_event_paranoid below 1. Who has mapped a file before is found by looking (mapped_elsewhere).
 *
 * Sources: perf_event_open(2); perf_event_mmap() and perf_event_task() in kernel/events/core.c. A mapping that mremap() makes of another
 * one is not told. */
#ifndef STASIS_TRACK_MAPPED_H
#define STASIS_TRACK_MAPPED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/vec.h"

struct mapped_ring { /* of a processor */
	int fd;
	void *area;
};
struct mapped {
	VEC(struct mapped_ring) rings;
};

enum mapped_what { MAPPED_FILE, MAPPED_FORK, MAPPED_LOST };
struct mapped_event {
	enum mapped_what what;
	pid_t pid; /* who has mapped it, or forked */
	uint32_t dev_major, dev_minor;
	uint64_t ino;
};

/* Begins. Returns 0 or a negative errno, not worded: -EACCES, -EPERM without the privilege. */
int mapped_open(struct mapped *m);

/* Calls `event` for everything since then or since the last call; MAPPED_LOST when something may have been missed. */
void mapped_read(struct mapped *m, void (*event)(void *ctx, const struct mapped_event *e), void *ctx);

void mapped_finish(struct mapped *m);

/* Whether a process other than `pid`, init and ourselves has mapped the file, as far as can be seen: 1 or 0, or a negative errno, as when there
 * is a process that may not be looked at. */
int mapped_elsewhere(pid_t pid, uint32_t dev_major, uint32_t dev_minor, uint64_t ino);

#endif
