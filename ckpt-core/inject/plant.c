// SPDX-License-Identifier: LGPL-2.1-or-later
/* Room for the stub and its data in a living target. */
#include "plant.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "proc/status.h"

#define RED_ZONE 128
#define AREA_MIN 12288

static bool all_zero(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i])
			return false;
	return true;
}

static bool anybody_at(const struct frozen *f, uint64_t start, uint64_t end)
{
	vec_each(&f->threads, t)
		if (t->regs.rip >= start && t->regs.rip < end)
			return true;
	return false;
}

int plant_stub(struct reporter *rep, struct frozen *f, const struct proc_vma *vmas, size_t n_vmas, struct undo_journal *journal,
	       uint64_t *ret_stub)
{
	uint8_t room[INJECT_STUB_ROOM], code[INJECT_STUB_ROOM] = { 0 };
	size_t size;
	const void *stub = inject_stub_code(&size);

	memcpy(code, stub, size);
	for (size_t i = 0; i < n_vmas; i++) {
		const struct proc_vma *v = &vmas[i];
		uint64_t at = v->end - INJECT_STUB_ROOM;
		if (!(v->prot & PROT_EXEC) || v->shared || proc_vma_is_vdso(v) || !strcmp(v->name, "[vsyscall]"))
			continue;
		if (inject_read(f->pid, at, room, sizeof(room)) || anybody_at(f, at, v->end))
			continue;
		if (!memcmp(room, code, sizeof(room))) /* left by a checkpoint both of whose processes were killed */
			memset(room, 0, sizeof(room));
		if (!all_zero(room, sizeof(room)))
			continue;
		int err = undo_note_bytes(journal, f->pid, at, room, sizeof(room));
		if (!err)
			err = inject_write(f->pid, at, code, sizeof(code));
		if (err)
			return report_fail(rep, err, "process %d: its program text at %#lx cannot be written: %s", f->pid, at, strerror(-err));
		*ret_stub = at;
		return 0;
	}
	return report_fail(rep, -ENOSPC, "process %d: no padding of %d bytes behind any of its program text to work from", f->pid,
			   INJECT_STUB_ROOM);
}

/* A signal that the target neither handles nor has pending, of those that are ignored by default. */
static int tell_signal(pid_t tid)
{
	static const int candidates[] = { SIGURG, SIGWINCH, SIGCHLD };
	AUTO_FREE char *text = NULL;
	struct proc_status st;
	size_t size;
	int sig = SIGURG;

	if (io_read_filef(&text, &size, "/proc/%d/status", tid) || proc_status_parse(text, size, &st))
		return sig;
	for (size_t i = 0; i < ARRAY_SIZE(candidates); i++) {
		if (!((st.sigcgt | st.sigpnd | st.shdpnd) & 1ul << (candidates[i] - 1))) {
			sig = candidates[i];
			break;
		}
	}
	proc_status_finish(&st);
	return sig;
}

int plant_area(const struct frozen *f, const struct tracee *t, const struct proc_vma *vmas, size_t n_vmas, size_t max, uint64_t stub,
	       struct batch_place *ret)
{
	uint64_t sp = t->regs.rsp - RED_ZONE;

	(void)f;
	for (size_t i = 0; i < n_vmas; i++) {
		const struct proc_vma *v = &vmas[i];
		if (sp < v->start || sp > v->end)
			continue;
		if ((v->prot & (PROT_READ | PROT_WRITE)) != (PROT_READ | PROT_WRITE))
			return -ENOSPC;
		uint64_t top = sp & ~63ul;
		uint64_t low = top - v->start > max ? top - max : v->start;
		/* A stack that has not grown enough yet grows when it is written to. */
		bool grows = v->vm_flags & PROC_VMA_GD || !strcmp(v->name, "[stack]");
		if (grows && top - low < AREA_MIN)
			low = top - AREA_MIN;
		low = (low + 63) & ~63ul;
		if (top < low || top - low < AREA_MIN)
			return -ENOSPC;
		*ret = (struct batch_place){ .stub = stub, .area = low, .size = top - low, .keep = true,
					     .home = BATCH_HOME_RETURN, .tell = tell_signal(t->tid) };
		return 0;
	}
	return -ENOSPC;
}

struct tracee *plant_worker(struct frozen *f, const struct proc_vma *vmas, size_t n_vmas, size_t max, uint64_t stub, struct batch_place *ret)
{
	struct tracee *second = NULL;

	vec_each(&f->threads, t) {
		if (plant_area(f, t, vmas, n_vmas, max, stub, ret))
			continue;
		/* -516: on its way home such a call would begin its time anew; take another thread where there is one. */
		if ((long)t->regs.rax != -516 || (long)t->regs.orig_rax < 0)
			return t;
		second = second ? second : t;
	}
	if (second)
		plant_area(f, second, vmas, n_vmas, max, stub, ret);
	return second;
}
