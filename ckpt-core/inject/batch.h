/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A batch of system calls run inside a stopped thread of the target: built here, walked there by the stub, one round trip.
 *
 * Theory of operation. A batch needs three things in the target: the stub (some 110 bytes of code), an area of scratch memory
 * (calls, their data, the way home), and a stopped thread. In a living target nothing is mapped for that: the stub is
 * poked into the zero padding behind some program text, the area is the dead part of the thread's own stack below the red zone,
 * and both get their old bytes back. In a process that a restart is building, a region of ours is mapped, stub first.
 *
 * The thread's registers and signal mask are put back after every batch (batch_run), so that between batches the kernel's own
 * detach lets the target run on when the controller dies. While the batch runs, the way home lies in the area: the stub's last
 * system call is rt_sigreturn to the thread's own state. The controller normally never lets it get there: the stub announces
 * its end with a signal that is ignored by default (SIGURG mostly) and that, with nobody tracing, does nothing at all.
 * Test: killed-controller-leaves-target-running. */
#ifndef STASIS_INJECT_BATCH_H
#define STASIS_INJECT_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/report.h"
#include "inject/tracee.h"

#define INJECT_STUB_ROOM 128

enum inject_flags {
	INJECT_MAY_FAIL = 1, /* the walk goes on after an error */
};

struct inject_call {
	uint32_t nr, flags;
	uint64_t args[6];
	int64_t result; /* as the kernel gives it: -4095..-1 is an error */
};

enum batch_home {
	BATCH_HOME_RETURN, /* rt_sigreturn to the thread's own state: a living target */
	BATCH_HOME_EXIT,   /* exit_group: a snapshot child, a process under construction */
};

struct batch_place {
	uint64_t stub;  /* where the stub lies in the target */
	uint64_t area;  /* scratch memory there */
	size_t size;
	bool keep;      /* the area is the target's own memory: its bytes are put back */
	enum batch_home home;
	int tell;       /* the signal that announces the end */
};

struct batch {
	struct tracee *t;
	struct batch_place place;
	uint8_t *copy;  /* of the area, ours */
	size_t calls_room, n_calls;
	size_t data_used; /* bytes of the area given out behind the calls */
	size_t done;    /* after batch_run: calls that were made, the failed one not counted */
	pid_t child;    /* after batch_run: task made by a clone in the batch, attached and stopping; 0 none */
	bool clones;    /* set by the caller: the only call is a clone; a task born in it whose controller is dead exits */
	bool overflow;  /* a call or data did not fit: batch_run fails with -ENOSPC */
};

/* Begins a batch of at most `max_calls` for thread `t`. Returns 0, -ENOMEM, or -ENOSPC when the area cannot hold them. */
int batch_begin(struct batch *b, struct tracee *t, const struct batch_place *place, size_t max_calls);
void batch_finish(struct batch *b);

/* Forgets calls and data, to build the next batch in the same place. */
void batch_reset(struct batch *b);

/* Bytes of data and number of calls that still fit. */
size_t batch_data_left(const struct batch *b);
size_t batch_calls_left(const struct batch *b);

/* Copies data into the area / reserves room for a result; returns its address in the target (16-byte aligned). */
uint64_t batch_put(struct batch *b, const void *data, size_t size);
uint64_t batch_reserve(struct batch *b, size_t size);

/* Our copy of what lies at such an address: results are there after batch_run. */
void *batch_at(struct batch *b, uint64_t addr);

/* Appends a call; the pointer is valid until batch_reset. Never NULL (see overflow). */
struct inject_call *batch_add(struct batch *b, uint32_t nr, uint32_t flags, const uint64_t args[6]);
#define batch_call(b, nr, flags, ...) batch_add(b, nr, flags, (const uint64_t[6]){ __VA_ARGS__ })

/* Runs it. 0: all calls made (those with INJECT_MAY_FAIL may have failed). A call that failed ends the batch: its negative
 * errno is returned and `done` is its index. -ESRCH: the thread ended. Other negative errnos: ptrace or memory access failed.
 * Registers and mask of the thread are its own again in every case but -ESRCH. */
int batch_run(struct batch *b);

/* Makes one new task by a batch of a single clone (SYS_clone with these flags) or clone3 (SYS_clone3 with `args`) in `t`. The task
 * is attached by the kernel at birth; it is waited for and loaded. Its tids are filled in for a process of its own; a caller that
 * makes a thread corrects ns_tgid. On failure a task that was made is killed. */
int batch_clone(struct tracee *t, const struct batch_place *place, uint32_t nr, uint64_t flags, const void *args, size_t args_size,
		struct tracee *ret);

/* Reads and writes memory of a traced process, whatever the protection (/proc/PID/mem, then ptrace). */
int inject_read(pid_t pid, uint64_t addr, void *buf, size_t size);
int inject_write(pid_t pid, uint64_t addr, const void *buf, size_t size);

/* The stub's bytes, and the offset at which it is once it has told. */
const void *inject_stub_code(size_t *ret_size);

/* home-x86.c: lays the frame from which rt_sigreturn takes the thread back to its registers, mask and FPU state, at the end of
 * the area; `*ret_sp` is the stack pointer to make that call with, `*ret_used` the bytes taken at the area's end. */
int home_frame_build(const struct tracee *t, uint64_t area, uint8_t *copy, size_t size, uint64_t *ret_sp, size_t *ret_used);

#endif
