// SPDX-License-Identifier: LGPL-2.1-or-later
/* The undo list. Notes are made before the change, so that a death between the two undoes what never happened, which every entry
 * must bear: bytes put back where they are, advice given again, a child that is not there, a call that was not due. */
#include "undo.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "fd/sock-hold.h"
#include "inject/batch.h"
#include "inject/plant.h"

enum undo_kind { UNDO_BYTES, UNDO_MADVISE, UNDO_CHILD, UNDO_REAP, UNDO_IOCTL, UNDO_IOCTL_AT, UNDO_TCP, UNDO_STOP, UNDO_NOTHING };

struct undo_entry {
	enum undo_kind kind;
	pid_t pid;
	uint64_t addr, size;
	/* UNDO_IOCTL, _AT: the descriptor; `addr` is the request, `size` for _AT the argument. UNDO_TCP: likewise; `addr` is the inode, `size`
	 * SO_REUSEADDR */
	int advice;
	uint8_t bytes[INJECT_STUB_ROOM];
};

#define UNDO_MAX 8192

struct undo_journal {
	atomic_size_t n;
	struct undo_entry entries[UNDO_MAX];
};

struct undo_journal *undo_create(void)
{
	struct undo_journal *j = mmap(NULL, sizeof(*j), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return j == MAP_FAILED ? NULL : j;
}

void undo_destroy(struct undo_journal *journal)
{
	if (journal)
		munmap(journal, sizeof(*journal));
}

static int undo_note(struct undo_journal *j, const struct undo_entry *e)
{
	size_t n = atomic_load(&j->n);

	if (n == UNDO_MAX)
		return -ENOSPC;
	j->entries[n] = *e;
	atomic_store(&j->n, n + 1);
	return 0;
}

int undo_note_bytes(struct undo_journal *journal, pid_t pid, uint64_t addr, const void *bytes, size_t size)
{
	struct undo_entry e = { .kind = UNDO_BYTES, .pid = pid, .addr = addr, .size = size };

	if (size > sizeof(e.bytes))
		return -ENOSPC;
	memcpy(e.bytes, bytes, size);
	return undo_note(journal, &e);
}

int undo_note_madvise(struct undo_journal *journal, pid_t pid, uint64_t addr, uint64_t size, int advice)
{
	struct undo_entry e = { .kind = UNDO_MADVISE, .pid = pid, .addr = addr, .size = size, .advice = advice };

	return undo_note(journal, &e);
}

int undo_note_child(struct undo_journal *journal, pid_t child)
{
	struct undo_entry e = { .kind = UNDO_CHILD, .pid = child };

	return undo_note(journal, &e);
}

int undo_note_reap(struct undo_journal *journal, pid_t pid, pid_t ns_child)
{
	struct undo_entry e = { .kind = UNDO_REAP, .pid = pid, .addr = (uint64_t)ns_child };

	return undo_note(journal, &e);
}

int undo_note_ioctl(struct undo_journal *journal, pid_t pid, int fd, uint64_t request, const void *data, size_t size)
{
	struct undo_entry e = { .kind = UNDO_IOCTL, .pid = pid, .addr = request, .size = size, .advice = fd };

	if (size > sizeof(e.bytes))
		return -ENOSPC;
	memcpy(e.bytes, data, size);
	return undo_note(journal, &e);
}

int undo_note_ioctl_at(struct undo_journal *journal, pid_t pid, int fd, uint64_t request, uint64_t addr)
{
	struct undo_entry e = { .kind = UNDO_IOCTL_AT, .pid = pid, .addr = request, .size = addr, .advice = fd };

	return undo_note(journal, &e);
}

int undo_note_tcp(struct undo_journal *journal, pid_t pid, int fd, uint64_t ino, int reuse)
{
	struct undo_entry e = { .kind = UNDO_TCP, .pid = pid, .addr = ino, .size = (uint64_t)reuse, .advice = fd };

	return undo_note(journal, &e);
}

int undo_note_stop(struct undo_journal *journal, pid_t pid)
{
	struct undo_entry e = { .kind = UNDO_STOP, .pid = pid };

	return undo_note(journal, &e);
}

void undo_forget_stop(struct undo_journal *journal)
{
	for (size_t i = 0; i < atomic_load(&journal->n); i++)
		if (journal->entries[i].kind == UNDO_STOP)
			journal->entries[i].kind = UNDO_NOTHING;
}

void undo_forget(struct undo_journal *journal)
{
	atomic_store(&journal->n, 0);
}

bool undo_is_empty(const struct undo_journal *journal)
{
	return !atomic_load(&journal->n);
}

/* The address of the planted stub, 0 when there is none. */
static uint64_t undo_stub(const struct undo_journal *j)
{
	for (size_t i = 0; i < atomic_load(&j->n); i++)
		if (j->entries[i].kind == UNDO_BYTES && j->entries[i].size == INJECT_STUB_ROOM)
			return j->entries[i].addr;
	return 0;
}

#define CALLS 64

static bool needs_call(const struct undo_entry *e)
{
	return e->kind == UNDO_MADVISE || e->kind == UNDO_REAP || e->kind == UNDO_IOCTL || e->kind == UNDO_IOCTL_AT;
}

static void undo_call(struct batch *b, const struct undo_entry *e)
{
	if (e->kind == UNDO_MADVISE)
		batch_call(b, SYS_madvise, INJECT_MAY_FAIL, e->addr, e->size, (uint64_t)e->advice);
	else if (e->kind == UNDO_REAP)
		batch_call(b, SYS_wait4, INJECT_MAY_FAIL, e->addr, 0, __WALL | WNOHANG, 0);
	else if (e->kind == UNDO_IOCTL)
		batch_call(b, SYS_ioctl, INJECT_MAY_FAIL, (uint64_t)e->advice, e->addr, batch_put(b, e->bytes, e->size));
	else if (e->kind == UNDO_IOCTL_AT)
		batch_call(b, SYS_ioctl, INJECT_MAY_FAIL, (uint64_t)e->advice, e->addr, e->size);
}

/* The stub's bytes are in the journal; its code may have been taken out since (undo_bytes). */
static int undo_plant(const struct undo_journal *j, const struct frozen *f)
{
	uint8_t code[INJECT_STUB_ROOM] = { 0 };
	size_t size;
	const void *stub = inject_stub_code(&size);

	memcpy(code, stub, size);
	return undo_stub(j) ? inject_write(f->pid, undo_stub(j), code, sizeof(code)) : -ENOENT;
}

/* Makes the calls of as many of the first `*n` entries as fit, from the last; `*n` is what is left. Advice and a helper may be gone with
 * what they were for; an ioctl that fails is an error, but for one
 * at an address: what it would wake may have ended. */
static int undo_some_calls(const struct undo_journal *j, size_t *n, struct batch *b)
{
	const struct undo_entry *made[CALLS];
	size_t k = 0;

	while (*n > 0 && batch_calls_left(b) && batch_data_left(b) >= 2 * INJECT_STUB_ROOM) {
		const struct undo_entry *e = &j->entries[--*n];
		if (!needs_call(e))
			continue;
		undo_call(b, e);
		made[k++] = e;
	}
	int err = k ? batch_run(b) : 0;
	for (size_t i = 0; i < k && !err; i++)
		if (made[i]->kind == UNDO_IOCTL && ((const struct inject_call *)b->copy)[i].result < 0)
			err = (int)((const struct inject_call *)b->copy)[i].result;
	return err;
}

#define UNDO_ROOM 32768

static int undo_worker(const struct undo_journal *j, struct frozen *f, struct tracee **ret, struct batch_place *ret_place)
{
	AUTO_FREE char *text = NULL;
	struct proc_vma *vmas = NULL;
	size_t n_vmas, size;
	int err = io_read_filef(&text, &size, "/proc/%d/maps", f->pid);

	if (err || (err = proc_maps_parse(text, size, &vmas, &n_vmas)))
		return err;
	*ret = plant_worker(f, vmas, n_vmas, UNDO_ROOM, undo_stub(j), ret_place);
	proc_maps_free(vmas, n_vmas);
	return *ret ? 0 : -ENOSPC;
}

/* Undoes by injected calls whatever needs them, in batches. All are tried. */
static int undo_calls(struct undo_journal *j, size_t n, struct frozen *f, struct tracee *worker, const struct batch_place *place)
{
	struct batch_place found;
	struct batch b = { 0 };
	int err = undo_plant(j, f);

	if (err)
		return err;
	if (!worker && !(err = undo_worker(j, f, &worker, &found)))
		place = &found;
	for (int begun = err; !begun && n > 0;) {
		if (!(begun = batch_begin(&b, worker, place, CALLS))) {
			int err2 = undo_some_calls(j, &n, &b);
			err = err ? err : err2;
		}
		err = err ? err : begun;
		batch_finish(&b);
	}
	return err;
}

static void undo_child(const struct undo_entry *e)
{
	kill(e->pid, SIGKILL);
	while (waitpid(e->pid, NULL, __WALL) < 0 && errno == EINTR)
		;
}

/* From outside: the target itself may not be allowed to. One that has closed its socket meanwhile needs no more. */
static int undo_tcp(struct reporter *rep, const struct undo_entry *e)
{
	AUTO_CLOSE int pidfd = (int)syscall(SYS_pidfd_open, e->pid, 0);
	AUTO_CLOSE int fd = pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, e->advice, 0);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) || !S_ISSOCK(st.st_mode) || st.st_ino != e->addr)
		return 0;
	int err = sock_hold_end(fd, (int)e->size, false);
	return err ? report_fail(rep, err, "process %d: the TCP connection at fd %d could not be let go on: %s", e->pid, e->advice,
				 strerror(-err)) : 0;
}

