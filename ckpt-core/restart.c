// SPDX-License-Identifier: LGPL-2.1-or-later
/* The restart: its phases, and who does what.
 *
 * Theory of operation. The caller opens and plans, and prepares files that are seen outside (so that it can also take them away
 * again). It forks the controller, which enters new namespaces, makes the processes and fills them. When all is in place the
 * controller says so and waits: the caller asks whoever connects new hardware (`reconnect`) and commits the files, then the
 * controller lets the target run and ends. Init and the target are the caller's descendants and die with it or with init. Whatever
 * fails, the caller kills init, which takes the pid namespace with it, and takes the files back; the image is only ever read.
 * Test: restart-fails-nothing-is-left, restart-killed-nothing-is-left. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/timens.h"
#include "lazy/serve.h"
#include "restore/restore.h"

/* ---- the controller ---- */

static int step_processes(struct restore *r, struct newborn *nb, const int fds[2])
{
	int err = fill_hire(r);

	return err ? err : processes_create(r, fds[1], nb);
}

static int step_memory(struct restore *r, struct newborn *nb, const int fds[2])
{
	(void)fds;
	return memory_restore(r, nb);
}

static int step_threads(struct restore *r, struct newborn *nb, const int fds[2])
{
	int err;

	(void)fds;
	if ((err = threads_create(r, nb)) || (err = attributes_restore(r, nb)))
		return err;
	return threads_restore(r, nb);
}

static int step_reconnect(struct restore *r, struct newborn *nb, const int fds[2])
{
	int err = plugins_late(r, nb);

	(void)fds;
	return err ? err : release_prepare(r, nb);
}

/* Tells the caller that all is ready, and goes on when it says so. */
static int step_release(struct restore *r, struct newborn *nb, const int fds[2])
{
	char byte = 'r';

	if (write(fds[0], &byte, 1) != 1 || read(fds[0], &byte, 1) != 1)
		return -ECANCELED; /* the caller has said why, or is gone */
	return release_run(r, nb);
}

static const struct {
	const char *name;
	int (*run)(struct restore *r, struct newborn *nb, const int fds[2]);
} steps[] = {
	{ "processes", step_processes },
	{ "memory", step_memory },
	{ "threads", step_threads },
	{ "reconnect", step_reconnect },
	{ "release", step_release },
};

/* `fds`: the socket to the caller, the writing end of the status pipe. */
static int controller(struct restore *r, const int fds[2])
{
	struct newborn nb = { 0 };
	pid_t caller = getppid();
	int err = 0;

	prctl(PR_SET_NAME, "stasis-ctl");
	r->rep->cancel = &r->shared->cancel;
	for (size_t i = 0; i < ARRAY_SIZE(steps) && !err; i++) {
		char fault[64];
		snprintf(fault, sizeof(fault), "restart.%s", steps[i].name);
		report_debug(r->rep, "phase %s (after %lu us)", steps[i].name, timens_stopwatch_us() - r->begin_us);
		err = report_cancelled(r->rep) ? -ECANCELED : report_fault(r->rep, fault);
		if (!err)
			err = steps[i].run(r, &nb, fds);
	}
	report_debug(r->rep, "released (after %lu us)", timens_stopwatch_us() - r->begin_us);
	r->shared->released = !err;
	if (err && getppid() != caller)
		fd_plan_abandon(r->files);
	if (r->rep->first_error && !r->shared->text[0])
		snprintf(r->shared->text, sizeof(r->shared->text), "%s", r->rep->first_error);
	r->shared->controller_done = true;
	return err;
}

/* ---- the caller ---- */

static void reap(pid_t pid)
{
	while (waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
		;
}

/* Waits for the controller's word that all is ready, handing on a cancel meanwhile; false when it ended without. */
static bool wait_ready(struct restore *r, int sock)
{
	struct pollfd pfd = { .fd = sock, .events = POLLIN };
	char byte;

	while (poll(&pfd, 1, 50) <= 0)
		if (report_cancelled(r->rep))
			r->shared->cancel = 1;
	return read(sock, &byte, 1) == 1;
}

/* Runs the controller to its end. Returns 0 once the target runs. */
static int run_controller(struct restore *r, int status_w)
{
	int socks[2], status, err;
	char byte = 'g';

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socks) < 0)
		return report_fail(r->rep, -errno, "restart: no socket to the controller: %s", strerror(errno));
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		close(socks[0]);
		_exit(-controller(r, (int[2]){ socks[1], status_w }) & 0xff);
	}
	close(socks[1]);
	err = pid < 0 ? report_fail(r->rep, -errno, "restart: no controller could be started: %s", strerror(errno)) : 0;
	bool ready = !err && wait_ready(r, socks[0]);
	if (ready && r->opt->reconnect)
		err = r->opt->reconnect(r->opt->ctx, r->shared->first);
	if (ready && !err && !(err = report_fault(r->rep, "restart.commit")) && !(err = fd_plan_commit(r->files))) {
		if (r->opt->before_release)
			r->opt->before_release(r->opt->ctx, r->shared->first);
		if (write(socks[0], &byte, 1) != 1)
			err = -EPIPE;
	}
	close(socks[0]);
	if (pid < 0)
		return err;
	while (waitpid(pid, &status, __WALL) < 0 && errno == EINTR)
		;
	if (r->shared->released)
		return 0;
	if (r->shared->text[0] && !r->rep->first_error)
		r->rep->first_error = strdup(r->shared->text);
	if (err)
		return err;
	if (WIFEXITED(status) && r->shared->controller_done)
		return -WEXITSTATUS(status);
	return report_fail(r->rep, -EINTR, "the restart's controller was killed; nothing is left of it and the image is intact");
}

