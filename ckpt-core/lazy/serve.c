// SPDX-License-Identifier: LGPL-2.1-or-later
/* Server and spare: two processes that take each other's place (see serve.h). The work itself is in pages.c. */
#include "lazy/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/timens.h"
#include "lazy/pages.h"
#include "lazy/switch.h"
#include "lazy/uffd.h"

#define DEATHS_MAX 100 /* of either of us: then somebody means it */
#define QUIET_US 3000  /* after a fault: what is not asked for waits */
#define PROBE_MS 100   /* how often a target that has ended is asked whether its memory still is used */
#define KEEP_FDS (SWITCH_FDS + 2)
#define ASIDE_FD 256

struct lazy_pair {
	struct pages_server pages;
	struct reporter rep; /* into job.words */
	int fds[SWITCH_FDS]; /* the switch, with the userfaultfd */
	int pidfd;           /* of the target */
	int signals;         /* signalfd: somebody asks for all of it */
	int starter;         /* socket to who started us; it is closed when the target runs. -1: it does */
	int peer;            /* socket to the other; -1: none yet */
	pid_t spare;
	unsigned deaths;
	bool target_ended;
};

/* ---- what one of us tells the other ---- */

enum note { NOTE_FORKED, NOTE_DONE };

struct pair_note {
	enum note note;
	uint32_t space;
};

