// SPDX-License-Identifier: LGPL-2.1-or-later
/* The checkpoint: its phases, and the two processes of ours that make it safe to kill either.
 *
 * Theory of operation. The caller's process (the front) forks the controller, which traces the target and does all the work. If the
 * front is killed, the controller sees the end of a pipe, cancels and rolls back. If the controller is killed, the kernel lets
 * the target run on (see batch.h), and the front puts back what the journal says was changed. If both are killed at once the
 * target still runs on; at worst some bytes of ours stay in the padding behind its text.
 * Test: killed-controller-leaves-target-running. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/timens.h"
#include "busy.h"
#include "collect/collect.h"
#include "fd/fd.h"
#include "host.h"
#include "inject/freeze.h"
#include "inject/plant.h"
#include "inject/snapshot.h"
#include "inject/undo.h"
#include "job.h"
#include "lazy/find.h"
#include "plugin/session.h"
#include "recorder/find.h"
#include "track/precopy.h"
#include "track/shared.h"
#include "track/track.h"
#include "track/watch.h"

#define FREEZE_TIMEOUT_MS 10000
#define AREA_MAX 65536

struct checkpoint_shared { /* between front and controller */
	int cancel;
	bool finished;
	struct stasis_checkpoint_result result;
	char error[2048];
};

/* What survey() finds. */
struct found {
	struct fd_capture *files;
	struct collect collect;
	struct collect before;     /* what it was in the survey before this one; empty in the first */
	struct plugin_set plugins; /* open */
	bool watched;              /* see struct collect; if that is known */
};

static void found_finish(struct found *f)
{
	plugin_set_close(&f->plugins);
	collect_finish(&f->collect);
	collect_finish(&f->before);
	fd_capture_destroy(f->files);
}

struct checkpoint {
	struct stasis_job *job;
	struct reporter *rep;
	const struct stasis_checkpoint_options *opt;
	struct checkpoint_shared *shared;
	struct undo_journal *journal;
	pid_t pid;
	int pidfd;
	struct frozen frozen;
	bool is_frozen;
	bool held_back;     /* SIGSTOP is pending for the target */
	struct findings findings;
	struct found found;
	bool is_found;      /* `found` is to be finished */
	uint64_t root;      /* of the recorder, while the gate is closed */
	struct rec_host host;
	struct img_reader *parent; /* of an incremental image; the writer compares with it */
	struct track track;
	struct precopy precopy;
	struct shared shared_memory;
	cpu_set_t left; /* processors that we keep off while the target runs */
	struct img_writer *writer;
	pid_t child; /* the snapshot; 0 = read from the stopped target */
	bool look_anew;     /* at all mappings while the target is stopped, and at shared memory */
	bool changed;       /* some of it was changed just before that: nothing is wrong, but this one is of no use */
	uint64_t begin_us, freeze_us;
};

/* fd_capture_options.hold */
static int note_held(void *ctx, pid_t pid, int fd, uint64_t ino, int reuse)
{
	return undo_note_tcp(ctx, pid, fd, ino, reuse);
}

/* Everything that can be known of a process, running or (`frozen` not NULL) stopped: descriptors, mappings, what plugins say. On
 * failure there is nothing to finish. Sessions of plugins that are open in `f` go on. `f` must not move. */
static int survey(struct stasis_job *job, pid_t pid, int pidfd, const struct stasis_checkpoint_options *opt, struct frozen *frozen,
		  struct undo_journal *journal, struct shared *shared, struct found *f, struct findings *findings)
{
	struct fd_process proc = { .pid = pid, .pidfd = pidfd };
	struct fd_capture_options fo = { .frozen = frozen != NULL, .disk = opt ? opt->disk : STASIS_DISK_AUTO, .first_space = COLLECT_FILE_SPACE,
					 .tcp = opt ? opt->tcp : STASIS_TCP_AUTO, .hold = note_held, .ctx = journal, .image_path = opt ? opt->image : NULL,
					 .compared = opt && opt->parent, .claims = job->claims, .n_claims = job->n_claims,
					 .copied = shared ? shared_copied : NULL, .copied_ctx = shared,
					 .plugins = job->plugins, .n_plugins = job->n_plugins };
	int err = fd_capture_create(&job->rep, &fo, &f->files);

