// SPDX-License-Identifier: LGPL-2.1-or-later
/* Threads of a restart: made with their old ids, then given, each by calls of its own, what the kernel keeps per thread.
 *
 * Order within a thread: scheduling (needs privilege), robust list, tid address, alternate stack, rseq (the kernel writes
 * into restored memory from then on), no_new_privs and filters while privileged (the filters sleep as long as we trace),
 * credentials, parent-death signal (credentials clear it), pending signals, FPU; registers and mask at the release.
 * Tests: credentials-are-kept, rseq-stays-registered, signals-pending-keep-value-and-order. */
#include <errno.h>
#include <linux/capability.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/securebits.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "kernel.h"
#include "proc/status.h"
#include "restore/threads.h"

#define THREAD_FLAGS (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)

int threads_create(struct restore *r, struct newborn *nb)
{
	for_each_of(r, threads, rec, nb->rec->index) {
		struct batch_place place = nb->place;
		struct tracee t;
		int32_t tid = rec->tid;
		if (rec->tid == nb->rec->pid)
			continue;
		/* clone3 reads the wanted tid through a pointer: it lies behind the area that the batch itself uses. */
		uint64_t tid_at = place.area + place.size - 64;
		place.size -= 64;
		struct clone_args args = { .flags = THREAD_FLAGS, .set_tid = tid_at, .set_tid_size = 1 };
		int err = inject_write(nb->pid, tid_at, &tid, sizeof(tid));
		if (!err)
			err = batch_clone(&nb->threads.items[0], &place, SYS_clone3, 0, &args, sizeof(args), &t);
		if (!err) {
			t.ns_tgid = nb->rec->pid;
			t.regs.orig_rax = (unsigned long)-1;
			err = vec_push(&nb->threads, t);
		}
		if (err)
			return report_fail(r->rep, err, "restart: thread %d cannot be made: %s%s", tid, strerror(-err),
					   err == -EAGAIN ? "; raise the limit of processes (ulimit -u)" : "");
	}
	return 0;
}

/* ---- credentials ---- */

static bool same_credentials(const struct proc_status *now, const struct rec_thread *rec)
{
	return !memcmp(now->uid, rec->uid, sizeof(rec->uid)) && !memcmp(now->gid, rec->gid, sizeof(rec->gid)) &&
	       now->n_groups * sizeof(uint32_t) == rec->groups.size &&
	       (!rec->groups.size || !memcmp(now->groups, rec->groups.data, rec->groups.size));
}

static void add_capabilities(struct batch *b, const struct proc_status *now, const struct rec_thread *rec)
{
	struct __user_cap_header_struct hdr = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	for (unsigned cap = 0; cap < 64; cap++)
		if (now->capbnd & ~rec->cap_bnd & 1ul << cap)
			batch_call(b, SYS_prctl, 0, PR_CAPBSET_DROP, cap);
	batch_call(b, SYS_prctl, 0, PR_SET_SECUREBITS, rec->securebits);
	for (int i = 0; i < 2; i++) {
		data[i].effective = (uint32_t)(rec->cap_eff >> 32 * i);
		data[i].permitted = (uint32_t)(rec->cap_prm >> 32 * i);
		data[i].inheritable = (uint32_t)(rec->cap_inh >> 32 * i);
	}
	batch_call(b, SYS_capset, 0, batch_put(b, &hdr, sizeof(hdr)), batch_put(b, data, sizeof(data)));
	for (unsigned cap = 0; cap < 64; cap++)
		if (rec->cap_amb & 1ul << cap)
			batch_call(b, SYS_prctl, INJECT_MAY_FAIL, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap);
}

static void add_credentials(struct restore *r, struct batch *b, const struct proc_status *now, const struct rec_thread *rec)
{
	if (!same_credentials(now, rec)) {
		batch_call(b, SYS_prctl, 0, PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP | SECBIT_KEEP_CAPS);
		if (!r->user_ns) /* setgroups is denied in an unprivileged one: the groups stay those of the caller */
			batch_call(b, SYS_setgroups, 0, rec->groups.size / sizeof(uint32_t), batch_put(b, rec->groups.data, rec->groups.size));
		batch_call(b, SYS_setresgid, 0, rec->gid[0], rec->gid[1], rec->gid[2]);
		batch_call(b, SYS_setresuid, 0, rec->uid[0], rec->uid[1], rec->uid[2]);
		batch_call(b, SYS_setfsgid, INJECT_MAY_FAIL, rec->gid[3]);
		batch_call(b, SYS_setfsuid, INJECT_MAY_FAIL, rec->uid[3]);
	}
	add_capabilities(b, now, rec);
}

