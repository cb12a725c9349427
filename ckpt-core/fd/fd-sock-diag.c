/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Asks the kernel about a unix socket by its inode (UNIX_DIAG): its peer, queue, shutdown state and file. The question is put
 * in the socket's own network namespace, by a helper process where that is not ours. */
#include "fd/fd-sock.h"

#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/sockios.h>
#include <linux/unix_diag.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

static int open_here(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

	return fd < 0 ? -errno : fd;
}

/* In the helper: enters the namespaces and leaves a netlink socket, which belongs to the namespace for good, in the channel. */
static void open_there(int channel, int userns, int netns)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { .header = { .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS } };
	int err = 0, fd = -1;
	struct iovec iov = { &err, sizeof(err) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	/* The privilege over the network namespace may come from its user namespace only; without it entering that fails. */
	if (setns(netns, CLONE_NEWNET) && (userns < 0 || setns(userns, CLONE_NEWUSER) || setns(netns, CLONE_NEWNET)))
		err = -errno;
	if (!err) {
		fd = open_here();
		err = fd < 0 ? fd : 0;
	}
	if (!err) {
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
	}
	_exit(sendmsg(channel, &msg, MSG_NOSIGNAL) == sizeof(err) ? 0 : 1);
}

static int receive_socket(int channel)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	int err = -EPERM, fd = -1;
	struct iovec iov = { &err, sizeof(err) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	ssize_t n;

	do
		n = recvmsg(channel, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n != sizeof(err))
		return -EPERM;
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return err ? -EPERM : fd >= 0 ? fd : -EPERM;
}

static int open_in(int userns, int netns)
{
	int channel[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel))
		return -errno;
	pid = fork();
	if (pid == 0)
		open_there(channel[1], userns, netns);
	int fork_error = pid < 0 ? -errno : 0;
	close(channel[1]);
	int fd = pid < 0 ? fork_error : receive_socket(channel[0]);
	close(channel[0]);
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return fd;
}

/* A netlink socket in the network namespace of the socket. Its process's namespace is most likely the same; SIOCGSKNS knows
 * better but wants CAP_NET_ADMIN. */
static int open_for(pid_t pid, int copy)
{
	char path[64];
	struct stat own, its;

	snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
	AUTO_CLOSE int userns = open(path, O_RDONLY | O_CLOEXEC);
	AUTO_CLOSE int netns = ioctl(copy, SIOCGSKNS);
	if (netns < 0) {
		snprintf(path, sizeof(path), "/proc/%d/ns/net", pid);
		netns = open(path, O_RDONLY | O_CLOEXEC);
	}
	if (netns < 0 || stat("/proc/self/ns/net", &own) || fstat(netns, &its) ||
	    (own.st_dev == its.st_dev && own.st_ino == its.st_ino))
		return open_here();
	return open_in(userns, netns);
}

static void take_attribute(const struct rtattr *a, struct sock_diag *diag)
{
	const void *data = RTA_DATA(a);
	const struct unix_diag_vfs *vfs = data;
	const struct unix_diag_rqlen *rq = data;
	size_t size = RTA_PAYLOAD(a);

	if (a->rta_type == UNIX_DIAG_VFS && size >= sizeof(*vfs)) {
		diag->has_vfs = true;
		diag->vfs_ino = vfs->udiag_vfs_ino;
		diag->vfs_dev = vfs->udiag_vfs_dev;
	} else if (a->rta_type == UNIX_DIAG_PEER && size >= sizeof(uint32_t)) {
		memcpy(&diag->peer_ino, data, sizeof(uint32_t));
	} else if (a->rta_type == UNIX_DIAG_RQLEN && size >= sizeof(*rq)) {
		diag->rqueue = rq->udiag_rqueue;
		diag->wqueue = rq->udiag_wqueue;
	} else if (a->rta_type == UNIX_DIAG_SHUTDOWN && size >= 1) {
		diag->shutdown = *(const uint8_t *)data;
	}
}

static int take_answer(const struct nlmsghdr *h, size_t size, uint64_t ino, struct sock_diag *ret)
{
	const struct unix_diag_msg *m = NLMSG_DATA(h);
	struct sock_diag diag = { 0 };

	if (!NLMSG_OK(h, size))
		return -EBADMSG;
	if (h->nlmsg_type == NLMSG_ERROR) {
		const struct nlmsgerr *e = NLMSG_DATA(h);
		return h->nlmsg_len < NLMSG_LENGTH(sizeof(*e)) || !e->error ? -EBADMSG : e->error;
	}
	if (h->nlmsg_type != SOCK_DIAG_BY_FAMILY || h->nlmsg_len < NLMSG_LENGTH(sizeof(*m)) || m->udiag_ino != (uint32_t)ino)
		return -EBADMSG;
	diag.state = m->udiag_state;
	int left = (int)(h->nlmsg_len - NLMSG_LENGTH(sizeof(*m)));
	for (const struct rtattr *a = (const void *)(m + 1); RTA_OK(a, left); a = RTA_NEXT(a, left))
		take_attribute(a, &diag);
	*ret = diag;
	return 0;
}

int sock_diag_unix(pid_t pid, int copy, uint64_t ino, struct sock_diag *ret)
{
	struct {
		struct nlmsghdr header;
		struct unix_diag_req req;
	} ask = {
		.header = { .nlmsg_len = sizeof(ask), .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST },
		.req = { .sdiag_family = AF_UNIX,
			 .udiag_states = UINT32_MAX,
			 .udiag_ino = (uint32_t)ino,
			 .udiag_show = UDIAG_SHOW_VFS | UDIAG_SHOW_PEER | UDIAG_SHOW_RQLEN,
			 .udiag_cookie = { UINT32_MAX, UINT32_MAX } },
	};
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	_Alignas(struct nlmsghdr) char answer[8192];
	AUTO_CLOSE int fd = open_for(pid, copy);

	if (fd < 0)
		return fd;
	if (sendto(fd, &ask, sizeof(ask), 0, (struct sockaddr *)&kernel, sizeof(kernel)) < 0)
		return -errno;
	ssize_t n = recv(fd, answer, sizeof(answer), 0);
	if (n < 0)
		return -errno;
	int err = take_answer((const struct nlmsghdr *)answer, (size_t)n, ino, ret);
	/* Without a handler for the family the kernel says ENOENT, as it does for a socket that is not there: ask for the
	 * whole list of a state that no socket has; that fails only without a handler. */
	if (err != -ENOENT)
		return err;
	ask.header.nlmsg_flags |= NLM_F_DUMP;
	ask.req.udiag_states = 0;
	ask.req.udiag_ino = 0;
	if (sendto(fd, &ask, sizeof(ask), 0, (struct sockaddr *)&kernel, sizeof(kernel)) < 0)
		return -errno;
	n = recv(fd, answer, sizeof(answer), 0);
	if (n >= (ssize_t)sizeof(struct nlmsghdr) && ((struct nlmsghdr *)answer)->nlmsg_type == NLMSG_DONE)
		return -ENOENT;
	return -EOPNOTSUPP;
}