	if (err)
		return err;
	collect_init(&f->collect, &job->rep, &proc);
	f->collect.watched = f->watched;
	f->collect.before = f->before.vmas ? &f->before : NULL;
	f->collect.plugins = &f->plugins;
	f->plugins = (struct plugin_set){ .rep = &job->rep, .pid = pid, .findings = findings, .frozen = frozen, .files = f->files,
					  .last = opt && opt->stop, .sessions = f->plugins.sessions };
	if ((err = fd_capture_process(f->files, &proc)) || (err = plugin_set_open(&f->plugins, job->plugins, job->n_plugins)) ||
	    (err = collect_mappings(&f->collect, f->files, findings)) ||
	    (err = plugin_set_recorder(&f->plugins, f->collect.vmas, f->collect.n_vmas)) || (err = plugin_set_check(&f->plugins)) ||
	    (err = fd_capture_check(f->files, findings)))
		found_finish(f);
	return err;
}

static int open_pidfd(struct reporter *rep, pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	return fd >= 0 ? fd : report_fail(rep, -errno, "process %d: %s", pid, errno == ESRCH ? "no such process" : strerror(errno));
}

int stasis_check(struct stasis_job *job, pid_t pid, const struct stasis_checkpoint_options *options, struct findings *ret)
{
	struct found found = { 0 };
	int err = collect_obstacles(&job->rep, pid, ret);

	if (err)
		return err;
	AUTO_CLOSE int pidfd = open_pidfd(&job->rep, pid);
	if (pidfd < 0)
		return pidfd;
	if ((err = survey(job, pid, pidfd, options, NULL, NULL, NULL, &found, ret)))
		return err;
	found_finish(&found);
	return 0;
}

/* ---- phases, in order; each may fail, unwind() then takes everything back ---- */

static int phase_check(struct checkpoint *cp)
{
	struct img_writer_options wo = { .codec = cp->opt->codec, .level = cp->opt->level, .overwrite = cp->opt->overwrite };
	struct img_open_options po = { .parent_dir = cp->opt->parent_dir };
	int err = collect_obstacles(cp->rep, cp->pid, &cp->findings);

	if (err || (err = lazy_finish(cp->rep, cp->pid)))
		return err;
	if (!cp->opt->stop)
		busy_leave(cp->pid, &cp->left);
	if ((cp->pidfd = open_pidfd(cp->rep, cp->pid)) < 0)
		return cp->pidfd;
	if (cp->opt->track != STASIS_TRACK_OFF)
		track_begin(&cp->track, cp->rep, cp->pid, cp->pidfd, !cp->opt->stop && (cp->opt->parent || cp->opt->track == STASIS_TRACK_ON));
	cp->found.watched = cp->track.had_keeper || cp->track.armed;
	if ((err = survey(cp->job, cp->pid, cp->pidfd, cp->opt, NULL, NULL, NULL, &cp->found, &cp->findings)))
		return err;
	cp->is_found = true;
	if ((err = findings_refuse(&cp->findings, cp->rep, -EOPNOTSUPP)))
		return err;
	findings_finish(&cp->findings);
	if (cp->opt->parent && (err = img_reader_open_with(cp->rep, cp->opt->parent, &po, &cp->parent)))
		return err;
	wo.parent = cp->parent;
	return img_writer_create(cp->rep, cp->opt->image, &wo, &cp->writer);
}

/* Looks at everything anew, but for the plugins' sessions, which go on, and with `adopt` what takes long and changes seldom. */
static int survey_again(struct checkpoint *cp, struct frozen *frozen, bool adopt)
{
	struct found *f = &cp->found;

	collect_finish(&f->before);
	if (adopt)
		f->before = f->collect;
	else
		collect_finish(&f->collect);
	f->collect = (struct collect){ 0 };
	fd_capture_destroy(f->files);
	cp->is_found = false;
	int err = survey(cp->job, cp->pid, cp->pidfd, cp->opt, frozen, cp->journal, &cp->shared_memory, f, &cp->findings);
	cp->is_found = !err;
	return err;
}