union pair_control {
	char buf[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

static void pair_tell(int sock, struct pair_note note, int fd)
{
	union pair_control control = { 0 };
	struct iovec iov = { &note, sizeof(note) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd >= 0) {
		msg.msg_control = control.buf;
		msg.msg_controllen = sizeof(control.buf);
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		*c = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(fd)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	/* A spare that is gone is noticed by the loop; the next one is a copy of us. */
	while (sendmsg(sock, &msg, MSG_NOSIGNAL) < 0 && errno == EINTR)
		;
}

static void pair_forked(struct pages_server *s, uint32_t space)
{
	struct lazy_pair *p = (struct lazy_pair *)((char *)s - offsetof(struct lazy_pair, pages));

	pair_tell(p->peer, (struct pair_note){ NOTE_FORKED, space }, s->uffd[space]);
}

/* ---- the spare ---- */

/* Returns once the server has died. */
static void spare_wait(struct lazy_pair *p)
{
	prctl(PR_SET_NAME, LAZY_SPARE_NAME);
	for (;;) {
		union pair_control control;
		struct pair_note note;
		struct iovec iov = { &note, sizeof(note) };
		struct msghdr msg = {
			.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.buf, .msg_controllen = sizeof(control.buf)
		};
		ssize_t n = recvmsg(p->peer, &msg, MSG_CMSG_CLOEXEC);
		if (n < 0 && errno == EINTR)
			continue;
		if (n != (ssize_t)sizeof(note))
			return;
		if (note.note == NOTE_DONE)
			_exit(0);
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		if (note.space >= LEDGER_SPACES || !c || c->cmsg_type != SCM_RIGHTS)
			continue;
		if (p->pages.uffd[note.space] >= 0)
			close(p->pages.uffd[note.space]);
		memcpy(&p->pages.uffd[note.space], CMSG_DATA(c), sizeof(int));
		p->pages.cursor[note.space] = 0;
	}
}

/* ---- the server ---- */

/* With a wrong page, or without one, the target must not run. Nothing else here ends with the target alive and pages owed. */
static _Noreturn void server_give_up(struct lazy_pair *p)
{
	syscall(SYS_pidfd_send_signal, p->pidfd, SIGKILL, NULL, 0);
	if (p->pages.job.own_pids && p->pages.job.ledger->spaces[0].used)
		for (uint32_t i = 1; i < LEDGER_SPACES; i++)
			if (p->pages.uffd[i] >= 0) {
				kill(-1, SIGKILL); /* its children, which cannot be told from others, the spare and not us */
				break;
			}
	if (p->peer >= 0)
		pair_tell(p->peer, (struct pair_note){ NOTE_DONE, 0 }, -1);
	if (p->spare > 0)
		while (waitpid(p->spare, NULL, __WALL) < 0 && errno == EINTR)
			;
	_exit(1);
}

static void server_make_spare(struct lazy_pair *p)
{
	int socks[2];

	if (p->peer >= 0)
		close(p->peer);
	p->peer = -1;
	p->spare = 0;
	if (++p->deaths > DEATHS_MAX)
		report_fail(&p->rep, -EINTR, "the page servers of process %d are killed again and again", p->pages.job.pid);
	else if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks) < 0 || (p->spare = fork()) < 0)
		report_fail(&p->rep, -errno, "process %d: no second page server can be had: %s", p->pages.job.pid,
		            strerror(errno));
	if (p->rep.first_error)
		server_give_up(p);
	if (p->spare) {
		close(socks[1]);
		p->peer = socks[0];
		return;
	}
	close(socks[0]);
	if (p->starter >= 0)
		close(p->starter);
	p->starter = -1;
	p->peer = socks[1];
	spare_wait(p);
	if (pages_take_over(&p->pages))
		server_give_up(p);
	server_make_spare(p);
	prctl(PR_SET_NAME, LAZY_SERVER_NAME); /* only now can we be spared */
}

/* The target runs, or has failed to: from now on there is time for what it has not asked for. */
static void server_started(struct lazy_pair *p)
{
	close(p->starter);
	p->starter = -1;
}

/* Waits for something to do. `busy`: there is something anyway, only look. */
static void server_poll(struct lazy_pair *p, bool busy, bool ready[LEDGER_SPACES])
{
	struct pollfd fds[LEDGER_SPACES + 4] = { { .fd = p->peer, .events = POLLIN },
		                                 { .fd = p->signals, .events = POLLIN },
		                                 { .fd = p->target_ended ? -1 : p->pidfd, .events = POLLIN },
		                                 { .fd = p->starter, .events = POLLIN } };

	int patience = busy ? 0 : p->target_ended ? PROBE_MS : -1;

	for (size_t i = 0; i < LEDGER_SPACES; i++)
		fds[4 + i] = (struct pollfd){ .fd = p->pages.uffd[i], .events = POLLIN };
	memset(ready, 0, LEDGER_SPACES * sizeof(ready[0]));
	/* Where one fault was the next is soon to come. */
	if (busy && timens_stopwatch_us() - p->pages.fault_us < QUIET_US)
		patience = 1;
	if (poll(fds, ARRAY_SIZE(fds), patience) < 0)
		return;
	for (size_t i = 0; i < LEDGER_SPACES; i++)
		ready[i] = fds[4 + i].revents & POLLIN;
	if (fds[3].revents)
		server_started(p);
	if (fds[1].revents) {
		struct signalfd_siginfo info;
		if (read(p->signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
			p->pages.job.prefetch = true;
	}
	p->target_ended = p->target_ended || fds[2].revents;
	if (fds[0].revents & POLLHUP) {
		waitpid(p->spare, NULL, __WALL);
		server_make_spare(p);
	}
}

static void server_check(struct lazy_pair *p, uint32_t space, int err)
{
	if (err == -ESRCH || (err >= 0 && !space && p->target_ended && pages_gone(&p->pages, space)))
		pages_drop(&p->pages, space);
	else if (err < 0)
		server_give_up(p);
}

/* One round. Returns false when nobody is owed anything any more. */
static bool server_round(struct lazy_pair *p, bool *busy)
{
	bool ready[LEDGER_SPACES], alive = false;

	server_poll(p, *busy, ready);
	*busy = false;
	for (uint32_t i = 0; i < LEDGER_SPACES; i++) {
		if (p->pages.uffd[i] >= 0 && (ready[i] || p->target_ended))
			server_check(p, i, pages_answer(&p->pages, i));
		if (p->pages.uffd[i] < 0)
			continue;
		if (!i && (!p->pages.job.prefetch || p->starter >= 0))
			alive = true;
		if (!i && !p->pages.job.prefetch)
			continue;
		/* What it will ask for at once need not wait until it runs. */
		int more = !i && p->starter >= 0 ? pages_ordered(&p->pages) : pages_ahead(&p->pages, i);
		server_check(p, i, more);
		*busy = *busy || more > 0;
	}
	return alive || *busy;
}

/* From here on the memory takes care of itself. */
static _Noreturn void server_end(struct lazy_pair *p)
{
	pages_keep_order(&p->pages);
	switch_disarm(p->fds);
	pair_tell(p->peer, (struct pair_note){ NOTE_DONE, 0 }, -1);
	while (waitpid(p->spare, NULL, __WALL) < 0 && errno == EINTR)
		;
	_exit(0);
}

static _Noreturn void server_main(struct lazy_pair *p)
{
	bool busy = true;

	server_make_spare(p); /* which returns in the spare as well, once it is the server */
	prctl(PR_SET_NAME, LAZY_SERVER_NAME);
	if (p->starter >= 0 && send(p->starter, "r", 1, MSG_NOSIGNAL) < 0)
		server_started(p);
	while (server_round(p, &busy))
		;
	server_end(p);
}

/* ---- their birth ---- */

static void pair_words(void *ctx, enum report_level level, const char *text)
{
	struct lazy_pair *p = ctx;

	if (level == REPORT_ERROR && p->pages.job.words && !p->pages.job.words[0])
		snprintf(p->pages.job.words, LAZY_WORDS, "%s", text);
}

/* Keeps what we need, in ascending order from `base` on, and nothing else of the caller's. Afterwards fds[i] is base + i. */
static int pair_close_others(const struct lazy_pair *p, int fds[KEEP_FDS])
{
	const struct img_reader *image = p->pages.job.reader;
	int base = 3, top, aside[KEEP_FDS];

	for (int i = 0; i < KEEP_FDS; i++)
		if (img_reader_has_fd(image, base + i))
			base += i + 1, i = -1;
	for (int i = 0; i < KEEP_FDS; i++)
		if ((aside[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, ASIDE_FD)) < 0)
			return -errno;
	for (int i = 0; i < KEEP_FDS; i++)
		if (dup3(aside[i], fds[i] = base + i, O_CLOEXEC) < 0)
			return -errno;
	top = base + KEEP_FDS;
	for (unsigned left = img_reader_chain(image) + 1, fd = 0; left; fd++)
		if (img_reader_has_fd(image, (int)fd)) {
			left--;
			top = (int)fd >= top ? (int)fd + 1 : top;
		}
	for (int fd = 0; fd < top; fd++)
		if (!img_reader_has_fd(image, fd) && (fd < base || fd >= base + KEEP_FDS))
			close(fd);
	close_range((unsigned)top, ~0u, 0);
	return 0;
}

static _Noreturn void pair_main(struct lazy_pair *p, int starter)
{
	int fds[KEEP_FDS];
	struct report_sink sink = { .message = pair_words, .ctx = p };
	struct reporter *rep = p->pages.job.rep;
	sigset_t all, ask;

	setsid();
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	memcpy(fds, p->fds, sizeof(p->fds));
	fds[SWITCH_FDS] = p->pidfd;
	fds[SWITCH_FDS + 1] = starter;
	/* Whoever we came from has its own words, and they go to a terminal that is the target's by now. */
	free(rep->first_error);
	rep->first_error = NULL;
	rep->cancel = NULL;
	rep->sink = p->rep.sink = sink;
	if (pair_close_others(p, fds) || chdir("/"))
		_exit(1);
	memcpy(p->fds, fds, sizeof(p->fds));
	p->pages.uffd[0] = fds[SWITCH_UFFD];
	p->pidfd = fds[SWITCH_FDS];
	p->pages.forked = pair_forked;
	sigemptyset(&ask);
	sigaddset(&ask, SIGUSR1);
	if ((p->signals = signalfd(-1, &ask, SFD_CLOEXEC | SFD_NONBLOCK)) < 0)
		_exit(1);
	p->starter = fds[SWITCH_FDS + 1];
	server_main(p);
}

/* By way of a child that ends at once, so that the target's init is the parent. */
static int pair_start(struct lazy_pair *p, int *ret_starter)
{
	int socks[2], status;
	char byte;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socks) < 0)
		return -errno;
	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0) {
		pid = fork();
		if (pid == 0)
			pair_main(p, socks[1]);
		_exit(pid < 0);
	}
	int err = pid < 0 ? -errno : 0;
	close(socks[1]);
	while (pid > 0 && waitpid(pid, &status, __WALL) < 0 && errno == EINTR)
		;
	if (!err && read(socks[0], &byte, 1) != 1)
		err = -EAGAIN;
	if (err)
		close(socks[0]);
	else
		*ret_starter = socks[0];
	return err;
}

