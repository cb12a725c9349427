/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The plugin interface: what one kind of host hardware needs to be taken off a running process and given back to a restarted
 * one. A plugin is a table of callbacks; it sees this header, the image header schema.h and the kernel's headers, nothing else.
 *
 * Theory of operation. A plugin claims descriptors by what /proc says of them. At a checkpoint `check` looks at the running
 * process and names every obstacle; then all threads are stopped, `ready` says whether this is a moment at which the hardware can
 * be described, `rest` stops what works on without them, and `save` writes records. Nothing is taken from a target that goes on. At
 * a restart `plan` compares with the new host, `restore` makes new descriptors in ordinary C inside the new process (stage 1,
 * nothing of the old memory is there), and `late` puts state back by system calls made inside it once all memory and all threads
 * are there, just before they run.
 *
 * All callbacks return 0 or a negative errno which has been worded (stasis_fail). Calls are made from one thread. Callbacks and
 * table members are only ever added at the end, and `size` tells which are there. */
#ifndef STASIS_PLUGIN_H
#define STASIS_PLUGIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/user.h>

#include "schema.h"

#define STASIS_PLUGIN_API 1u

struct stasis_session; /* one plugin in one checkpoint, check, plan or restart */

/* A descriptor of the target that the plugin has claimed. */
struct stasis_descriptor {
	int fd;
	const char *link; /* /proc/PID/fd/FD */
	const char *what; /* as the plugin's claim called it */
	int base;         /* the lowest descriptor that shares what it has open: fd itself, if nothing lower does */
};

/* A mapping of a claimed file. */
struct stasis_mapping {
	uint64_t start, end, offset; /* bytes */
	const char *name;            /* as /proc/PID/maps has it */
};

struct stasis_plugin {
	uint32_t api;     /* STASIS_PLUGIN_API */
	uint32_t size;    /* of this struct, as the plugin was built */
	const char *name; /* "kvm": one word, also the name of its fault points and of its part of the recorder's journal */
	const struct img_schema *const *schemas; /* of its records; ended by NULL */

	/* Whether a descriptor is the plugin's: its kind for people ("KVM virtual CPU"), or NULL. `st` is of the file. */
	const char *(*claim)(const char *link, const struct stat *st);
	/* Before anything else, and after everything (also after failures). `*ret_state` is handed to every other callback. */
	int (*open)(struct stasis_session *s, void **ret_state);
	void (*close)(struct stasis_session *s, void *state);

	/* checkpoint */
	/* What will happen to each claimed descriptor, and what stands in the way (stasis_action, stasis_obstacle). Called for the
	 * running process and again for the stopped one. */
	int (*check)(struct stasis_session *s, void *state);
	/* The descriptor behind a mapping, when several have the same link. May be NULL. */
	int (*mapping)(struct stasis_session *s, void *state, const struct stasis_mapping *m, int *ret_fd);
	/* All threads are stopped: 0, or -EAGAIN after stasis_not_ready() has said what has to come to rest first. Then the gate is
	 * closed, the threads run on and it is asked again. May be NULL. */
	int (*ready)(struct stasis_session *s, void *state);
	int (*save)(struct stasis_session *s, void *state);

	/* restart */
	int (*plan)(struct stasis_session *s, void *state);
	int (*restore)(struct stasis_session *s, void *state);
	int (*late)(struct stasis_session *s, void *state);
	/* A restart has failed after `plan`: takes back what restore and late have changed outside of the new process. Called in the
	 * process that `plan` ran in, which sees of the state what lies in shared memory. May be NULL. */
	int (*abandon)(struct stasis_session *s, void *state);

	/* checkpoint */
	/* The target is stopped and nothing has been read of it yet: brings to rest what works on without its threads (an in-kernel
	 * worker that writes into its memory and signals its eventfds). How to start it again has been said before
	 * (stasis_undo_ioctl). It rests until the picture of the memory is taken, and with --stop to the end. May be NULL. */
	int (*rest)(struct stasis_session *s, void *state);
};

/* ---- for every callback ---- */

/* Says why something failed and returns `err`; name the object and the remedy. / A word that stops nothing. */
__attribute__((format(printf, 3, 4))) int stasis_fail(struct stasis_session *s, int err, const char *fmt, ...);
__attribute__((format(printf, 2, 3))) void stasis_warn(struct stasis_session *s, const char *fmt, ...);
__attribute__((format(printf, 2, 3))) void stasis_debug(struct stasis_session *s, const char *fmt, ...);

/* A fault point, "PLUGIN.POINT": 0, or the armed negative errno, said. For tests of the ways back. */
int stasis_fault(struct stasis_session *s, const char *point);

/* What the user said with --map KIND:OLD=NEW, or NULL. Restart only. */
const char *stasis_mapped(struct stasis_session *s, const char *kind, const char *old);

/* What the target's CLOCK_MONOTONIC has more than that of the host's initial time namespace, which kernel objects count in;
 * nanoseconds. Exact, and the same for the target's whole life; a restart has another. */
int64_t stasis_clock_offset_ns(struct stasis_session *s);

/* The descriptors that the plugin has claimed, in the order of their numbers. Borrowed. At a restart `link` is as it was. */
size_t stasis_descriptors(struct stasis_session *s, const struct stasis_descriptor **ret);