static unsigned freeze_timeout(const struct checkpoint *cp)
{
	return cp->opt->freeze_timeout_ms ? cp->opt->freeze_timeout_ms : FREEZE_TIMEOUT_MS;
}

static int gate_open(struct checkpoint *cp)
{
	if (!cp->root)
		return 0;
	int err = recorder_gate_open(cp->pid, cp->root);
	undo_forget(cp->journal);
	cp->root = 0;
	return err ? report_fail(cp->rep, err, "process %d: the gate of its recorder cannot be opened: %s", cp->pid, strerror(-err)) : 0;
}

/* Who comes to the gate from now on waits there, for the length of our patience at most, should we be killed. */
static int gate_close(struct checkpoint *cp, unsigned timeout_ms)
{
	const uint32_t open = 0;

	if (cp->root || !cp->found.plugins.root_addr)
		return 0;
	cp->root = cp->found.plugins.root_addr;
	int err = undo_note_bytes(cp->journal, cp->pid, cp->root + offsetof(struct recorder_root, closed), &open, sizeof(open));
	if (!err)
		err = recorder_gate_close(cp->pid, cp->root, timeout_ms);
	return err ? report_fail(cp->rep, err, "process %d: the gate of its recorder cannot be closed: %s", cp->pid, strerror(-err)) : 0;
}

/* Stops the target at a moment at which its hardware can be described. Mostly the first one will do: a virtual CPU is hardly ever
 * between an exit and its completion. Else the gate brings it to such a moment (recorder/root.h).
 * Tests: kvm-checkpoints-at-random-moments, kvm-vcpu-that-never-comes-to-the-gate. */
static int phase_freeze(struct checkpoint *cp)
{
	unsigned timeout = freeze_timeout(cp);
	struct timespec nap = { .tv_nsec = 500000 };
	const char *what = "";

	cp->freeze_us = timens_stopwatch_us();
	for (;;) {
		int err = freeze_process(cp->rep, cp->pid, timeout, &cp->frozen);
		if (err)
			return err;
		cp->is_frozen = true;
		cp->found.plugins.frozen = &cp->frozen;
		err = plugin_set_ready(&cp->found.plugins, &what);
		cp->found.plugins.frozen = NULL;
		if (err != -EAGAIN)
			return err ? err : gate_open(cp);
		report_debug(cp->rep, "not ready: %s", what);
		if (timens_stopwatch_us() - cp->freeze_us > timeout * 1000ull)
			return report_fail(cp->rep, -ETIMEDOUT, "process %d: %s within %u ms; try again, or give it longer with --timeout", cp->pid,
					   what, timeout);
		if (report_cancelled(cp->rep))
			return -ECANCELED;
		if ((err = gate_close(cp, timeout)) || (err = report_fault(cp->rep, "checkpoint.gate")))
			return err;
		freeze_thaw(&cp->frozen);
		cp->is_frozen = false;
		nanosleep(&nap, NULL);
		if (nap.tv_nsec < 20000000)
			nap.tv_nsec *= 2;
	}
}

/* Puts the stub into the stopped target and chooses the thread that makes calls with it. */
static int settle(struct checkpoint *cp, const struct proc_vma *vmas, size_t n, struct tracee **ret_worker, struct batch_place *ret_place)
{
	uint64_t stub;
	int err = plant_stub(cp->rep, &cp->frozen, vmas, n, cp->journal, &stub);

	if (!err && !(*ret_worker = plant_worker(&cp->frozen, vmas, n, AREA_MAX, stub, ret_place)))
		err = report_fail(cp->rep, -ENOSPC, "process %d: none of its threads has room on its stack to work from", cp->pid);
	return err;
}

static int thaw(struct checkpoint *cp, struct tracee *worker, const struct batch_place *place)
{
	int err = undo_run(cp->journal, cp->rep, &cp->frozen, worker, place, true);
	int err2 = freeze_thaw(&cp->frozen);
	uint64_t us = timens_stopwatch_us() - cp->freeze_us;

	cp->is_frozen = false;
	if (cp->shared->result.pause_us < us)
		cp->shared->result.pause_us = us;
	return err ? err : err2;
}

