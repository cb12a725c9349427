// SPDX-License-Identifier: LGPL-2.1-or-later
/* What belongs to a process as a whole: the kernel's notes on its memory layout, limits, signal actions, timers. */
#include <errno.h>
#include <linux/prctl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

#include "base/io.h"
#include "restore/threads.h"

#ifndef PR_TIMER_CREATE_RESTORE_IDS
#define PR_TIMER_CREATE_RESTORE_IDS 77
#endif

static int attributes_fail(struct restore *r, const struct batch *b, int err, const char *what)
{
	const struct inject_call *c = (const struct inject_call *)b->copy + b->done;

	return report_fail(r->rep, err, "restart: %s: system call %u (%#lx, %#lx) failed: %s", what, b->done < b->n_calls ? c->nr : 0,
			   b->done < b->n_calls ? c->args[0] : 0, b->done < b->n_calls ? c->args[1] : 0, strerror(-err));
}

/* PR_SET_MM_MAP; the executable may be changed only once the old one is not mapped any more, which is the case by now. */
static void add_layout(struct restore *r, struct newborn *nb, struct batch *b)
{
	const struct rec_process *p = nb->rec;
	int exe = p->exe_backing ? fd_plan_backing(r->files, p->index, p->exe_backing, false) : r->exe_fd;
	struct prctl_mm_map map = {
		.start_code = p->start_code, .end_code = p->end_code, .start_data = p->start_data, .end_data = p->end_data,
		.start_brk = p->start_brk, .brk = p->brk, .start_stack = p->start_stack, .arg_start = p->arg_start, .arg_end = p->arg_end,
		.env_start = p->env_start, .env_end = p->env_end, .auxv_size = (uint32_t)p->auxv.size, .exe_fd = (uint32_t)exe,
	};
	if (exe < 0)
		report_warn(r->rep, "%s: its executable file is gone, so /proc/PID/exe will name stasis", p->exe);
	map.auxv = p->auxv.size ? (void *)batch_put(b, p->auxv.data, p->auxv.size) : NULL;
	batch_call(b, SYS_prctl, 0, PR_SET_MM, PR_SET_MM_MAP, batch_put(b, &map, sizeof(map)), sizeof(map), 0);
}

static void add_flags(struct newborn *nb, struct batch *b)
{
	const struct rec_process *p = nb->rec;

	batch_call(b, SYS_personality, 0, p->personality);
	/* Yama's "descendants only" would keep the next checkpoint away; the old setting cannot be read. */
	batch_call(b, SYS_prctl, INJECT_MAY_FAIL, PR_SET_PTRACER, PR_SET_PTRACER_ANY);
	if (p->thp_disable)
		batch_call(b, SYS_prctl, INJECT_MAY_FAIL, PR_SET_THP_DISABLE, 1, 0, 0, 0);
	batch_call(b, SYS_prctl, 0, PR_SET_CHILD_SUBREAPER, p->subreaper);
	for (int bit = 0; bit < 31; bit++)
		if (p->membarrier & 1u << bit)
			batch_call(b, SYS_membarrier, INJECT_MAY_FAIL, 1ul << bit, 0, 0);
}

static void add_signals(struct newborn *nb, struct batch *b)
{
	const struct kernel_sigaction *actions = nb->rec->sigactions.data;

	for (int sig = 1; sig <= 64; sig++)
		if (sig != SIGKILL && sig != SIGSTOP)
			batch_call(b, SYS_rt_sigaction, 0, (uint64_t)sig, batch_put(b, &actions[sig - 1], sizeof(actions[0])), 0, 8);
}

/* An interval timer that has just expired is started again by the delivery of its signal (dequeue_signal in kernel/signal.c). Until
 * then it shows no time left; set like that it would be disarmed. */
static void add_itimers(struct newborn *nb, struct batch *b)
{
	const struct itimerval *timers = nb->rec->itimers.data;

	for (uint64_t i = 0; i < 3; i++) {
		struct itimerval timer = timers[i];
		if (!timer.it_value.tv_sec && !timer.it_value.tv_usec)
			timer.it_value = timer.it_interval;
		batch_call(b, SYS_setitimer, 0, i, batch_put(b, &timer, sizeof(timer)), 0);
	}
}

