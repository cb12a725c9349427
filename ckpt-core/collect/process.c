// SPDX-License-Identifier: LGPL-2.1-or-later
/* Attributes of a process as a whole. What /proc tells comes from there; the rest (signal actions, timers, program break) is asked
 * for by one batch of calls inside the frozen process. */
#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/timens.h"
#include "collect/collect.h"
#include "collect/signals.h"
#include "proc/limits.h"
#include "proc/stat.h"
#include "proc/status.h"
#include "proc/timers.h"

#ifndef MEMBARRIER_CMD_GET_REGISTRATIONS
#define MEMBARRIER_CMD_GET_REGISTRATIONS (1 << 9)
#endif

static int process_fail(struct collect *c, int err, const char *what)
{
	return report_fail(c->rep, err, "process %d: %s cannot be read: %s", c->proc.pid, what, strerror(-err));
}

static unsigned long read_number(pid_t pid, const char *file, int base)
{
	AUTO_FREE char *text = NULL;

	return io_read_filef(&text, NULL, "/proc/%d/%s", pid, file) ? 0 : strtoul(text, NULL, base);
}

/* Arguments with NULs turned into blanks, for people. */
static char *read_cmdline(pid_t pid)
{
	char *text = NULL;
	size_t size;

	if (io_read_filef(&text, &size, "/proc/%d/cmdline", pid))
		return NULL;
	for (size_t i = 0; i + 1 < size; i++)
		if (!text[i])
			text[i] = ' ';
	return text;
}

static int process_from_stat(struct collect *c)
{
	struct rec_process *p = &c->process;
	AUTO_FREE char *text = NULL;
	struct proc_stat st;
	size_t size;
	int err = io_read_filef(&text, &size, "/proc/%d/stat", c->proc.pid);

	if (err || (err = proc_stat_parse(text, size, &st)))
		return process_fail(c, err, "its stat");
	if (!(p->comm = strdup(st.comm)))
		return -ENOMEM;
	p->group_leader = st.pgrp == c->proc.pid;
	p->session_leader = st.session == c->proc.pid;
	p->has_tty = st.tty_nr != 0;
	p->start_code = st.start_code;
	p->end_code = st.end_code;
	p->start_data = st.start_data;
	p->end_data = st.end_data;
	p->start_brk = st.start_brk;
	p->start_stack = st.start_stack;
	p->arg_start = st.arg_start;
	p->arg_end = st.arg_end;
	p->env_start = st.env_start;
	p->env_end = st.env_end;
	return 0;
}

static int process_from_status(struct collect *c)
{
	struct rec_process *p = &c->process;
	AUTO_FREE char *text = NULL;
	struct proc_status st;
	size_t size;
	int err = io_read_filef(&text, &size, "/proc/%d/status", c->proc.pid);

	if (err || (err = proc_status_parse(text, size, &st)))
		return process_fail(c, err, "its status");
	p->pid = c->frozen->ns_pid;
	p->pgid = st.nspgid.n ? st.nspgid.id[st.nspgid.n - 1] : 0;
	p->sid = st.nssid.n ? st.nssid.id[st.nssid.n - 1] : 0;
	p->umask = st.umask;
	p->thp_disable = !st.thp_enabled;
	proc_status_finish(&st);
	return 0;
}

/* From /proc: prlimit(2) wants the same uid or CAP_SYS_RESOURCE. */
static int process_limits(struct collect *c)
{
	AUTO_FREE char *text = NULL;
	struct proc_limits limits;
	size_t size;
	int err = io_read_filef(&text, &size, "/proc/%d/limits", c->proc.pid);

	if (err || (err = proc_limits_parse(text, size, &limits)))
		return process_fail(c, err, "its resource limits");
	if (!(c->process.rlimits.data = malloc(sizeof(limits.limit))))
		return -ENOMEM;
	memcpy(c->process.rlimits.data, limits.limit, sizeof(limits.limit));
	c->process.rlimits.size = sizeof(limits.limit);
	return 0;
}

static int process_from_proc(struct collect *c)
{
	struct rec_process *p = &c->process;
	pid_t pid = c->proc.pid;
	int err;

	p->index = p->parent = c->proc.index;
	if ((err = process_from_stat(c)) || (err = process_from_status(c)))
		return err;
	if ((err = io_readlinkf(&p->exe, "/proc/%d/exe", pid)) || (err = io_readlinkf(&p->cwd, "/proc/%d/cwd", pid)) ||
	    (err = io_readlinkf(&p->root, "/proc/%d/root", pid)))
		return process_fail(c, err, "its exe, cwd and root links");
	p->cmdline = read_cmdline(pid);
	p->personality = (uint32_t)read_number(pid, "personality", 16);
	p->oom_score_adj = (int32_t)(long)read_number(pid, "oom_score_adj", 10);
	p->coredump_filter = (uint32_t)read_number(pid, "coredump_filter", 16);
	char *auxv = NULL;
	if ((err = io_read_filef(&auxv, &p->auxv.size, "/proc/%d/auxv", pid)))
		return process_fail(c, err, "its auxiliary vector");
	p->auxv.data = auxv;
	vec_each(&c->mappings, v)
		if (v->kind == VMA_FILE && !strcmp(v->name, p->exe))
			p->exe_backing = v->backing;
	if ((err = process_limits(c)))
		return err;
	struct timens_clocks clocks = timens_now(pid);
	p->monotonic_ns = clocks.monotonic_ns;
	p->boottime_ns = clocks.boottime_ns;
	return 0;
}

