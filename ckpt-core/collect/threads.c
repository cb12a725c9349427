// SPDX-License-Identifier: LGPL-2.1-or-later
/* Threads: registers, signals, what the kernel keeps for each of them (inventory section A). */
#include <errno.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "collect/collect.h"
#include "collect/signals.h"
#include "inject/plant.h"
#include "inject/resume.h"
#include "kernel.h"
#include "proc/status.h"

static int thread_fail(struct collect *c, pid_t tid, int err, const char *what)
{
	return report_fail(c->rep, err, "process %d: thread %d: %s cannot be read: %s", c->proc.pid, tid, what, strerror(-err));
}

/* A thread stopped within a restartable sequence goes on at its abort handler, as after any preemption. */
static void thread_rseq(struct collect *c, const struct tracee *t, struct rec_thread *rec, struct user_regs_struct *regs)
{
	struct rseq_configuration conf = { 0 };
	struct rseq_section cs;
	uint64_t cs_ptr = 0;

	(void)c;
	if (ptrace(PTRACE_GET_RSEQ_CONFIGURATION, t->tid, (void *)sizeof(conf), &conf) < 0 || !conf.pointer)
		return;
	rec->rseq_ptr = conf.pointer;
	rec->rseq_size = conf.size;
	rec->rseq_sig = conf.signature;
	if (inject_read(t->tid, conf.pointer + RSEQ_CS_OFFSET, &cs_ptr, sizeof(cs_ptr)) || !cs_ptr || inject_read(t->tid, cs_ptr, &cs, sizeof(cs)))
		return;
	if (regs->rip - cs.start_ip < cs.post_commit_offset)
		regs->rip = cs.abort_ip;
}

static int thread_registers(struct collect *c, const struct tracee *t, struct rec_thread *rec)
{
	struct user_regs_struct regs = t->regs;
	uint8_t code[64];
	bool restart = false;
	int err = tracee_get_xstate(t->tid, &rec->xstate.data, &rec->xstate.size);

	if (err)
		return thread_fail(c, t->tid, err, "its FPU state");
	bool handler = signals_handler_due(&rec->pending, &c->process.pending, t->sigmask, &c->process.sigactions, &restart);
	size_t n_code = inject_read(t->tid, regs.rip - sizeof(code), code, sizeof(code)) ? 0 : sizeof(code);
	resume_regs(&regs, handler, restart, code, n_code);
	thread_rseq(c, t, rec, &regs);
	if (!(rec->regs.data = malloc(sizeof(regs))))
		return -ENOMEM;
	memcpy(rec->regs.data, &regs, sizeof(regs));
	rec->regs.size = sizeof(regs);
	return 0;
}

static int thread_scheduling(struct collect *c, pid_t tid, struct rec_thread *rec)
{
	struct sched_attributes attr = { .size = sizeof(attr) };
	uint8_t cpus[1024] = { 0 };

	if (syscall(SYS_sched_getattr, tid, &attr, sizeof(attr), 0) < 0)
		return thread_fail(c, tid, -errno, "its scheduling policy");
	rec->policy = attr.policy | (attr.flags & 1 /* SCHED_FLAG_RESET_ON_FORK */ ? SCHED_RESET_ON_FORK : 0);
	errno = 0;
	rec->nice = getpriority(PRIO_PROCESS, (id_t)tid); /* sched_getattr does not tell it for SCHED_IDLE and real-time policies */
	if (rec->nice == -1 && errno)
		return thread_fail(c, tid, -errno, "its nice value");
	rec->priority = (int32_t)attr.priority;
	long n = syscall(SYS_sched_getaffinity, tid, sizeof(cpus), cpus);
	if (n < 0)
		return thread_fail(c, tid, -errno, "its CPU affinity");
	if (!(rec->affinity.data = malloc((size_t)n)))
		return -ENOMEM;
	memcpy(rec->affinity.data, cpus, (size_t)n);
	rec->affinity.size = (size_t)n;
	rec->ioprio = (int32_t)syscall(SYS_ioprio_get, 1 /* IOPRIO_WHO_PROCESS */, tid);
	return 0;
}

static int thread_status(struct collect *c, pid_t tid, struct rec_thread *rec)
{
	AUTO_FREE char *text = NULL;
	struct proc_status st;
	size_t size;
	int err = io_read_filef(&text, &size, "/proc/%d/status", tid);

	if (err || (err = proc_status_parse(text, size, &st)))
		return thread_fail(c, tid, err, "its status");
	for (int i = 0; i < 4; i++) {
		rec->uid[i] = st.uid[i];
		rec->gid[i] = st.gid[i];
	}
	rec->cap_inh = st.capinh;
	rec->cap_prm = st.capprm;
	rec->cap_eff = st.capeff;
	rec->cap_bnd = st.capbnd;
	rec->cap_amb = st.capamb;
	rec->no_new_privs = st.nonewprivs;
	rec->seccomp = st.seccomp;
	rec->groups.data = STEAL_PTR(st.groups);
	rec->groups.size = st.n_groups * sizeof(uint32_t);
	proc_status_finish(&st);
	if (!rec->groups.size) {
		free(rec->groups.data);
		rec->groups.data = NULL;
	}
	AUTO_FREE char *comm = NULL;
	if ((err = io_read_filef(&comm, &size, "/proc/%d/task/%d/comm", c->proc.pid, tid)))
		return thread_fail(c, tid, err, "its name");
	if (size && comm[size - 1] == '\n') /* the kernel's; one within the name is its own */
		comm[size - 1] = '\0';
	rec->comm = STEAL_PTR(comm);
	void *head;
	size_t len;
	if (syscall(SYS_get_robust_list, tid, &head, &len) < 0)
		return thread_fail(c, tid, -errno, "its robust list");
	rec->robust_list = (uint64_t)head;
	return 0;
}