/* ---- attributes ---- */

static void add_scheduling(struct batch *b, const struct rec_thread *rec)
{
	struct sched_attributes attr = { .size = 48, .policy = rec->policy & ~(uint32_t)SCHED_RESET_ON_FORK, .nice = rec->nice,
					 .priority = (uint32_t)rec->priority, .flags = rec->policy & SCHED_RESET_ON_FORK ? 1 : 0 };

	batch_call(b, SYS_prctl, 0, PR_SET_NAME, batch_put(b, rec->comm, strlen(rec->comm) + 1));
	if (rec->affinity.size)
		batch_call(b, SYS_sched_setaffinity, INJECT_MAY_FAIL, 0, rec->affinity.size, batch_put(b, rec->affinity.data, rec->affinity.size));
	batch_call(b, SYS_setpriority, INJECT_MAY_FAIL, 0 /* PRIO_PROCESS */, 0, (uint64_t)rec->nice);
	batch_call(b, SYS_sched_setattr, INJECT_MAY_FAIL, 0, batch_put(b, &attr, sizeof(attr)), 0);
	if (rec->ioprio > 0)
		batch_call(b, SYS_ioprio_set, INJECT_MAY_FAIL, 1, 0, (uint64_t)rec->ioprio);
	if (rec->mce_kill == PR_MCE_KILL_EARLY || rec->mce_kill == PR_MCE_KILL_LATE)
		batch_call(b, SYS_prctl, INJECT_MAY_FAIL, PR_MCE_KILL, PR_MCE_KILL_SET, (uint64_t)rec->mce_kill, 0, 0);
	if (rec->tsc == PR_TSC_SIGSEGV)
		batch_call(b, SYS_prctl, INJECT_MAY_FAIL, PR_SET_TSC, PR_TSC_SIGSEGV);
	if (rec->timer_slack_ns)
		batch_call(b, SYS_prctl, INJECT_MAY_FAIL, PR_SET_TIMERSLACK, rec->timer_slack_ns);
}

static void add_kernel_pointers(struct batch *b, const struct rec_thread *rec)
{
	stack_t stack = { .ss_sp = (void *)rec->altstack_sp, .ss_size = rec->altstack_size, .ss_flags = rec->altstack_flags & ~SS_ONSTACK };

	batch_call(b, SYS_set_robust_list, 0, rec->robust_list, 24);
	batch_call(b, SYS_set_tid_address, 0, rec->clear_child_tid);
	batch_call(b, SYS_sigaltstack, 0, batch_put(b, &stack, sizeof(stack)), 0);
	if (rec->rseq_ptr)
		batch_call(b, SYS_rseq, 0, rec->rseq_ptr, rec->rseq_size, 0, rec->rseq_sig);
}

static void add_filters(struct restore *r, struct batch *b, const struct rec_thread *rec)
{
	if (rec->no_new_privs)
		batch_call(b, SYS_prctl, 0, PR_SET_NO_NEW_PRIVS, 1);
	for_each_of(r, filters, f, rec->process) {
		struct {
			uint16_t len;
			uint64_t filter;
		} prog = { .len = (uint16_t)(f->filter.size / 8) };
		if (f->tid != rec->tid)
			continue;
		prog.filter = batch_put(b, f->filter.data, f->filter.size);
		batch_call(b, SYS_seccomp, 0, 1 /* SECCOMP_SET_MODE_FILTER */, f->flags & ~1ul /* no TSYNC */, batch_put(b, &prog, sizeof(prog)));
	}
}

void threads_add_pending(struct batch *b, const struct img_bytes *queue, uint32_t nr, pid_t pid, pid_t tid)
{
	const siginfo_t *info = queue->data;

	for (size_t i = 0; i < queue->size / sizeof(*info); i++) {
		uint64_t at = batch_put(b, &info[i], sizeof(*info));
		if (nr == SYS_rt_sigqueueinfo)
			batch_call(b, nr, INJECT_MAY_FAIL, (uint64_t)pid, (uint64_t)info[i].si_signo, at);
		else
			batch_call(b, nr, INJECT_MAY_FAIL, (uint64_t)pid, (uint64_t)tid, (uint64_t)info[i].si_signo, at);
	}
}