/* A copy of an injected call's result. */
static int take_bytes(struct batch *b, uint64_t addr, size_t size, struct img_bytes *ret)
{
	if (!(ret->data = malloc(size)))
		return -ENOMEM;
	memcpy(ret->data, batch_at(b, addr), size);
	ret->size = size;
	return 0;
}

/* Which protection keys are allocated shows in how a change of pages fails that no process has: EINVAL with a key that is not (nor the one
 * that the kernel took for memory that can only be executed), ENOMEM else (do_mprotect_pkey() in mm/mprotect.c). */
#define NO_PAGE 0xffffffff00000000ul

static int collect_pkeys(struct collect *c)
{
	struct inject_call *calls[MAPPING_PKEYS];
	struct batch b;
	int err = batch_begin(&b, c->worker, &c->place, MAPPING_PKEYS);

	if (err)
		return report_fail(c->rep, err, "process %d: no room for injected calls", c->proc.pid);
	for (uint64_t key = 1; key < MAPPING_PKEYS; key++)
		calls[key] = batch_call(&b, SYS_pkey_mprotect, INJECT_MAY_FAIL, NO_PAGE, IMG_PAGE_SIZE, PROT_NONE, key);
	if ((err = batch_run(&b)))
		report_fail(c->rep, err, "process %d: an injected call failed: %s", c->proc.pid, strerror(-err));
	c->process.pkeys = 1;
	for (uint32_t key = 1; key < MAPPING_PKEYS && !err; key++)
		if (calls[key]->result == -ENOMEM)
			c->process.pkeys |= 1u << key;
	batch_finish(&b);
	return err;
}

static int process_by_injection(struct collect *c)
{
	struct rec_process *p = &c->process;
	struct batch b;
	int err = batch_begin(&b, c->worker, &c->place, 80);

	if (err)
		return report_fail(c->rep, err, "process %d: no room for injected calls", c->proc.pid);
	uint64_t actions = batch_reserve(&b, 64 * sizeof(struct kernel_sigaction));
	for (int sig = 1; sig <= 64; sig++)
		batch_call(&b, SYS_rt_sigaction, sig == SIGKILL || sig == SIGSTOP ? INJECT_MAY_FAIL : 0, (uint64_t)sig, 0,
			   actions + (uint64_t)(sig - 1) * sizeof(struct kernel_sigaction), 8);
	uint64_t itimers = batch_reserve(&b, 3 * sizeof(struct itimerval));
	for (uint64_t i = 0; i < 3; i++)
		batch_call(&b, SYS_getitimer, 0, i, itimers + i * sizeof(struct itimerval));
	struct inject_call *brk = batch_call(&b, SYS_brk, 0, 0);
	struct inject_call *dumpable = batch_call(&b, SYS_prctl, 0, PR_GET_DUMPABLE);
	uint64_t subreaper = batch_reserve(&b, sizeof(int));
	batch_call(&b, SYS_prctl, INJECT_MAY_FAIL, PR_GET_CHILD_SUBREAPER, subreaper);
	struct inject_call *membarrier = batch_call(&b, SYS_membarrier, INJECT_MAY_FAIL, MEMBARRIER_CMD_GET_REGISTRATIONS);
	err = batch_run(&b);
	if (err) {
		report_fail(c->rep, err, "process %d: an injected call failed: %s", c->proc.pid, strerror(-err));
	} else if (!(err = take_bytes(&b, actions, 64 * sizeof(struct kernel_sigaction), &p->sigactions)) &&
		   !(err = take_bytes(&b, itimers, 3 * sizeof(struct itimerval), &p->itimers))) {
		p->brk = (uint64_t)brk->result;
		p->dumpable = (int32_t)dumpable->result;
		p->subreaper = *(int *)batch_at(&b, subreaper);
		p->membarrier = membarrier->result > 0 ? (uint32_t)membarrier->result : 0;
	}
	batch_finish(&b);
	return err;
}