static int thread_by_injection(struct collect *c, struct tracee *t, struct rec_thread *rec)
{
	struct batch_place place;
	struct batch b;

	/* A thread without a usable stack borrows the worker's scratch memory: everybody is stopped. */
	if (plant_area(c->frozen, t, c->vmas, c->n_vmas, 16384, c->place.stub, &place))
		place = c->place;
	int err = batch_begin(&b, t, &place, 9);
	if (err)
		return report_fail(c->rep, err, "process %d: thread %d: no room for injected calls", c->proc.pid, t->tid);
	uint64_t ss = batch_reserve(&b, sizeof(stack_t)), tidaddr = batch_reserve(&b, 8), death = batch_reserve(&b, 4);
	batch_call(&b, SYS_sigaltstack, 0, 0, ss);
	batch_call(&b, SYS_prctl, INJECT_MAY_FAIL, PR_GET_TID_ADDRESS, tidaddr);
	batch_call(&b, SYS_prctl, 0, PR_GET_PDEATHSIG, death);
	/* /proc/TID/timerslack_ns needs CAP_SYS_NICE for any thread but one's own. */
	struct inject_call *slack = batch_call(&b, SYS_prctl, 0, PR_GET_TIMERSLACK);
	struct inject_call *mce = batch_call(&b, SYS_prctl, 0, PR_MCE_KILL_GET, 0, 0, 0, 0);
	uint64_t tsc = batch_reserve(&b, 4);
	batch_call(&b, SYS_prctl, INJECT_MAY_FAIL, PR_GET_TSC, tsc);
	struct inject_call *secure = batch_call(&b, SYS_prctl, 0, PR_GET_SECUREBITS);
	if ((err = batch_run(&b))) {
		report_fail(c->rep, err, "process %d: thread %d: an injected call failed: %s", c->proc.pid, t->tid, strerror(-err));
	} else {
		const stack_t *stack = batch_at(&b, ss);
		rec->altstack_sp = (uint64_t)stack->ss_sp;
		rec->altstack_size = stack->ss_size;
		rec->altstack_flags = stack->ss_flags;
		rec->clear_child_tid = *(uint64_t *)batch_at(&b, tidaddr);
		rec->pdeathsig = *(int32_t *)batch_at(&b, death);
		rec->securebits = (uint32_t)secure->result;
		rec->timer_slack_ns = (uint64_t)slack->result;
		rec->mce_kill = (int32_t)mce->result;
		rec->tsc = *(int32_t *)batch_at(&b, tsc);
	}
	batch_finish(&b);
	return err;
}

/* The filters of a thread, through ptrace; the kernel numbers them from the newest, the image wants the oldest first. */
static int thread_filters(struct collect *c, const struct tracee *t, struct rec_thread *rec)
{
	size_t first = c->filters.n;

	for (long i = 0; rec->seccomp == 2; i++) {
		long n = ptrace(PTRACE_SECCOMP_GET_FILTER, t->tid, (void *)i, NULL);
		if (n < 0 && errno == ENOENT)
			break;
		if (n < 0)
			return thread_fail(c, t->tid, -errno, "its seccomp filter");
		struct rec_seccomp rs = { .process = c->proc.index, .tid = t->ns_tid };
		struct { /* struct seccomp_metadata */
			uint64_t filter_off, flags;
		} meta = { .filter_off = (uint64_t)i };
		rs.filter.size = (size_t)n * 8; /* struct sock_filter */
		if (!(rs.filter.data = malloc(rs.filter.size)))
			return -ENOMEM;
		if (ptrace(PTRACE_SECCOMP_GET_FILTER, t->tid, (void *)i, rs.filter.data) < 0 || vec_push(&c->filters, rs)) {
			free(rs.filter.data);
			return thread_fail(c, t->tid, -errno, "its seccomp filter");
		}
		if (ptrace(PTRACE_SECCOMP_GET_METADATA, t->tid, (void *)sizeof(meta), &meta) >= 0)
			c->filters.items[c->filters.n - 1].flags = meta.flags;
	}
	for (size_t a = first, z = c->filters.n; a + 1 < z; a++, z--) {
		struct rec_seccomp swap = c->filters.items[a];
		c->filters.items[a] = c->filters.items[z - 1];
		c->filters.items[z - 1] = swap;
	}
	return 0;
}

int collect_threads(struct collect *c)
{
	vec_each(&c->frozen->threads, t) {
		struct rec_thread zero = { .process = c->proc.index, .tid = t->ns_tid, .sigmask = t->sigmask };
		int err = vec_push(&c->threads, zero);
		if (err)
			return err;
		struct rec_thread *rec = &c->threads.items[c->threads.n - 1];
		if ((err = collect_signals(c->rep, t->tid, false, &rec->pending)) || (err = thread_status(c, t->tid, rec)) ||
		    (err = thread_scheduling(c, t->tid, rec)) || (err = thread_registers(c, t, rec)) ||
		    (err = thread_by_injection(c, t, rec)) || (err = thread_filters(c, t, rec)))
			return err;
	}
	return 0;
}
