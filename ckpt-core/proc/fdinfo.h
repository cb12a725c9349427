/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Parses /proc/PID/fdinfo/FD: what every descriptor has, and what the usual kinds of descriptors add. The rest is kept as keys
 * and values. */
#ifndef STASIS_PROC_FDINFO_H
#define STASIS_PROC_FDINFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/vec.h"
#include "proc/status.h"

enum proc_lock_type { PROC_LOCK_FLOCK, PROC_LOCK_POSIX, PROC_LOCK_OFD, PROC_LOCK_LEASE, PROC_LOCK_DELEG, PROC_LOCK_OTHER };
enum proc_lock_mode {
	PROC_LOCK_ADVISORY,
	PROC_LOCK_MANDATORY,
	PROC_LOCK_ACTIVE,
	PROC_LOCK_BREAKING,
	PROC_LOCK_BREAKER,
	PROC_LOCK_NOINODE,
};
enum proc_lock_access { PROC_LOCK_READ, PROC_LOCK_WRITE, PROC_LOCK_NONE };

struct proc_lock {
	enum proc_lock_type type;
	enum proc_lock_mode mode;
	enum proc_lock_access access;
	int32_t pid; /* of the taker, in the pid namespace of the proc mount; -1 for OFD locks; 0 if it is not visible there */
	uint32_t dev_major, dev_minor;
	uint64_t ino;
	uint64_t start, end; /* bytes, end inclusive; UINT64_MAX = to the end of the file */
};

struct proc_epoll_item {
	int32_t tfd; /* the number at EPOLL_CTL_ADD; may be closed or reused since (KCMP_EPOLL_TFD tells) */
	uint32_t events;
	uint64_t data;
	bool has_file; /* pos, ino and sdev are there (4.13) */
	uint64_t pos, ino;
	uint32_t sdev; /* kernel-internal: major << 20 | minor */
};

struct proc_inotify_watch {
	int32_t wd;
	uint64_t ino;
	uint32_t sdev; /* kernel-internal: major << 20 | minor */
	uint32_t mask;
	bool has_handle; /* for open_by_handle_at */
	int32_t handle_type;
	uint32_t handle_size;
	uint8_t handle[128];
};

struct proc_key_value {
	char *key, *value; /* owned; value without leading and trailing blanks */
};

struct proc_fdinfo {
	int64_t pos;
	uint32_t flags; /* open flags as F_GETFL, and O_CLOEXEC */
	int32_t mnt_id;
	bool has_ino; /* 5.14 */
	uint64_t ino;
	VEC(struct proc_lock) locks;

	bool has_eventfd;
	uint64_t eventfd_count;
	int32_t eventfd_id; /* -1 if absent */
	bool has_eventfd_semaphore, eventfd_semaphore; /* 6.7 */

	bool has_sigmask; /* signalfd */
	uint64_t sigmask; /* bit n-1 = signal n */

	VEC(struct proc_epoll_item) epoll;
	VEC(struct proc_inotify_watch) inotify;

	bool has_timerfd;
	int32_t timer_clockid;
	uint64_t timer_ticks;
	uint32_t timer_settime_flags; /* TFD_TIMER_* of the last settime */
	uint64_t timer_value_ns;      /* time left, also after an absolute settime; 0 = disarmed */
	uint64_t timer_interval_ns;

	bool has_pidfd;
	int32_t pid; /* -1: ended; 0: not in the pid namespace of the proc mount */
	struct proc_nsids nspid;

	bool has_scm_fds; /* unix sockets; 5.10 */
	uint64_t scm_fds; /* files in flight in the receive queue */

	VEC(struct proc_key_value) other; /* every line not listed above, in order */
};

/* Returns 0, -ENOMEM, or -EBADMSG when a line is not understood or pos or flags is missing. */
int proc_fdinfo_parse(const char *text, size_t size, struct proc_fdinfo *ret);
void proc_fdinfo_finish(struct proc_fdinfo *info);

/* The value of the first line `key` in `other`, borrowed; NULL if there is none. */
const char *proc_fdinfo_get(const struct proc_fdinfo *info, const char *key);

#endif