static int timer_target(struct collect *c, const struct proc_timer *pt, int32_t *ret_tid)
{
	struct tracee *t = freeze_thread(c->frozen, pt->target);

	*ret_tid = t ? t->ns_tid : 0;
	if (!t && pt->notify & SIGEV_THREAD_ID)
		return report_fail(c->rep, -ENOTSUP, "process %d: timer %d signals thread %d, which is not there", c->proc.pid, pt->id, pt->target);
	return 0;
}

static int collect_timers(struct collect *c)
{
	AUTO_FREE char *text = NULL;
	AUTO_FREE struct proc_timer *timers = NULL;
	size_t size, n = 0;
	struct batch b;

	if (io_read_filef(&text, &size, "/proc/%d/timers", c->proc.pid) || !size)
		return 0;
	int err = proc_timers_parse(text, size, &timers, &n);
	if (err)
		return process_fail(c, err, "its timers");
	for (size_t i = 0; i < n && !err; i++) {
		struct rec_timer rec = { .process = c->proc.index, .id = timers[i].id, .signal = timers[i].signal, .notify = timers[i].notify,
					 .clockid = timers[i].clockid, .value = timers[i].value };
		if ((err = timer_target(c, &timers[i], &rec.target)) || (err = batch_begin(&b, c->worker, &c->place, 2)))
			break;
		uint64_t spec = batch_reserve(&b, sizeof(struct itimerspec));
		batch_call(&b, SYS_timer_gettime, 0, (uint64_t)timers[i].id, spec);
		struct inject_call *overrun = batch_call(&b, SYS_timer_getoverrun, 0, (uint64_t)timers[i].id);
		if ((err = batch_run(&b))) {
			report_fail(c->rep, err, "process %d: timer %d cannot be read: %s", c->proc.pid, timers[i].id, strerror(-err));
		} else {
			const struct itimerspec *its = batch_at(&b, spec);
			rec.remaining_ns = its->it_value.tv_sec * 1000000000ll + its->it_value.tv_nsec;
			rec.interval_ns = its->it_interval.tv_sec * 1000000000ll + its->it_interval.tv_nsec;
			rec.overrun = (int32_t)overrun->result;
			err = vec_push(&c->timers, rec);
		}
		batch_finish(&b);
	}
	return err;
}

/* Pending signals are read after the timers, or one that goes off in between would be in neither; what has gone off since its
 * time was read is in both, and rings only once: a one-shot timer whose signal waits is over. */
static int process_signals(struct collect *c)
{
	struct rec_process *p = &c->process;
	int err = collect_signals(c->rep, c->proc.pid, true, &p->pending);
	struct itimerval *real = p->itimers.data;
	const siginfo_t *info = p->pending.data;

	for (size_t i = 0; !err && i < p->pending.size / sizeof(*info); i++) {
		if (info[i].si_signo == SIGALRM && info[i].si_code == SI_KERNEL && !timerisset(&real->it_interval))
			timerclear(&real->it_value);
		vec_each(&c->timers, t)
			if (info[i].si_code == SI_TIMER && info[i].si_timerid == t->id && !t->interval_ns)
				t->remaining_ns = 0;
	}
	return err;
}

/* A deleted executable: nobody else keeps its contents once this host or process is gone. */
static int process_exe(struct collect *c)
{
	struct stat st;
	char path[40];

	if (c->process.exe_backing)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/exe", c->proc.pid);
	if (stat(path, &st) < 0)
		return process_fail(c, -errno, "its executable");
	c->process.exe_size = (uint64_t)st.st_size;
	c->process.exe_space = COLLECT_EXE_SPACE + c->proc.index;
	return 0;
}

int collect_process(struct collect *c)
{
	int err = process_from_proc(c);

	if (!err)
		err = process_exe(c);

	if (!err)
		err = process_by_injection(c);
	if (!err)
		err = collect_pkeys(c);
	if (!err)
		err = collect_timers(c);
	if (!err)
		err = process_signals(c);
	c->process.stopped = c->frozen->threads.items[0].group_stop;
	return err;
}

int collect_save(struct collect *c, struct img_writer *w)
{
	int err = img_writer_record(w, &rec_process_schema, &c->process);

	for (size_t i = 0; i < c->threads.n && !err; i++)
		err = img_writer_record(w, &rec_thread_schema, &c->threads.items[i]);
	for (size_t i = 0; i < c->filters.n && !err; i++)
		err = img_writer_record(w, &rec_seccomp_schema, &c->filters.items[i]);
	for (size_t i = 0; i < c->timers.n && !err; i++)
		err = img_writer_record(w, &rec_timer_schema, &c->timers.items[i]);
	for (size_t i = 0; i < c->mappings.n && !err; i++)
		err = img_writer_record(w, &rec_vma_schema, &c->mappings.items[i]);
	return err;
}
