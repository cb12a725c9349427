// SPDX-License-Identifier: LGPL-2.1-or-later
/* Keepers: made, found, ended. What one holds lies at fixed descriptors, where the next checkpoint finds it. */
#include "track/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "lazy/find.h"
#include "track/watch.h"

#define MAGIC "stasis-track 3"
#define ENDS_OFFSET 4096 /* in the notes */
#define NAPS 5           /* times as long as the work between them */
#define END_MS 2000

/* 0 to 2 are /dev/null. */
enum { FD_TARGET = 3, FD_NOTES, FD_UFFD, N_FDS }; /* FD_UFFD may not be there */
#define N_SENT 3

bool keeper_exists(pid_t pid)
{
	return lazy_find_holder(pid, KEEPER_NAME) || lazy_find_holder(pid, KEEPER_CONTROLLER_NAME);
}

static bool is_userfaultfd(int fd)
{
	char path[32], link[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(path, link, sizeof(link) - 1);
	link[n > 0 ? n : 0] = '\0';
	return !strcmp(link, "anon_inode:[userfaultfd]");
}

void keeper_find(pid_t pid, struct keeper *ret)
{
	pid_t keeper = lazy_find_holder(pid, KEEPER_NAME);
	AUTO_CLOSE int pidfd = keeper ? (int)syscall(SYS_pidfd_open, keeper, 0) : -1;
	AUTO_CLOSE int notes = pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, FD_NOTES, 0);
	AUTO_CLOSE int uffd = pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, FD_UFFD, 0);
	struct keeper k = { .pidfd = -1, .notes = -1, .uffd = -1 };

	/* Found by its number, which may be another's by now; a pidfd of it is for good. */
	if (pidfd >= 0 && notes >= 0 && lazy_is_holder(keeper, pid, KEEPER_NAME) && (uffd < 0 || is_userfaultfd(uffd)) &&
	    pread(notes, &k.state, sizeof(k.state), 0) == sizeof(k.state) && !strcmp(k.state.magic, MAGIC)) {
		k.pidfd = STEAL_FD(pidfd);
		k.notes = STEAL_FD(notes);
		k.uffd = STEAL_FD(uffd);
	}
	*ret = k;
}

bool keeper_is_alive(const struct keeper *k)
{
	struct pollfd p = { .fd = k->pidfd, .events = POLLIN };

	return k->pidfd >= 0 && poll(&p, 1, 0) == 0;
}

void keeper_close(struct keeper *k)
{
	if (k->pidfd >= 0)
		close(k->pidfd);
	if (k->notes >= 0)
		close(k->notes);
	if (k->uffd >= 0)
		close(k->uffd);
	k->pidfd = k->notes = k->uffd = -1;
}