/* Timers get their old ids through PR_TIMER_CREATE_RESTORE_IDS (6.15), else by making and deleting up to the id. */
static int restore_timer(struct restore *r, struct newborn *nb, const struct rec_timer *rec)
{
	struct itimerspec spec = {
		.it_value = { rec->remaining_ns / 1000000000, rec->remaining_ns % 1000000000 },
		.it_interval = { rec->interval_ns / 1000000000, rec->interval_ns % 1000000000 },
	};
	struct sigevent ev = { .sigev_signo = rec->signal, .sigev_notify = rec->notify, .sigev_value.sival_ptr = (void *)rec->value };
	struct batch b;
	int32_t id = rec->id;
	int err = batch_begin(&b, &nb->threads.items[0], &nb->place, 8);

	if (err)
		return err;
	ev._sigev_un._tid = rec->target;
	uint64_t id_at = batch_put(&b, &id, sizeof(id)), ev_at = batch_put(&b, &ev, sizeof(ev));
	struct inject_call *ids = batch_call(&b, SYS_prctl, INJECT_MAY_FAIL, PR_TIMER_CREATE_RESTORE_IDS, 1);
	batch_call(&b, SYS_timer_create, 0, (uint64_t)rec->clockid, ev_at, id_at);
	batch_call(&b, SYS_prctl, INJECT_MAY_FAIL, PR_TIMER_CREATE_RESTORE_IDS, 0);
	err = batch_run(&b);
	int32_t got = *(int32_t *)batch_at(&b, id_at);
	for (int tries = 0; !err && ids->result < 0 && got != rec->id && tries < 100000; tries++) {
		batch_reset(&b);
		id_at = batch_put(&b, &id, sizeof(id));
		ev_at = batch_put(&b, &ev, sizeof(ev));
		batch_call(&b, SYS_timer_delete, 0, (uint64_t)got);
		batch_call(&b, SYS_timer_create, 0, (uint64_t)rec->clockid, ev_at, id_at);
		err = batch_run(&b);
		got = *(int32_t *)batch_at(&b, id_at);
	}
	if (!err && got != rec->id)
		err = -EBUSY;
	if (!err) {
		batch_reset(&b);
		batch_call(&b, SYS_timer_settime, 0, (uint64_t)rec->id, 0, batch_put(&b, &spec, sizeof(spec)), 0);
		err = batch_run(&b);
	}
	batch_finish(&b);
	return err ? report_fail(r->rep, err, "restart: POSIX timer %d cannot be made: %s", rec->id, strerror(-err)) : 0;
}

/* From outside, by us: limits can be lowered at will, raised only with CAP_SYS_RESOURCE on the host. */
static void set_limits(struct restore *r, struct newborn *nb)
{
	const struct rlimit *limits = nb->rec->rlimits.data;

	for (int i = 0; i < RLIM_NLIMITS; i++) {
		struct rlimit now, want = limits[i];
		if (prlimit(nb->pid, i, NULL, &now) < 0 || (now.rlim_cur == want.rlim_cur && now.rlim_max == want.rlim_max))
			continue;
		if (prlimit(nb->pid, i, &want, NULL) == 0)
			continue;
		want.rlim_max = want.rlim_max < now.rlim_max ? want.rlim_max : now.rlim_max;
		want.rlim_cur = want.rlim_cur < want.rlim_max ? want.rlim_cur : want.rlim_max;
		prlimit(nb->pid, i, &want, NULL);
		report_warn(r->rep, "resource limit %d is %lu here instead of %lu: raising it needs CAP_SYS_RESOURCE", i, want.rlim_max,
			    limits[i].rlim_max);
	}
}

static void set_proc_files(struct restore *r, struct newborn *nb)
{
	char text[32];
	char *now;

	snprintf(text, sizeof(text), "%#x", nb->rec->coredump_filter);
	io_write_textf(text, "/proc/%d/coredump_filter", nb->pid);
	if (io_read_filef(&now, NULL, "/proc/%d/oom_score_adj", nb->pid))
		return;
	snprintf(text, sizeof(text), "%d", nb->rec->oom_score_adj);
	if (atoi(now) != nb->rec->oom_score_adj && io_write_textf(text, "/proc/%d/oom_score_adj", nb->pid))
		report_warn(r->rep, "oom_score_adj stays %d instead of %d: lowering it needs CAP_SYS_RESOURCE", atoi(now), nb->rec->oom_score_adj);
	free(now);
}

int attributes_restore(struct restore *r, struct newborn *nb)
{
	struct batch b;
	int err = batch_begin(&b, &nb->threads.items[0], &nb->place, 512);

	if (err)
		return err;
	add_layout(r, nb, &b);
	add_flags(nb, &b);
	add_signals(nb, &b);
	add_itimers(nb, &b);
	if ((err = batch_run(&b)))
		attributes_fail(r, &b, err, "attributes of the process");
	batch_finish(&b);
	for_each_of(r, timers, rec, nb->rec->index)
		if (!err)
			err = restore_timer(r, nb, rec);
	if (!err) {
		set_limits(r, nb);
		set_proc_files(r, nb);
	}
	return err;
}