/* A short stop, for the target to make what its memory is watched with. Returns that or a negative errno. */
static int precopy_open(struct checkpoint *cp)
{
	struct tracee *worker = NULL;
	struct batch_place place;
	struct proc_vma *vmas = NULL;
	size_t n = 0;

	cp->freeze_us = timens_stopwatch_us();
	int err = freeze_process(cp->rep, cp->pid, freeze_timeout(cp), &cp->frozen), uffd = -1;
	if (err)
		return err;
	cp->is_frozen = true;
	if (!(err = collect_read_maps(cp->pid, &vmas, &n)) && !(err = settle(cp, vmas, n, &worker, &place)) &&
	    (uffd = watch_open(worker, &place, cp->journal)) < 0)
		err = uffd;
	proc_maps_free(vmas, n);
	int err2 = thaw(cp, worker, &place);
	if ((err = err ? err : err2) && uffd >= 0)
		close(uffd);
	return err ? err : uffd;
}

static int precopy_arm(struct checkpoint *cp)
{
	int uffd = track_take(&cp->track);

	if (uffd < 0 && cp->shared_memory.uffd >= 0) /* to make another one takes a fork, which would be seen as the target's own */
		uffd = fcntl(cp->shared_memory.uffd, F_DUPFD_CLOEXEC, 0);
	if (uffd < 0 && (uffd = precopy_open(cp)) < 0)
		return uffd;
	cp->found.watched = true;
	return precopy_begin(&cp->precopy, uffd, !cp->track.arm, freeze_timeout(cp));
}

/* What of the private memory can be copied before the target is stopped. Whatever speaks against that is no failure, unless it was asked
 * for. Returns 1 when it has copied. */
static int copy_private(struct checkpoint *cp)
{
	const bool must = cp->opt->snapshot == STASIS_SNAPSHOT_PRECOPY;

	/* What is known since the parent would be lost, and the pages that it spares are more than these. */
	if (cp->opt->stop || !(must || cp->opt->snapshot == STASIS_SNAPSHOT_AUTO) || (cp->parent && cp->track.had_keeper) || cp->look_anew)
		return 0;
	int64_t size = precopy_choose(&cp->precopy, &cp->found.collect, must);
	int err = size < 0 ? (int)size : size > 0 ? watch_try() : 0;
	img_writer_pace(cp->writer, cp->opt->bwlimit);
	if (size > 0 && !err && !(err = precopy_arm(cp)))
		err = precopy_run(&cp->precopy, cp->writer, collect_pages_estimate(&cp->found.collect));
	img_writer_hurry(cp->writer);
	if (!err)
		return size > 0;
	if (err == -ECANCELED || err == -ESRCH || cp->rep->first_error)
		return err;
	int err2 = precopy_settle(&cp->precopy, cp->writer);
	precopy_finish(&cp->precopy);
	if (err2)
		return err2;
	if (must)
		return report_fail(cp->rep, err, "process %d: its memory cannot be copied while it runs: %s", cp->pid,
				   err == -ENOMEM ? "there is not as much memory free as it has; free some, or use --snapshot=fork" :
				   err == -EAGAIN ? "it writes faster than that; use --snapshot=fork" :
				   err == -EINVAL || err == -ENOSYS || err == -EPERM ?
						    "the kernel does not note what is written to (that takes Linux 6.7, and userfaultfd); use "
						    "--snapshot=fork" :
						    strerror(-err));
	report_debug(cp->rep, "precopy: given up: %s", strerror(-err));
	return 0;
}

/* Likewise of the shared memory, which no picture is made of. */
static int copy_shared(struct checkpoint *cp)
{
	if (cp->opt->stop || cp->opt->snapshot == STASIS_SNAPSHOT_STOP || cp->look_anew)
		return 0;
	int err = shared_choose(&cp->shared_memory, cp->found.files, &cp->found.collect, cp->opt->snapshot == STASIS_SNAPSHOT_PRECOPY);
	if (err <= 0)
		return err;
	if ((err = watch_try()) || (err = precopy_open(cp)) < 0) {
		report_debug(cp->rep, "shared memory: it cannot be watched: %s", strerror(-err));
		shared_finish(&cp->shared_memory);
		return cp->rep->first_error ? err : 0;
	}
	cp->found.watched = true;
	return shared_run(&cp->shared_memory, err, freeze_timeout(cp));
}