static int put_bytes(struct reporter *rep, const struct frozen *f, const struct undo_entry *e)
{
	int err = inject_write(f->pid, e->addr, e->bytes, e->size);

	return err ? report_fail(rep, err, "process %d: %lu bytes at %#lx could not be put back: %s", e->pid, e->size, e->addr, strerror(-err)) : 0;
}

int undo_bytes(struct undo_journal *j, struct reporter *rep, struct frozen *f)
{
	int err = 0;

	for (size_t i = atomic_load(&j->n); i > 0; i--) {
		int err2 = j->entries[i - 1].kind == UNDO_BYTES ? put_bytes(rep, f, &j->entries[i - 1]) : 0;
		err = err ? err : err2;
	}
	return err;
}

int undo_run(struct undo_journal *j, struct reporter *rep, struct frozen *f, struct tracee *worker, const struct batch_place *place,
	     bool keep_children)
{
	size_t n = atomic_load(&j->n), calls = 0, kept = 0;
	struct undo_entry *keep = NULL;
	int err = 0;

	for (size_t i = 0; i < n; i++)
		calls += needs_call(&j->entries[i]);
	if (calls && (err = undo_calls(j, n, f, worker, place)))
		report_fail(rep, err, "process %d: memory advice could not be put back, a helper not be reaped, or a device not be started again: %s",
			    f->pid, strerror(-err));
	for (size_t i = n; i > 0; i--) {
		struct undo_entry *e = &j->entries[i - 1];
		int err2 = 0;
		if (e->kind == UNDO_CHILD && keep_children)
			keep = e;
		else if (e->kind == UNDO_CHILD)
			undo_child(e);
		else if (e->kind == UNDO_BYTES)
			err2 = put_bytes(rep, f, e);
		else if (e->kind == UNDO_TCP)
			err2 = undo_tcp(rep, e);
		err = err ? err : err2;
	}
	if (keep) {
		j->entries[0] = *keep;
		kept = 1;
	}
	atomic_store(&j->n, kept);
	return err;
}