int keeper_end(struct keeper *k)
{
	struct pollfd p = { .fd = k->pidfd, .events = POLLIN };

	if (syscall(SYS_pidfd_send_signal, k->pidfd, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
		return -errno;
	if (poll(&p, 1, END_MS) != 1)
		return -ETIMEDOUT;
	close(STEAL_FD(k->pidfd));
	return 0;
}

/* ---- the process itself ---- */

/* Nothing that we were given by others stays open, or a pipe would never come to its end. */
static void shed(int sock)
{
	sigset_t none;

	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	if (chdir("/"))
		_exit(1);
	if (sock)
		close_range(0, (unsigned)sock - 1, 0);
	close_range((unsigned)sock + 1, ~0u, 0);
	int null = open("/dev/null", O_RDWR);
	if (null < 0 || dup2(sock, N_FDS) < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0)
		_exit(1);
	close_range(3, N_FDS - 1, 0);
	close_range(N_FDS + 1, ~0u, 0);
}

/* The number of descriptors that have come: two or three. */
static int receive(int sock, int fds[N_SENT])
{
	union {
		char room[CMSG_SPACE(N_SENT * sizeof(int))];
		struct cmsghdr align;
	} control;
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	ssize_t n;

	while ((n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC)) < 0 && errno == EINTR)
		;
	const struct cmsghdr *c = n == 1 ? CMSG_FIRSTHDR(&msg) : NULL;
	if (!c || c->cmsg_type != SCM_RIGHTS)
		return -EPIPE;
	int count = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
	if (count < 2 || count > N_SENT)
		return -EPIPE;
	memcpy(fds, CMSG_DATA(c), (size_t)count * sizeof(int));
	return count;
}

static bool target_is_gone(void)
{
	struct pollfd p = { .fd = FD_TARGET, .events = POLLIN };

	return poll(&p, 1, 0) != 0;
}

/* Ends the watch, if that is what we are for. */
static void keeper_ends(void)
{
	struct keeper_state state;
	struct range r;

	if (pread(FD_NOTES, &state, sizeof(state), 0) != sizeof(state) || !state.n_ends)
		return;
	for (uint64_t i = 0; i < state.n_ends && !target_is_gone(); i++)
		if (pread(FD_NOTES, &r, sizeof(r), (off_t)(ENDS_OFFSET + i * sizeof(r))) == sizeof(r))
			watch_end(FD_UFFD, r.start, r.end, NAPS);
	_exit(0);
}

static void keeper_main(int sock)
{
	int fds[N_SENT], n;

	shed(sock);
	sock = N_FDS;
	if ((n = receive(sock, fds)) < 0)
		_exit(0);
	/* What comes takes the lowest numbers; first out of the way, then each to its place. */
	for (int i = 0; i < n; i++)
		if ((fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, N_FDS + 1)) < 0)
			_exit(1);
	close_range(FD_TARGET, N_FDS - 1, 0);
	for (int i = 0; i < n; i++)
		if (dup2(fds[i], FD_TARGET + i) < 0)
			_exit(1);
	close_range(N_FDS + 1, ~0u, 0);
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0); /* Yama: the next checkpoint is no parent of ours */
	prctl(PR_SET_NAME, KEEPER_NAME);
	if (write(sock, "", 1) != 1)
		_exit(1);
	close(sock);
	keeper_ends();
	struct pollfd p = { .fd = FD_TARGET, .events = POLLIN };
	while (poll(&p, 1, -1) < 0 && errno == EINTR)
		;
	_exit(0);
}

int keeper_prepare(int *ret_sock)
{
	int socks[2], status;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks))
		return -errno;
	pid_t between = fork();
	if (between == 0) {
		pid_t pid = fork();
		if (pid == 0) {
			close(socks[0]);
			keeper_main(socks[1]);
		}
		_exit(pid < 0);
	}
	int err = between < 0 ? -errno : 0;
	close(socks[1]);
	while (!err && waitpid(between, &status, 0) < 0 && errno == EINTR)
		;
	if (!err && status)
		err = -EAGAIN;
	if (err)
		close(socks[0]);
	else
		*ret_sock = socks[0];
	return err;
}

int keeper_begin(int sock, int pidfd, int notes, int uffd, const uint8_t content_id[16], const struct ranges *ends)
{
	struct keeper_state state = { .magic = MAGIC, .n_ends = ends ? ends->n : 0 };
	int fds[N_SENT] = { pidfd, notes, uffd };
	const size_t size = (uffd < 0 ? N_SENT - 1 : N_SENT) * sizeof(int);
	union {
		char room[CMSG_SPACE(sizeof(fds))];
		struct cmsghdr head;
	} control = { .head = { .cmsg_len = CMSG_LEN(size), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS } };
	char byte = 0;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_SPACE(size) };

	memcpy(state.content_id, content_id, sizeof(state.content_id));
	memcpy(CMSG_DATA(&control.head), fds, size);
	int err = ends && ends->n ? io_pwrite_all(notes, ends->items, ends->n * sizeof(*ends->items), ENDS_OFFSET) : 0;
	if (!err)
		err = pwrite(notes, &state, sizeof(state), 0) == sizeof(state) && sendmsg(sock, &msg, MSG_NOSIGNAL) == 1 ? 0 : -EPIPE;
	ssize_t n = -1;
	while (!err && (n = read(sock, &byte, 1)) < 0 && errno == EINTR)
		;
	close(sock);
	return n == 1 ? 0 : -EPIPE;
}