static int phase_precopy(struct checkpoint *cp)
{
	uint64_t bytes;
	int err = copy_shared(cp), copied = err ? 0 : copy_private(cp);

	if (err || copied < 0)
		return err ? err : copied;
	if (copied && (err = shared_round(&cp->shared_memory, &bytes)))
		return err;
	if (copied || cp->shared_memory.files.n) { /* that has taken a while, and what has changed meanwhile takes long to read */
		err = survey_again(cp, NULL, true);
		findings_finish(&cp->findings); /* what it is like when it is stopped is what counts */
	}
	return err;
}

static int phase_collect(struct checkpoint *cp)
{
	struct collect *c = &cp->found.collect;

	if (cp->shared_memory.files.n)
		shared_stopped(&cp->shared_memory);
	if (plugin_set_is_empty(&cp->found.plugins)) /* whose hardware may still write to its memory */
		precopy_pause_begin(&cp->precopy, &cp->left);
	int err = survey_again(cp, &cp->frozen, !cp->opt->stop && !cp->look_anew && cp->opt->snapshot != STASIS_SNAPSHOT_STOP);

	if (err || (err = collect_children(cp->pid, &cp->findings)) || (err = findings_refuse(&cp->findings, cp->rep, -EOPNOTSUPP)))
		return err;
	c->frozen = &cp->frozen;
	for (size_t i = 0; i < c->n_vmas && !err; i++)
		if (proc_vma_is_vdso(&c->vmas[i]))
			err = freeze_leave(cp->rep, &cp->frozen, c->vmas[i].start, c->vmas[i].end);
	if (err || (err = settle(cp, c->vmas, c->n_vmas, &c->worker, &c->place)) || (err = snapshot_sweep(c->worker, &c->place)) ||
	    (err = collect_process(c)) || (err = collect_threads(c)) || (err = host_capture(&cp->host)))
		return err;
	if (cp->opt->name && !(cp->host.name = strdup(cp->opt->name)))
		return -ENOMEM;
	return collect_vdso(c, &cp->host);
}

/* Mappings that a fork treats in another way than it should: it is to hand on those that it would not, but not those that were copied. */
static int snapshot_ranges(const struct collect *c, const struct precopy *precopy, struct snapshot_range **ret, size_t *ret_n)
{
	VEC(struct snapshot_range) ranges = { 0 };

	for (size_t i = 0; i < c->mappings.n; i++) {
		const struct rec_vma *v = &c->mappings.items[i];
		const bool copied = precopy_find(precopy, v->start, v->end), left_out = v->vm_flags & PROC_VMA_DC;
		struct snapshot_range r = { .start = v->start, .end = v->end, .dontfork = left_out && !copied,
					    .wipeonfork = v->vm_flags & PROC_VMA_WF && !copied, .leave_out = copied && !left_out };
		if (v->kind != VMA_VDSO && !v->shared && (r.dontfork || r.wipeonfork || r.leave_out) && vec_push(&ranges, r)) {
			vec_finish(&ranges);
			return -ENOMEM;
		}
	}
	*ret = ranges.items;
	*ret_n = ranges.n;
	return 0;
}

/* The last round. The watch then serves the next checkpoint, if one is to be made from this one. */
static int precopy_last(struct checkpoint *cp)
{
	struct ranges marked = { 0 };
	int err = precopy_pause(&cp->precopy, &cp->found.collect), uffd = -1;

	if (!err && cp->track.arm && (uffd = precopy_give(&cp->precopy, &marked)) >= 0)
		track_adopt(&cp->track, uffd, &marked);
	return err;
}

/* First all that works on without the target's threads is brought to rest; the undo list starts it again. Then contents of files: they
 * are read while nobody writes them. Then the picture of the memory; with --stop the target itself. Tests: rest-ends-whatever-happens,
 * vhost-checkpoint-faults. */