/* What will be done with a descriptor, in check and plan / why it cannot be done and what the user can do. `fd` -1: `object`
 * names the thing; else `object` may be NULL. Every obstacle is said, not only the first. */
__attribute__((format(printf, 3, 4))) void stasis_action(struct stasis_session *s, int fd, const char *fmt, ...);
__attribute__((format(printf, 5, 6))) void stasis_obstacle(struct stasis_session *s, int fd, const char *object, const char *remedy,
							   const char *fmt, ...);

/* ---- the target: in ready, save and late it stands still ---- */

/* Memory of the target, whatever its protection. Return 0 or a negative errno, not worded. */
int stasis_read(struct stasis_session *s, uint64_t addr, void *buf, size_t size);
int stasis_write(struct stasis_session *s, uint64_t addr, const void *buf, size_t size);

/* A batch of system calls to be made by the target. The calls of one batch are made in order in one go; the first that fails ends
 * it unless it was added with STASIS_MAY_FAIL. */
struct stasis_calls;
#define STASIS_MAY_FAIL 1u

int stasis_calls_create(struct stasis_session *s, size_t max_calls, struct stasis_calls **ret);
void stasis_calls_destroy(struct stasis_calls *c); /* takes NULL */
void stasis_calls_reset(struct stasis_calls *c);
/* Room for data in the target, zeroed or with a copy of `data`; its address there. What does not fit fails in stasis_calls_run. */
uint64_t stasis_calls_put(struct stasis_calls *c, const void *data, size_t size);
/* Our copy of it: results are there after the run. */
void *stasis_calls_at(struct stasis_calls *c, uint64_t addr);
size_t stasis_calls_room(const struct stasis_calls *c); /* bytes of data that still fit */
/* Appends a call; returns its index. */
size_t stasis_calls_add(struct stasis_calls *c, unsigned flags, long nr, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3);
/* 0, or the negative errno of the call that failed (its index in *ret_failed when not NULL), not worded. */
int stasis_calls_run(struct stasis_calls *c, size_t *ret_failed);
int64_t stasis_calls_result(const struct stasis_calls *c, size_t index);

/* ---- checkpoint ---- */

bool stasis_is_frozen(const struct stasis_session *s);

/* The target's process id as we see it. */
pid_t stasis_pid(const struct stasis_session *s);

/* A copy of any descriptor of the target (pidfd_getfd: it shares offset and status flags). Owned by the caller; negative errno, not worded. */
int stasis_descriptor_copy(struct stasis_session *s, int fd);

/* The kind of any descriptor of the target as the image will call it ("eventfd"), or NULL when there is no such descriptor. */
const char *stasis_descriptor_kind(struct stasis_session *s, int fd);

/* The plugin's part of the recorder's journal in the target. -ENOENT: the target was not started with the recorder. */
int stasis_recorded(struct stasis_session *s, uint64_t *ret_addr, uint64_t *ret_size);
/* Recorded calls that are under way: the journal is not up to date. */
bool stasis_recording(struct stasis_session *s);
/* The journal ran full, or something else went past it. */
bool stasis_recorder_broken(struct stasis_session *s);

/* Registers of the i-th thread as it was stopped, NULL past the last. Frozen only. */
const struct user_regs_struct *stasis_thread(struct stasis_session *s, size_t i);

/* In rest: a call to be made by the target before it runs on, whatever becomes of the checkpoint or of us: ioctl(fd, request, data),
 * with `data` (at most 128 bytes) in its memory. To be said before the change that it takes back: it must do no harm if that was never
 * made. A call that fails is left at that. Returns 0 or a negative errno, not worded. */
int stasis_undo_ioctl(struct stasis_session *s, int fd, uint64_t request, const void *data, size_t size);

/* The same with an argument that lies in the target's memory, at `addr`: for calls that remember where it was. That one fails
 * is no error. */
int stasis_undo_ioctl_at(struct stasis_session *s, int fd, uint64_t request, uint64_t addr);

/* The target will not go on after this checkpoint (--stop), if that succeeds. */
bool stasis_is_last(const struct stasis_session *s);

/* In ready: what the target has to do first, for the message when it does not. */
__attribute__((format(printf, 2, 3))) void stasis_not_ready(struct stasis_session *s, const char *fmt, ...);

/* Appends a record to the image. */
int stasis_record(struct stasis_session *s, const struct img_schema *schema, const void *value);

/* ---- restart ---- */

/* All records of a schema. `ret_array` is the address of a pointer to the schema's struct; free with stasis_records_free. */
int stasis_records(struct stasis_session *s, const struct img_schema *schema, void *ret_array, size_t *ret_n);
void stasis_records_free(const struct img_schema *schema, void *array, size_t n);

/* The plugin's records make no sense: says so and `what` it is. Returns -EBADMSG. */
int stasis_damaged(struct stasis_session *s, const char *what);

/* How long a plan may wait for hardware that is not there yet (--usb-wait), in milliseconds; whether the user has cancelled. */
unsigned stasis_wait_ms(const struct stasis_session *s);
bool stasis_cancelled(const struct stasis_session *s);

/* In restore: `made` is what the target's descriptor `fd` shall be; taken over in any case. */
int stasis_give(struct stasis_session *s, int fd, int made);

#endif