static int pair_fail(const struct lazy_job *job, int err)
{
	if (err && job->words && *job->words)
		return report_fail(job->rep, -EIO, "%s", job->words);
	return err ? report_fail(job->rep, err,
	                         "restart: no page server for a lazy restart can be had: %s; restart with --lazy=off",
	                         strerror(-err))
	           : 0;
}

int lazy_create(const struct lazy_job *job, struct lazy_pair **ret)
{
	struct lazy_pair *p = calloc(1, sizeof(*p));
	int err = p ? pages_init(&p->pages, job) : -ENOMEM;

	if (err) {
		free(p);
		return pair_fail(job, err);
	}
	p->peer = -1;
	p->rep = (struct reporter){ .level = REPORT_ERROR };
	if ((err = pages_first(&p->pages)) < 0) {
		lazy_destroy(p);
		return report_fail(job->rep, err, "restart: the memory of process %d cannot be loaded lazily: %s", job->pid,
		                   strerror(-err));
	}
	*ret = p;
	return 0;
}

void lazy_destroy(struct lazy_pair *p)
{
	if (p)
		pages_finish(&p->pages);
	free(p);
}

int lazy_serve(struct lazy_pair *p, int *ret_starter)
{
	const struct lazy_job *job = &p->pages.job;
	int err = switch_make(job->pid, p->fds);

	if (err)
		return pair_fail(job, err);
	p->fds[SWITCH_UFFD] = job->uffd;
	p->pidfd = (int)syscall(SYS_pidfd_open, job->pid, 0);
	err = p->pidfd < 0 ? -errno : pair_start(p, ret_starter);
	/* Ours are not to be the last. */
	for (int i = 0; i < SWITCH_FDS; i++)
		if (i != SWITCH_UFFD)
			close(p->fds[i]);
	if (p->pidfd >= 0)
		close(p->pidfd);
	return pair_fail(job, err);
}