static int phase_snapshot(struct checkpoint *cp)
{
	AUTO_FREE struct snapshot_range *ranges = NULL;
	size_t n = 0;
	struct collect *c = &cp->found.collect;
	struct plugin_set *plugins = &cp->found.plugins;
	int err;

	plugins->worker = c->worker;
	plugins->place = c->place;
	plugins->writer = cp->writer;
	plugins->journal = cp->journal;
	cp->shared_memory.now = c;
	if ((err = plugin_set_rest(plugins)) || (err = img_writer_record(cp->writer, &rec_host_schema, &cp->host)) ||
	    (err = collect_save(c, cp->writer)) || (err = collect_exe(c, cp->writer)) || (err = fd_capture_save(cp->found.files, cp->writer)) ||
	    (err = plugin_set_save(plugins)) ||
	    (err = precopy_last(cp)) ||
	    (err = track_pause(&cp->track, c, cp->parent ? img_reader_content_id(cp->parent) : NULL, cp->journal)))
		return err;
	if (cp->opt->stop || cp->opt->snapshot == STASIS_SNAPSHOT_STOP)
		return undo_bytes(cp->journal, cp->rep, &cp->frozen);
	if ((err = snapshot_ranges(c, &cp->precopy, &ranges, &n)))
		return err;
	const bool must = cp->opt->snapshot == STASIS_SNAPSHOT_FORK || cp->opt->snapshot == STASIS_SNAPSHOT_PRECOPY;
	if (!(err = report_fault(cp->rep, "snapshot.fork")))
		err = snapshot_fork(c->worker, &c->place, ranges, n, cp->journal, &cp->child);
	if (!err)
		return 0;
	if (must || cp->child || (err != -ENOMEM && err != -EAGAIN))
		return report_fail(cp->rep, err, "process %d: no copy-on-write picture of it could be made: %s%s", cp->pid, strerror(-err),
				   err == -ENOMEM  ? "; free some memory, or use --snapshot=stop" :
				   err == -EAGAIN ? "; raise its process limit (ulimit -u), or use --snapshot=stop" :
						    "");
	report_warn(cp->rep, "process %d: no copy-on-write picture of it could be made (%s): it stands still until the image is written", cp->pid,
		    strerror(-err));
	return undo_bytes(cp->journal, cp->rep, &cp->frozen);
}

static int phase_thaw(struct checkpoint *cp)
{
	return cp->child ? thaw(cp, cp->found.collect.worker, &cp->found.collect.place) : 0;
}

/* While connections are in repair mode the target, which could not use them, must not run should we be killed: then a SIGSTOP takes over
 * from ptrace, until the front has put the connections right. A target that is stopped by job control stays so by itself. Test:
 * tcp-connections-faults. */
static int hold_back(struct checkpoint *cp)
{
	if (cp->held_back || cp->frozen.threads.items[0].group_stop)
		return 0;
	int err = undo_note_stop(cp->journal, cp->pid);
	if (!err && kill(cp->pid, SIGSTOP))
		err = -errno;
	cp->held_back = !err;
	return err ? report_fail(cp->rep, err, "process %d: it cannot be held back: %s", cp->pid, strerror(-err)) : 0;
}

static int hold_back_no_more(struct checkpoint *cp)
{
	if (!cp->held_back)
		return 0;
	int err = tracee_drop_stop(&cp->frozen.threads.items[0]);
	if (!err)
		undo_forget_stop(cp->journal);
	cp->held_back = false;
	return err ? report_fail(cp->rep, err, "process %d: a SIGSTOP of ours cannot be taken back: %s", cp->pid, strerror(-err)) : 0;
}

static int save_late(struct checkpoint *cp)
{
	int err = fd_capture_holds(cp->found.files) ? hold_back(cp) : 0;

	if (!err)
		err = fd_capture_save_late(cp->found.files, cp->writer);
	return err ? err : hold_back_no_more(cp);
}

static int phase_write(struct checkpoint *cp)
{
	int err = cp->child ? collect_verify(&cp->found.collect, cp->child, &cp->precopy) : 0;

	if (!err)
		err = shared_verify(&cp->shared_memory);
	shared_finish(&cp->shared_memory);

	if (cp->child || cp->opt->stop)
		img_writer_pace(cp->writer, cp->opt->bwlimit);
	cp->changed = err == -ESTALE;
	if (!err)
		err = collect_pages(&cp->found.collect, cp->child ? cp->child : cp->pid, &cp->precopy, &cp->track, cp->writer);

	if (!err)
		err = save_late(cp);
	return err || cp->child || cp->opt->stop ? err : thaw(cp, cp->found.collect.worker, &cp->found.collect.place);
}

