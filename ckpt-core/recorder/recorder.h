/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The recorder from inside: a library preloaded into the target, which watches calls whose effect the kernel will not tell
 * afterwards. Its core only sorts ioctl(2) by kind of descriptor; what is recorded lives with the plugins (record.c).
 *
 * Rules for everything in here: no malloc, no lock that a user's thread could hold, errno only set on the way out, nothing that
 * may be interrupted by a handler that comes back in (recorder_begin blocks signals). */
#ifndef STASIS_RECORDER_RECORDER_H
#define STASIS_RECORDER_RECORDER_H

#include <stddef.h>
#include <stdint.h>

#include "recorder/root.h"

struct recorder_kind {
	const char *name;
	unsigned ioctl_type; /* _IOC_TYPE of its requests: how a descriptor that nobody knows yet is recognised */
	/* Called instead of ioctl(2) for descriptors given to recorder_claim, and for others with a request of this type. Returns the
	 * result or a negative errno. */
	long (*ioctl)(int fd, unsigned long request, void *arg);
	/* Once, before the first call. Fills in where the journal is. */
	void (*init)(struct recorder_section *section);
	/* A claimed descriptor is about to be closed. May be NULL. */
	void (*closing)(int fd);
	/* Whether a claimed descriptor may be mapped: 0, or the negative errno that the program gets. May be NULL. */
	int (*mapping)(int fd);
};

/* The kinds there are, ended by NULL; whoever links the library defines it. */
extern const struct recorder_kind *const recorder_kinds[];

extern struct recorder_root recorder_root __attribute__((visibility("hidden")));

/* From now on calls on `fd` go to the kind of this name. A descriptor too high for the table is found by its requests' type. */
void recorder_claim(int fd, const struct recorder_kind *kind);

/* A system call; the kernel's own result. */
long recorder_call(long nr, long a0, long a1, long a2, long a3, long a4, long a5);

/* ioctl(2) as the next in line has it; the result or a negative errno. */
long recorder_next_ioctl(int fd, unsigned long request, void *arg);

/* Around a call that is to be recorded and its entry in the journal: one thread at a time, no signal in between. */
struct recorder_turn {
	uint64_t mask;
};
void recorder_begin(struct recorder_turn *turn);
void recorder_end(struct recorder_turn *turn);

/* Private memory that is given back by nobody; NULL when there is none (then the journal is marked as broken). */
void *recorder_memory(size_t size);
void recorder_break(void);

static inline int recorder_gate_is_closed(void)
{
	return __builtin_expect(__atomic_load_n(&recorder_root.closed, __ATOMIC_RELAXED), 0) &&
	       !__atomic_load_n(&recorder_root.held, __ATOMIC_RELAXED);
}

/* Waits until the gate is open. 0, or -EINTR when a signal handler ran meanwhile. */
int recorder_gate_wait(void);
/* The same, but for so long at most; then 0. For who must not keep others waiting that have not come to the gate. */
int recorder_gate_wait_briefly(unsigned ms);

/* An exchange begins that wants the target to run, however closed the gate / has ended. In a turn. */
void recorder_hold(void);
void recorder_unhold(void);

#endif
