/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Unix sockets, the capturing half. A connection between two sockets of the tree is saved with what is unread in it; one that
 * leads outside will be found closed by its peer; listening and bound sockets are bound again. */
#include "fd/fd-sock-unix.h"

#include <fcntl.h>
#include <netinet/tcp.h> /* the TCP_* states, which unix sockets share */
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "base/io.h"

static bool unix_claim(const struct fd_look *look)
{
	uint32_t domain, type, protocol;

	return S_ISSOCK(look->st->st_mode) && sock_identify(look->copy, &domain, &type, &protocol) && domain == AF_UNIX;
}

/* The file is the socket's own if the inode number says so. Some file systems (overlayfs, btrfs) show another dev, and
 * possibly inode, to stat than they have inside: there a living socket behind the path is proof enough. */
static bool is_own_file(const struct stat *st, const struct sock_diag *diag, const char *path)
{
	bool same_dev = makedev(diag->vfs_dev >> 20, diag->vfs_dev & 0xfffff) == st->st_dev;

	if (!S_ISSOCK(st->st_mode))
		return false;
	if ((uint32_t)st->st_ino == diag->vfs_ino)
		return true;
	return !same_dev && unix_path_alive(path) == 1;
}

/* Looks the path up as the target would: from its root or from where it is now (which is where it was, unless it has moved). */
static int find_own_file(struct sock_state *s, pid_t pid, const struct sock_diag *diag)
{
	char path[sizeof(((struct sockaddr_un *)0)->sun_path) + 1];
	AUTO_FREE char *seen = NULL;
	struct stat st;
	bool relative;

	if (!sock_address_path(s->local.data, s->local.size, path))
		return 0;
	relative = path[0] != '/';
	if (relative && io_readlinkf(&s->dir, "/proc/%d/cwd", pid))
		s->dir = NULL;
	if (asprintf(&seen, "/proc/%d/%s/%s", pid, relative ? "cwd" : "root", path) < 0) {
		seen = NULL;
		return -ENOMEM;
	}
	if (!diag->has_vfs || lstat(seen, &st) || !is_own_file(&st, diag, seen) || (relative && !s->dir)) {
		s->unlinked = true;
		return 0;
	}
	s->mode = st.st_mode & 07777;
	s->uid = st.st_uid;
	s->gid = st.st_gid;
	return 0;
}

static int unix_inspect(struct fd_capture *cap, struct fd_file *file, const struct fd_look *look)
{
	struct sock_state *s = file->state;
	struct sock_diag diag = { 0 };
	int err = sock_inspect(cap, file, look, "unix");

	if (err)
		return err;
	err = sock_diag_unix(look->proc->pid, look->copy, look->st->st_ino, &diag);
	if (err == -ENOENT && !cap->o.frozen)
		return -EBADF; /* closed meanwhile */
	if (err == -EOPNOTSUPP)
		s->trouble = "this kernel does not tell who is at the other end (UNIX_DIAG): try modprobe unix_diag";
	else if (err == -EPERM)
		s->trouble = "its network namespace may not be entered to ask who is at the other end: run as root";
	else if (err)
		s->trouble = "the kernel does not tell who is at the other end";
	if (err)
		return 0;
	s->peer_ino = diag.peer_ino;
	s->shutdown = diag.shutdown & 3;
	if (diag.state == TCP_LISTEN) {
		s->backlog = diag.wqueue;
		s->pending = diag.rqueue;
		err = sock_set_role(file, SOCK_ROLE_LISTENING);
	} else if (diag.state == TCP_ESTABLISHED && s->type != SOCK_DGRAM) {
		err = sock_set_role(file, SOCK_ROLE_CLOSED); /* unless resolve finds the other end */
	}
	return err ? err : find_own_file(s, look->proc->pid, &diag);
}