/* Only once the target runs again: by then the journal holds nothing but the child. */
static void end_child(struct checkpoint *cp)
{
	if (cp->child) {
		snapshot_end(cp->child);
		undo_forget(cp->journal);
		cp->child = 0;
	}
}

static int phase_commit(struct checkpoint *cp)
{
	struct stasis_checkpoint_result *res = &cp->shared->result;

	res->snapshot = !cp->child ? STASIS_SNAPSHOT_STOP : precopy_any(&cp->precopy) ? STASIS_SNAPSHOT_PRECOPY : STASIS_SNAPSHOT_FORK;
	end_child(cp);
	int err = img_writer_commit(cp->writer);
	if (err)
		return err;
	img_writer_get_stats(cp->writer, &res->stats);
	res->tracked = cp->track.known;
	precopy_leave(&cp->precopy, cp->pidfd);
	res->tracks = track_keep(&cp->track, img_writer_content_id(cp->writer));
	res->n_processes = 1;
	res->n_threads = (unsigned)cp->found.collect.threads.n;
	res->n_mappings = (unsigned)cp->found.collect.mappings.n;
	res->n_files = fd_capture_count(cp->found.files);
	if (cp->opt->stop) {
		/* Its threads are ours to wait for while we trace them; the leader then goes to its own parent. */
		if (fd_capture_holds(cp->found.files) && !hold_back(cp))
			fd_capture_dying(cp->found.files);
		kill(cp->pid, SIGKILL);
		while (waitpid(-1, NULL, __WALL) > 0 || errno == EINTR)
			;
		undo_forget(cp->journal);
		freeze_finish(&cp->frozen);
		cp->is_frozen = false;
		res->pause_us = timens_stopwatch_us() - cp->freeze_us;
	}
	res->total_us = timens_stopwatch_us() - cp->begin_us;
	return 0;
}

static const struct {
	const char *name;
	int (*run)(struct checkpoint *cp);
} phases[] = {
	{ "check", phase_check },     { "precopy", phase_precopy }, { "freeze", phase_freeze }, { "collect", phase_collect },
	{ "snapshot", phase_snapshot }, { "thaw", phase_thaw },       { "write", phase_write },   { "commit", phase_commit },
};

/* Takes everything back, from whatever phase. While the target is stopped the journal knows all, the snapshot child included. */
static void unwind(struct checkpoint *cp)
{
	img_writer_destroy(cp->writer);
	img_reader_destroy(cp->parent);
	if (!cp->changed)
		track_finish(&cp->track);
	if (cp->is_frozen) {
		undo_connections(cp->journal, cp->rep);
		hold_back_no_more(cp);
		undo_run(cp->journal, cp->rep, &cp->frozen, NULL, NULL, false);
		freeze_thaw(&cp->frozen);
	} else {
		end_child(cp);
	}
	precopy_finish(&cp->precopy);
	shared_finish(&cp->shared_memory);
	gate_open(cp);
	if (cp->is_found)
		found_finish(&cp->found);
	img_schema_clear(&rec_host_schema, &cp->host);
	findings_finish(&cp->findings);
	if (cp->pidfd >= 0)
		close(cp->pidfd);
}

static int run_phases(struct checkpoint *cp)
{
	for (size_t i = 0; i < ARRAY_SIZE(phases); i++) {
		char fault[64];
		snprintf(fault, sizeof(fault), "checkpoint.%s", phases[i].name);
		if (report_cancelled(cp->rep))
			return -ECANCELED;
		report_debug(cp->rep, "phase %s", phases[i].name);
		int err = report_fault(cp->rep, fault);
		if (!err)
			err = phases[i].run(cp);
		if (err)
			return err;
	}
	return 0;
}