static bool anybody_in_stub(const struct frozen *f, uint64_t stub)
{
	vec_each(&f->threads, t)
		if (stub && t->regs.rip >= stub && t->regs.rip < stub + INJECT_STUB_ROOM)
			return true;
	return false;
}

int undo_connections(struct undo_journal *j, struct reporter *rep)
{
	int err = 0;

	for (size_t i = 0; i < atomic_load(&j->n); i++) {
		int err2 = j->entries[i].kind == UNDO_TCP ? undo_tcp(rep, &j->entries[i]) : 0;
		err = err ? err : err2;
	}
	return err;
}

/* The process that a SIGSTOP of ours has stopped or will stop; 0 = none. */
static pid_t held_back(const struct undo_journal *j)
{
	for (size_t i = 0; i < atomic_load(&j->n); i++)
		if (j->entries[i].kind == UNDO_STOP)
			return j->entries[i].pid;
	return 0;
}

static int recover_process(struct undo_journal *j, struct reporter *rep)
{
	struct frozen f;
	pid_t pid = 0;

	for (size_t i = 0; i < atomic_load(&j->n); i++) {
		if (j->entries[i].kind == UNDO_CHILD)
			kill(j->entries[i].pid, SIGKILL);
		else if (!pid)
			pid = j->entries[i].pid;
	}
	if (!pid) {
		atomic_store(&j->n, 0);
		return 0;
	}
	/* The thread that was in a batch goes home by itself once its calls are done: wait for it. */
	for (int i = 0; i < 500; i++) {
		struct timespec nap = { 0, 10000000 };
		int err = freeze_process(rep, pid, 2000, &f);
		if (err)
			return err;
		if (!anybody_in_stub(&f, undo_stub(j))) {
			err = undo_run(j, rep, &f, NULL, NULL, false);
			int err2 = freeze_thaw(&f);
			return err ? err : err2;
		}
		freeze_thaw(&f);
		nanosleep(&nap, NULL);
	}
	return report_fail(rep, -ETIMEDOUT, "process %d: a thread did not come back from an injected call", pid);
}

int undo_recover(struct undo_journal *j, struct reporter *rep)
{
	pid_t stopped = held_back(j);
	int err = undo_connections(j, rep), err2 = recover_process(j, rep);

	if (stopped)
		kill(stopped, SIGCONT);
	return err ? err : err2;
}