/* A datagram socket may be connected to one that is not connected back: it stays idle and knows whom to connect to. */
static int unix_resolve(struct fd_capture *cap, struct fd_file *file)
{
	struct sock_state *s = file->state;
	struct fd_file *peer = s->peer_ino ? sock_by_ino(cap, s->peer_ino) : NULL;

	if (peer && peer->kind == &fd_kind_unix &&
	    (s->type == SOCK_DGRAM || ((struct sock_state *)peer->state)->peer_ino == file->st.st_ino)) {
		struct sock_state *p = peer->state;
		s->peer = peer->r.id;
		return p->peer_ino == file->st.st_ino ? sock_set_role(file, SOCK_ROLE_PAIR) : 0;
	}
	/* A peer without an inode is closed, and then nothing can be sent or received, or waits to be accepted. */
	s->outside = s->peer_ino || (s->as == SOCK_ROLE_CLOSED && s->shutdown != 3);
	if (s->type == SOCK_DGRAM && s->outside && !s->remote.size)
		return sock_set_role(file, SOCK_ROLE_CLOSED); /* the other end of a socketpair, held by somebody outside */
	if (s->as == SOCK_ROLE_CLOSED && s->outside)
		file->r.stdio = true;
	return 0;
}

static void word_bound(const struct sock_state *s, struct fd_verdict *v)
{
	const char *what = s->as == SOCK_ROLE_LISTENING ? ", listens" : "";

	if (!s->local.size)
		fd_verdict_action(v, "made again");
	else if (s->unlinked)
		fd_verdict_action(v, "%s%s again without a path, since %s is not its file (any more)",
				  *what ? "made and" : "made", *what ? " listens" : "", s->local_text);
	else if (s->pending)
		fd_verdict_action(v, "bound to %s again%s; %u clients that wait to be accepted are dropped", s->local_text,
				  what, s->pending);
	else
		fd_verdict_action(v, "bound to %s again%s%s", s->local_text, what,
				  *what ? "; clients not accepted by then are dropped" : "");
}

static int unix_check(struct fd_capture *cap, struct fd_file *file, struct fd_verdict *v)
{
	const struct sock_state *s = file->state;
	char out_of_band;

	switch (s->as) {
	case SOCK_ROLE_PAIR:
		fd_verdict_action(v, "connected to %s again, unread data saved%s",
				  s->peer == file->r.id ? "itself" : "its other end in the tree",
				  s->local.size && s->type != SOCK_DGRAM ? "; its own name is lost" : "");
		break;
	case SOCK_ROLE_CLOSED:
	case SOCK_ROLE_RESET:
		fd_verdict_action(
			v, s->outside ? "connection to outside: unread data saved, then it looks closed by the other side"
				      : "closed by the other side: unread data saved");
		break;
	case SOCK_ROLE_IDLE:
		if (s->outside)
			fd_verdict_action(v, "connected to %s again if somebody is there", s->remote_text);
		else
			word_bound(s, v);
		break;
	case SOCK_ROLE_LISTENING:
	case SOCK_ROLE_KEPT:
	case SOCK_ROLES:
		word_bound(s, v);
	}
	sock_check(cap, file, v);
	if (s->type != SOCK_STREAM || !cap->o.frozen)
		return 0;
	AUTO_CLOSE int copy = fd_file_copy(cap, file);
	if (copy < 0)
		return copy;
	if (recv(copy, &out_of_band, 1, MSG_OOB | MSG_PEEK | MSG_DONTWAIT) == 1)
		fd_verdict_obstacle(v, "try again once the program has received it",
				    "an out-of-band byte has not been received yet");
	return 0;
}

static int unix_save(struct fd_capture *cap, struct fd_file *file, struct img_writer *w)
{
	const struct sock_state *s = file->state;

	(void)w;
	if (s->as == SOCK_ROLE_LISTENING || (s->as == SOCK_ROLE_IDLE && s->type != SOCK_DGRAM))
		return 0;
	AUTO_CLOSE int copy = fd_file_copy(cap, file);
	return copy < 0 ? copy : sock_queue_save(cap, file, copy);
}

const struct fd_kind fd_kind_unix = {
	.name = "unix socket",
	.state_schema = &sock_state_schema,
	.item_schema = &sock_item_schema,
	.claim = unix_claim,
	.inspect = unix_inspect,
	.resolve = unix_resolve,
	.check = unix_check,
	.save = unix_save,
	.plan = unix_plan,
	.prepare = unix_prepare,
	.install = unix_install,
	.commit = unix_commit,
	.abandon = unix_abandon,
};