/* Cancels when the front is gone: nothing is ever written to the pipe, so reading it ends with the front. */
static void *watch_front(void *arg)
{
	int *const *args = arg;
	char byte;

	while (read(*args[0], &byte, 1) < 0 && errno == EINTR)
		;
	*args[1] = 1;
	return NULL;
}

static int controller(struct checkpoint *cp, int pipe_fd)
{
	int *args[2] = { &pipe_fd, &cp->shared->cancel };
	sigset_t all, old;
	pthread_t watcher;

	setsid(); /* Ctrl-C is for the front, which cancels in good order */
	prctl(PR_SET_NAME, KEEPER_CONTROLLER_NAME);
	cp->begin_us = timens_stopwatch_us();
	cp->rep->cancel = &cp->shared->cancel;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int err = -pthread_create(&watcher, NULL, watch_front, args);
	const struct checkpoint fresh = *cp;
	if (!err)
		err = run_phases(cp);
	unwind(cp);
	if (cp->changed) {
		report_debug(cp->rep, "something was changed just before the target was stopped: once more");
		const struct track track = cp->track; /* goes on */
		*cp = fresh;
		cp->track = track;
		cp->look_anew = true;
		err = run_phases(cp);
		unwind(cp);
	}
	if (err == -ECANCELED && !cp->rep->first_error)
		report_fail(cp->rep, err, "cancelled; the target runs on and no image was made");
	if (cp->rep->first_error)
		snprintf(cp->shared->error, sizeof(cp->shared->error), "%s", cp->rep->first_error);
	cp->shared->finished = true;
	return err;
}

/* Waits for the controller, hands on a cancel, and cleans up after a killed one. */
static int front(struct stasis_job *job, struct checkpoint *cp, pid_t controller_pid)
{
	/* Without a pidfd (too few descriptors) the poll is a mere nap. */
	AUTO_CLOSE int pidfd = (int)syscall(SYS_pidfd_open, controller_pid, 0);
	struct pollfd pfd = { .fd = pidfd, .events = POLLIN };
	int status;

	while (waitpid(controller_pid, &status, __WALL | WNOHANG) == 0) {
		poll(&pfd, 1, 50);
		if (report_cancelled(&job->rep))
			cp->shared->cancel = 1;
	}
	if (WIFEXITED(status) && cp->shared->finished) {
		if (cp->shared->error[0] && !job->rep.first_error)
			job->rep.first_error = strdup(cp->shared->error);
		return -WEXITSTATUS(status);
	}
	int err = undo_recover(cp->journal, &job->rep);
	return report_fail(&job->rep, err ? err : -EINTR, "the checkpoint's controller was killed; the target runs on%s and no image was made",
			   err ? "" : " unchanged");
}

int stasis_checkpoint(struct stasis_job *job, pid_t pid, const struct stasis_checkpoint_options *options,
		      struct stasis_checkpoint_result *ret)
{
	struct checkpoint cp = { .job = job, .rep = &job->rep, .opt = options, .pid = pid, .pidfd = -1, .track = TRACK_INIT, .precopy = PRECOPY_INIT,
				 .shared_memory = SHARED_INIT };
	int fds[2], err;

	if (options->tcp == STASIS_TCP_REPAIR && !options->stop)
		return report_fail(&job->rep, -EINVAL, "connections go on with a target that runs on, so --tcp=repair goes with --stop only");
	cp.journal = undo_create();
	cp.shared = mmap(NULL, sizeof(*cp.shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!cp.journal || cp.shared == MAP_FAILED || pipe2(fds, O_CLOEXEC) < 0)
		return report_fail(&job->rep, -ENOMEM, "checkpoint: no memory or descriptors for the controller");
	fflush(NULL);
	pid_t child = fork();
	if (child == 0) {
		close(fds[1]);
		_exit(-controller(&cp, fds[0]) & 0xff);
	}
	close(fds[0]);
	err = child < 0 ? report_fail(&job->rep, -errno, "checkpoint: no controller could be started: %s", strerror(errno)) :
			  front(job, &cp, child);
	close(fds[1]);
	if (!err)
		*ret = cp.shared->result;
	munmap(cp.shared, sizeof(*cp.shared));
	undo_destroy(cp.journal);
	return err;
}