static int restart_run(struct restore *r, struct stasis_restarted *ret)
{
	int status[2], err;

	r->shared = mmap(NULL, sizeof(*r->shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (r->shared == MAP_FAILED)
		return -ENOMEM;
	if (r->lazy && (r->words = mmap(NULL, LAZY_WORDS, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) == MAP_FAILED)
		r->words = NULL;
	if (pipe2(status, O_CLOEXEC) < 0)
		return report_fail(r->rep, -errno, "restart: no pipe: %s", strerror(errno));
	/* Our descriptors must not lie where the target's will be. */
	int high = fcntl(status[1], F_DUPFD_CLOEXEC, fd_plan_max_fd(r->files) + 1);
	close(status[1]);
	err = high < 0 ? report_fail(r->rep, -errno, "restart: too few descriptors (ulimit -n): %s", strerror(errno)) : run_controller(r, high);
	if (high >= 0)
		close(high);
	template_leave(r->opt->template);
	int pidfd = -1;
	if (!err && (pidfd = (int)syscall(SYS_pidfd_open, r->shared->first, 0)) < 0)
		pidfd = -1; /* it has ended already; the status pipe tells */
	if (err) {
		close(status[0]);
		if (r->shared->init) {
			kill(r->shared->init, SIGKILL);
			reap(r->shared->init);
		}
	} else {
		const char *name = r->host.items[0].name;
		*ret = (struct stasis_restarted){ .pid = r->shared->first, .init = r->shared->init, .pidfd = pidfd, .status_fd = status[0],
						  .name = name ? strdup(name) : NULL, .last_words = STEAL_PTR(r->words) };
	}
	if (r->words)
		munmap(r->words, LAZY_WORDS);
	munmap(r->shared, sizeof(*r->shared));
	return err;
}

int stasis_page_store_create(struct stasis_job *job, const struct stasis_restart_options *options, struct stasis_page_store **ret)
{
	const struct img_open_options how = { .parent_dir = options->parent_dir };
	struct img_reader *reader;
	int err = img_reader_open_with(&job->rep, options->image, &how, &reader);

	if (err)
		return err;
	err = store_create(reader, ret);
	img_reader_destroy(reader);
	return err ? report_fail(&job->rep, err, "image %s: no memory for its pages: %s", options->image, strerror(-err)) : 0;
}

void stasis_page_store_destroy(struct stasis_page_store *store)
{
	store_destroy(store);
}

void stasis_restarted_finish(struct stasis_restarted *target)
{
	if (target->pidfd >= 0)
		close(target->pidfd);
	if (target->status_fd >= 0)
		close(target->status_fd);
	free(target->name);
	if (target->last_words)
		munmap(target->last_words, LAZY_WORDS);
	*target = (struct stasis_restarted){ .pidfd = -1, .status_fd = -1 };
}

int stasis_restart(struct stasis_job *job, const struct stasis_restart_options *options, struct stasis_restarted *ret)
{
	struct restore r = { .job = job, .rep = &job->rep, .opt = options };
	struct findings own = { 0 }, *findings = options->findings ? options->findings : &own;
	r.begin_us = timens_stopwatch_us();
	int err = report_fault(r.rep, "restart.open");

	if (!err)
		err = img_reader_open_with(r.rep, options->image, &(struct img_open_options){ .parent_dir = options->parent_dir }, &r.reader);
	if (!err && options->template && !template_is_of(options->template, r.reader))
		err = report_fail(r.rep, -ESTALE, "image %s: it is another one than a moment ago; try again", options->image);
	if (!err && !(err = restore_load(&r)) && !(err = report_fault(r.rep, "restart.plan")) && !(err = restore_plan(&r, findings)) &&
	    !options->plan_only && !(err = findings_refuse(findings, r.rep, -EOPNOTSUPP))) {
		if (!(err = fd_plan_prepare(r.files)) && !(err = report_fault(r.rep, "restart.prepare")))
			err = restart_run(&r, ret);
		if (err) {
			fd_plan_abandon(r.files);
			plugin_set_abandon(&r.plugins);
		} else {
			ret->total_us = timens_stopwatch_us() - r.begin_us;
		}
	}
	if (!err && options->plan_only && r.host.items[0].name)
		ret->name = strdup(r.host.items[0].name);
	plugin_set_close(&r.plugins);
	fd_plan_destroy(r.files);
	restore_unload(&r);
	img_reader_destroy(r.reader);
	findings_finish(&own);
	return err;
}