/* A signal to announce with that is not among those which wait. */
int threads_tell_signal(const struct restore *r, const struct rec_thread *rec)
{
	static const int candidates[] = { SIGURG, SIGWINCH, SIGCHLD, SIGCONT };
	const struct img_bytes *queues[] = { &rec->pending, &r->processes.items[0].pending };

	for (size_t c = 0; c < ARRAY_SIZE(candidates); c++) {
		bool taken = false;
		for (size_t q = 0; q < 2; q++)
			for (size_t i = 0; i < queues[q]->size / sizeof(siginfo_t); i++)
				taken = taken || ((const siginfo_t *)queues[q]->data)[i].si_signo == candidates[c];
		if (!taken)
			return candidates[c];
	}
	return SIGURG;
}

static int thread_xstate(struct restore *r, struct tracee *t, const struct rec_thread *rec)
{
	AUTO_FREE uint8_t *now = NULL;
	uint64_t features, have;
	size_t size;
	int err = tracee_get_xstate(t->tid, (void **)&now, &size);

	if (err)
		return report_fail(r->rep, err, "restart: FPU state of thread %d cannot be read: %s", rec->tid, strerror(-err));
	memcpy(&features, (const uint8_t *)rec->xstate.data + 512, sizeof(features));
	memcpy(&have, now + 464, sizeof(have));
	if (features & ~have || (rec->xstate.size > size && features >> 2))
		return report_fail(r->rep, -ENOTSUP, "restart: thread %d uses FPU state (%#lx) that this processor lacks", rec->tid, features & ~have);
	memset(now, 0, size);
	memcpy(now, rec->xstate.data, rec->xstate.size < size ? rec->xstate.size : size);
	memset(now + 520, 0, 576 - 520); /* xcomp_bv and the reserved words must be zero in the standard format */
	if ((err = tracee_set_xstate(t->tid, now, size)))
		return report_fail(r->rep, err, "restart: FPU state of thread %d is refused: %s", rec->tid, strerror(-err));
	return 0;
}

static int thread_status(struct restore *r, pid_t tid, struct proc_status *ret)
{
	AUTO_FREE char *text = NULL;
	size_t size;
	int err = io_read_filef(&text, &size, "/proc/%d/status", tid);

	if (err || (err = proc_status_parse(text, size, ret)))
		return report_fail(r->rep, err, "restart: status of thread %d cannot be read: %s", tid, strerror(-err));
	return 0;
}

static int thread_restore(struct restore *r, struct newborn *nb, struct tracee *t, const struct rec_thread *rec)
{
	struct batch_place place = nb->place;
	struct proc_status now;
	struct batch b;
	uint64_t zero = 0;

	if (rec->seccomp == 2 && tracee_add_options(t, PTRACE_O_SUSPEND_SECCOMP))
		return report_fail(r->rep, -EPERM, "restart: seccomp filters need CAP_SYS_ADMIN to be restored; run as root");
	if (rec->rseq_ptr && inject_write(nb->pid, rec->rseq_ptr + RSEQ_CS_OFFSET, &zero, sizeof(zero))) /* no critical section: see collect */
		return report_fail(r->rep, -EFAULT, "restart: rseq area of thread %d is not there", rec->tid);
	int err = thread_status(r, t->tid, &now);
	if (err)
		return err;
	place.tell = threads_tell_signal(r, rec);
	if ((err = batch_begin(&b, t, &place, 1024))) {
		proc_status_finish(&now);
		return err;
	}
	add_scheduling(&b, rec);
	add_kernel_pointers(&b, rec);
	add_filters(r, &b, rec);
	add_credentials(r, &b, &now, rec);
	batch_call(&b, SYS_prctl, 0, PR_SET_PDEATHSIG, (uint64_t)rec->pdeathsig);
	threads_add_pending(&b, &rec->pending, SYS_rt_tgsigqueueinfo, nb->rec->pid, rec->tid);
	if ((err = batch_run(&b))) {
		const struct inject_call *c = (const struct inject_call *)b.copy + b.done;
		report_fail(r->rep, err, "restart: thread %d: system call %u (%#lx, %#lx) failed: %s", rec->tid, b.done < b.n_calls ? c->nr : 0,
			    b.done < b.n_calls ? c->args[0] : 0, b.done < b.n_calls ? c->args[1] : 0, strerror(-err));
	}
	batch_finish(&b);
	proc_status_finish(&now);
	return err ? err : thread_xstate(r, t, rec);
}

int threads_restore(struct restore *r, struct newborn *nb)
{
	size_t i = 1;

	for_each_of(r, threads, rec, nb->rec->index) {
		struct tracee *t = rec->tid == nb->rec->pid ? &nb->threads.items[0] : &nb->threads.items[i++];
		int err = thread_restore(r, nb, t, rec);
		if (err)
			return err;
	}
	return 0;
}
