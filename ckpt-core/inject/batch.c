// SPDX-License-Identifier: LGPL-2.1-or-later
/* Batches of system calls inside a stopped thread. */
#include "batch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"

extern const char inject_stub[], inject_stub_told[], inject_stub_end[];

const void *inject_stub_code(size_t *ret_size)
{
	*ret_size = (size_t)(inject_stub_end - inject_stub);
	return inject_stub;
}

/* /proc/PID/mem goes through any protection unless proc_mem.force_override forbids it; ptrace then still may. */
static int mem_access(pid_t pid, uint64_t addr, void *buf, size_t size, bool write)
{
	char path[32];
	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	AUTO_CLOSE int fd = open(path, (write ? O_RDWR : O_RDONLY) | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	for (size_t done = 0; done < size;) {
		ssize_t n = write ? pwrite(fd, (char *)buf + done, size - done, (off_t)(addr + done))
				  : pread(fd, (char *)buf + done, size - done, (off_t)(addr + done));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EFAULT;
		done += (size_t)n;
	}
	return 0;
}

int inject_read(pid_t pid, uint64_t addr, void *buf, size_t size)
{
	struct iovec local = { buf, size }, remote = { (void *)addr, size };

	if (process_vm_readv(pid, &local, 1, &remote, 1, 0) == (ssize_t)size)
		return 0;
	return mem_access(pid, addr, buf, size, false);
}

int inject_write(pid_t pid, uint64_t addr, const void *buf, size_t size)
{
	struct iovec local = { (void *)buf, size }, remote = { (void *)addr, size };

	if (process_vm_writev(pid, &local, 1, &remote, 1, 0) == (ssize_t)size)
		return 0;
	int err = mem_access(pid, addr, (void *)buf, size, true);
	for (size_t i = 0; err && i + sizeof(long) <= size; i += sizeof(long)) {
		long word;
		memcpy(&word, (const char *)buf + i, sizeof(word));
		if (ptrace(PTRACE_POKETEXT, pid, (void *)(addr + i), (void *)word) < 0)
			return err;
		if (i + 2 * sizeof(long) > size)
			err = 0;
	}
	return err;
}

int batch_begin(struct batch *b, struct tracee *t, const struct batch_place *place, size_t max_calls)
{
	size_t calls = max_calls * sizeof(struct inject_call);

	*b = (struct batch){ .t = t, .place = *place, .calls_room = max_calls };
	if (calls + 1024 > place->size)
		return -ENOSPC;
	if (!(b->copy = malloc(place->size)))
		return -ENOMEM;
	memset(b->copy, 0, calls); /* data is cleared as it is given out: areas are much larger than most batches */
	return 0;
}

void batch_finish(struct batch *b)
{
	free(b->copy);
	b->copy = NULL;
}

void batch_reset(struct batch *b)
{
	b->n_calls = b->data_used = b->done = 0;
	b->overflow = b->clones = false;
	b->child = 0;
}

/* The way home takes the end of the area; how much depends on the FPU state, so a safe bound is kept free. */
static size_t home_room(const struct batch *b)
{
	return b->place.home == BATCH_HOME_RETURN ? 4096 : 0;
}

size_t batch_data_left(const struct batch *b)
{
	size_t used = b->calls_room * sizeof(struct inject_call) + b->data_used + home_room(b);

	return used < b->place.size ? b->place.size - used : 0;
}

size_t batch_calls_left(const struct batch *b)
{
	return b->calls_room - b->n_calls;
}

uint64_t batch_reserve(struct batch *b, size_t size)
{
	size_t room = (size + 15) & ~(size_t)15;

	if (room > batch_data_left(b)) {
		b->overflow = true;
		return b->place.area;
	}
	uint64_t addr = b->place.area + b->calls_room * sizeof(struct inject_call) + b->data_used;
	b->data_used += room;
	memset(batch_at(b, addr), 0, room);
	return addr;
}

uint64_t batch_put(struct batch *b, const void *data, size_t size)
{
	uint64_t addr = batch_reserve(b, size);

	if (!b->overflow)
		memcpy(batch_at(b, addr), data, size);
	return addr;
}

void *batch_at(struct batch *b, uint64_t addr)
{
	return b->copy + (addr - b->place.area);
}

struct inject_call *batch_add(struct batch *b, uint32_t nr, uint32_t flags, const uint64_t args[6])
{
	struct inject_call *calls = (struct inject_call *)b->copy;

	if (b->n_calls == b->calls_room) {
		b->overflow = true;
		return &calls[b->calls_room - 1];
	}
	struct inject_call *call = &calls[b->n_calls++];
	*call = (struct inject_call){ .nr = nr, .flags = flags, .result = -ENOSYS };
	memcpy(call->args, args, sizeof(call->args));
	return call;
}

/* Waits until the stub has told. Whatever else happens to the thread meanwhile is put off or let be. */
static int batch_wait(struct batch *b)
{
	struct tracee *t = b->t;
	uint64_t told = b->place.stub + (uint64_t)(inject_stub_told - inject_stub);

	for (;;) {
		int status, err = tracee_wait(t->tid, 0, &status);
		if (err)
			return err == -ECHILD ? -ESRCH : err;
		if (!WIFSTOPPED(status)) {
			t->attached = t->stopped = false;
			return -ESRCH;
		}
		int event = status >> 16, sig = WSTOPSIG(status);
		if (event == PTRACE_EVENT_CLONE || event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK) {
			unsigned long child = 0;
			ptrace(PTRACE_GETEVENTMSG, t->tid, NULL, &child);
			b->child = (pid_t)child;
		} else if (!event && sig == b->place.tell) {
			struct user_regs_struct regs;
			if ((err = tracee_get_regs(t->tid, &regs)))
				return err;
			if (regs.rip == told)
				return 0;
			t->put_off |= 1ul << (sig - 1);
		} else if (!event && sig != (SIGTRAP | 0x80)) {
			/* Only SIGSTOP comes through the mask (a fault of our own is a bug and would loop: end it). */
			if (sig == SIGSEGV || sig == SIGBUS || sig == SIGILL || sig == SIGFPE || sig == SIGTRAP || sig == SIGSYS)
				return -EFAULT;
			t->put_off |= 1ul << (sig - 1);
		}
		if (ptrace(PTRACE_CONT, t->tid, NULL, NULL) < 0)
			return errno == ESRCH ? -ESRCH : -errno;
	}
}

/* Points the thread at the stub and lets it walk. */
static int batch_walk(struct batch *b, uint64_t home_sp)
{
	struct tracee *t = b->t;
	struct user_regs_struct regs = t->regs;
	uint64_t mask = ~(1ul << (b->place.tell - 1));
	uint32_t home = b->place.home == BATCH_HOME_RETURN ? 15 /* rt_sigreturn */ : 231 /* exit_group */;

	regs.rip = b->place.stub;
	regs.rbx = b->place.area;
	regs.r12 = b->place.area + b->n_calls * sizeof(struct inject_call);
	regs.r13 = (uint64_t)t->ns_tgid;
	regs.r14 = (uint64_t)t->ns_tid;
	regs.r15 = (uint64_t)home << 32 | (unsigned)b->clones << 8 | (unsigned)b->place.tell;
	regs.rbp = home_sp;
	regs.rsp = b->place.area;
	regs.orig_rax = (uint64_t)-1; /* or the kernel's restart logic shifts rip */
	regs.eflags &= ~0x400ul; /* direction flag */
	int err = tracee_set_regs(t->tid, &regs);
	if (err)
		return err;
	t->altered = true;
	if (ptrace(PTRACE_SETSIGMASK, t->tid, (void *)sizeof(mask), &mask) < 0)
		return -errno;
	if (ptrace(PTRACE_CONT, t->tid, NULL, NULL) < 0)
		return -errno;
	return batch_wait(b);
}

int batch_run(struct batch *b)
{
	struct tracee *t = b->t;
	AUTO_FREE uint8_t *old = NULL;
	uint64_t home_sp = 0;
	size_t frame = 0, front = b->calls_room * sizeof(struct inject_call) + b->data_used;
	int err;

	if (b->overflow)
		return -ENOSPC;
	if (b->place.home == BATCH_HOME_RETURN) {
		err = home_frame_build(t, b->place.area, b->copy, b->place.size, &home_sp, &frame);
		if (err)
			return err;
		if (front + frame > b->place.size)
			return -ENOSPC;
	}
	uint64_t tail = b->place.area + b->place.size - frame;
	if (b->place.keep) {
		if (!(old = malloc(b->place.size)))
			return -ENOMEM;
		if ((err = inject_read(t->tid, b->place.area, old, front)) ||
		    (err = inject_read(t->tid, tail, old + front, frame)))
			return err;
	}
	if ((err = inject_write(t->tid, b->place.area, b->copy, front)) ||
	    (frame && (err = inject_write(t->tid, tail, b->copy + b->place.size - frame, frame))))
		return err;
	err = batch_walk(b, home_sp);
	if (err == -ESRCH)
		return err;
	int err2 = inject_read(t->tid, b->place.area, b->copy, front);
	if (b->place.keep) {
		int err3 = inject_write(t->tid, b->place.area, old, front);
		if (!err3 && frame)
			err3 = inject_write(t->tid, tail, old + front, frame);
		err2 = err2 ? err2 : err3;
	}
	int err4 = tracee_store(t);
	if (err || err2 || err4)
		return err ? err : err2 ? err2 : err4;
	const struct inject_call *calls = (const struct inject_call *)b->copy;
	for (b->done = 0; b->done < b->n_calls; b->done++) {
		const struct inject_call *c = &calls[b->done];
		if (c->result < 0 && c->result >= -4095 && !(c->flags & INJECT_MAY_FAIL))
			return (int)c->result;
	}
	return 0;
}

/* The kernel attaches what is born under these, and inherits them. */
#define BIRTH_OPTIONS (PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK)

int batch_clone(struct tracee *t, const struct batch_place *place, uint32_t nr, uint64_t flags, const void *args, size_t args_size,
		struct tracee *ret)
{
	struct batch b;
	int err = batch_begin(&b, t, place, 1);

	/* Only for this one call: what the target itself makes is not ours. The new task inherits the options. */
	if (err || (err = tracee_add_options(t, BIRTH_OPTIONS))) {
		batch_finish(&b);
		return err;
	}
	b.clones = true;
	struct inject_call *call = args ? batch_call(&b, nr, 0, batch_put(&b, args, args_size), args_size) : batch_call(&b, nr, 0, flags);
	err = batch_run(&b);
	if (b.child) {
		struct tracee task = { .tid = b.child, .ns_tid = (pid_t)call->result, .ns_tgid = (pid_t)call->result, .options = t->options,
				       .attached = true };
		int err2 = tracee_wait_stop(&task, 5000);
		if (!err2 && !(err2 = tracee_drop_options(&task, BIRTH_OPTIONS)))
			err2 = tracee_load(&task);
		err = err ? err : err2;
		if (err)
			kill(b.child, SIGKILL);
		else
			*ret = task;
	} else if (!err) {
		err = -ECHILD;
	}
	batch_finish(&b);
	if (t->attached)
		tracee_drop_options(t, BIRTH_OPTIONS);
	return err;
}
