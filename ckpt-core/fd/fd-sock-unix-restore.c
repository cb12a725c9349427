/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Unix sockets, the restoring half: pairs with their unread data, ends whose peer is gone, bound and listening sockets. */
#include "fd/fd-sock-unix.h"

#include <stdio.h>
#include <string.h>

/* What the image could have wrong: the peer is another kind of thing, or not used by any process. */
static bool peer_is_usable(struct fd_plan *plan, const struct fd_file *file)
{
	const struct fd_file *peer = fd_plan_file(plan, ((struct sock_state *)file->state)->peer);

	return peer && peer->kind == file->kind && !peer->foreign_fd && peer->slot_fd >= 0;
}

static bool pair_is_whole(struct fd_plan *plan, const struct fd_file *file)
{
	const struct sock_state *s = file->state, *p;
	struct fd_file *peer = fd_plan_file(plan, s->peer);

	if (!peer_is_usable(plan, file))
		return false;
	p = peer->state;
	return p->peer == file->r.id && p->type == s->type && p->role && !strcmp(p->role, s->role);
}

/* Sockets of a connection do not get their names again: an accepted one has its listener's. */
static bool needs_place(const struct sock_state *s)
{
	if (s->type == SOCK_DGRAM)
		return s->local.size && s->as != SOCK_ROLE_CLOSED;
	return s->local.size && (s->as == SOCK_ROLE_LISTENING || s->as == SOCK_ROLE_IDLE);
}

/* A pair whose ends only one process holds is made by that process, for SO_PEERCRED; unless files come with it, which the
 * caller has to be able to take away again. */
static bool is_late(struct fd_plan *plan, const struct fd_file *file)
{
	const struct sock_state *s = file->state;
	struct fd_file *peer = fd_plan_file(plan, s->peer);
	uint32_t a, b;

	if (needs_place(s) || needs_place(peer->state))
		return false;
	return sock_held_by_one(plan, file, &a) && sock_held_by_one(plan, peer, &b) && a == b;
}

int unix_plan(struct fd_plan *plan, struct fd_file *file, struct fd_verdict *v)
{
	struct sock_state *s = file->state;
	bool anew = false;
	int err = sock_validate(plan, file);

	if (err)
		return err;
	if (s->domain != AF_UNIX || (s->type != SOCK_STREAM && s->type != SOCK_DGRAM && s->type != SOCK_SEQPACKET) ||
	    s->as == SOCK_ROLE_RESET || s->as == SOCK_ROLE_KEPT || (s->as == SOCK_ROLE_PAIR && !pair_is_whole(plan, file)) ||
	    (s->as == SOCK_ROLE_LISTENING && !s->local.size) ||
	    (s->as == SOCK_ROLE_IDLE && s->peer && (s->type != SOCK_DGRAM || !peer_is_usable(plan, file))))
		return report_fail(plan->rep, -EBADMSG, "image: the record of unix socket %u is damaged", file->r.id);
	if (s->as == SOCK_ROLE_PAIR)
		s->late = is_late(plan, file);
	if (s->as == SOCK_ROLE_CLOSED && ((err = sock_connect_plan(plan, file, "unix", v, &anew)) || anew))
		return err;
	if (s->outside)
		fd_verdict_action(v, s->as == SOCK_ROLE_CLOSED ? "its connection to outside looks closed by the other side" :
								 "connected to %s again if somebody is there",
				  s->remote_text ? s->remote_text : "");
	else if (s->local_text && needs_place(s))
		fd_verdict_action(v, s->as == SOCK_ROLE_LISTENING ? "listens on %s" : "bound to %s", s->local_text);
	return needs_place(s) ? unix_place_plan(plan, file, v) : 0;
}

static void shut(const struct sock_state *s, int fd)
{
	if (s->shutdown & 1)
		shutdown(fd, SHUT_RD);
	if (s->shutdown & 2)
		shutdown(fd, SHUT_WR);
}

static int put_unread(struct fd_plan *plan, const struct fd_file *file, int writer, int reader)
{
	char name[256];
	int err = sock_queue_put(plan, file, writer, reader);

	if (err == -ENOBUFS)
		return report_fail(plan->rep, err, "%s: its unread data (%zu bytes) does not fit into a new socket; raise "
				   "net.core.wmem_max and net.unix.max_dgram_qlen", fd_file_name(file, name, sizeof(name)),
				   sock_queue_bytes(file));
	return err;
}

static int finish(struct fd_plan *plan, struct fd_file *file)
{
	sock_options_restore(plan, file, file->fd, false);
	return fd_set_status(plan, file, file->fd);
}

/* Takes both ends over, or closes what is left of them. */
static int adopt_ends(struct fd_plan *plan, int ends[2], int *ret_first, int *ret_second)
{
	int first = fd_plan_adopt(plan, ends[0]), second;

	if (first < 0) {
		close(ends[1]);
		return first;
	}
	second = fd_plan_adopt(plan, ends[1]);
	if (second < 0) {
		close(first);
		return second;
	}
	*ret_first = first;
	*ret_second = second;
	return 0;
}

static int new_ends(struct fd_plan *plan, const struct fd_file *file, int *ret_first, int *ret_second)
{
	const struct sock_state *s = file->state;
	int ends[2];

	if (socketpair(AF_UNIX, (int)s->type | SOCK_CLOEXEC, 0, ends)) {
		int err = -errno;
		return report_fail(plan->rep, err, "a pair of unix sockets cannot be made: %s", strerror(-err));
	}
	return adopt_ends(plan, ends, ret_first, ret_second);
}

/* A datagram socket can be connected to itself (bound, then connected to its own name): the only pair with one end. */
static int make_self_pair(struct fd_plan *plan, struct fd_file *file)
{
	int fd = sock_create(plan, file), err;

	if (fd < 0)
		return fd;
	file->fd = fd_plan_adopt(plan, fd);
	if (file->fd < 0)
		return file->fd;
	err = file->own_ptr ? unix_place_bind(plan, file, file->fd) : 0;
	if (!err && unix_place_connect(file, file->fd))
		err = report_fail(plan->rep, -errno, "a unix socket cannot be connected to itself again: %s", strerror(errno));
	if (!err)
		err = put_unread(plan, file, file->fd, file->fd);
	return err ? err : finish(plan, file);
}

/* Names come first (a datagram shows its sender's), data before options (buffer sizes), shutdown last. */
static int make_pair(struct fd_plan *plan, struct fd_file *a)
{
	struct fd_file *b = fd_plan_file(plan, ((struct sock_state *)a->state)->peer);
	int err;

	if (a == b)
		return make_self_pair(plan, a);
	err = new_ends(plan, a, &a->fd, &b->fd);
	if (!err && a->own_ptr)
		err = unix_place_bind(plan, a, a->fd);
	if (!err && b->own_ptr)
		err = unix_place_bind(plan, b, b->fd);
	if (!err)
		err = put_unread(plan, a, b->fd, a->fd);
	if (!err)
		err = put_unread(plan, b, a->fd, b->fd);
	if (!err)
		err = finish(plan, a);
	if (!err)
		err = finish(plan, b);
	if (err)
		return err;
	shut(a->state, a->fd);
	shut(b->state, b->fd);
	return 0;
}

static int make_closed(struct fd_plan *plan, struct fd_file *file)
{
	AUTO_CLOSE int other = -1;
	int err = new_ends(plan, file, &file->fd, &other);

	if (!err)
		err = put_unread(plan, file, other, file->fd);
	if (!err)
		err = finish(plan, file);
	if (!err)
		shut(file->state, file->fd);
	return err;
}

/* Sends what was unread in a bound datagram socket from a nameless one, before anything is connected: afterwards only the
 * peer might send. */
static int put_datagrams(struct fd_plan *plan, struct fd_file *file)
{
	if (!file->n_items)
		return 0;
	AUTO_CLOSE int writer = sock_create(plan, file);
	struct sockaddr_storage name = { 0 };
	socklen_t size = sizeof(name);
	const struct unix_place *place = file->own_ptr;
	int err;

	if (writer < 0)
		return writer;
	if (place && place->ino)
		err = unix_place_connect(file, writer);
	else
		err = getsockname(file->fd, (struct sockaddr *)&name, &size) || connect(writer, (struct sockaddr *)&name, size)
			      ? -errno
			      : 0;
	if (err)
		return report_fail(plan->rep, err, "a unix socket cannot be filled with its unread data: %s", strerror(-err));
	return put_unread(plan, file, writer, file->fd);
}

/* Makes an idle or listening socket up to its name; harmless when it is there already. */
static int make_bound(struct fd_plan *plan, struct fd_file *file)
{
	const struct sock_state *s = file->state;
	int fd, err = 0;

	if (file->fd >= 0)
		return 0;
	fd = sock_create(plan, file);
	if (fd < 0)
		return fd;
	file->fd = fd_plan_adopt(plan, fd);
	if (file->fd < 0)
		return file->fd;
	if (file->own_ptr)
		err = unix_place_bind(plan, file, file->fd);
	if (!err && file->own_ptr && s->type == SOCK_DGRAM)
		err = put_datagrams(plan, file);
	return err ? err : finish(plan, file);
}

static int connect_outside(const struct fd_file *file)
{
	const struct sock_state *s = file->state;

	return connect(file->fd, s->remote.data, (socklen_t)s->remote.size) ? -errno : 0;
}

/* A datagram socket that is connected, but not back. */
static int connect_datagram(struct fd_plan *plan, struct fd_file *file)
{
	const struct sock_state *s = file->state;
	struct fd_file *peer = s->peer ? fd_plan_file(plan, s->peer) : NULL;
	char name[256];
	int err;

	if (!s->peer && !s->remote.size)
		return 0;
	if (peer) {
		const struct sock_state *p = peer->state;
		err = p->as == SOCK_ROLE_IDLE ? make_bound(plan, peer) : 0;
		if (err)
			return err;
		err = unix_place_connect(peer, file->fd);
	} else {
		err = connect_outside(file);
	}
	if (err)
		report_warn(plan->rep, "%s: not connected any more, nobody answers at %s (%s)",
			    fd_file_name(file, name, sizeof(name)), s->remote_text ? s->remote_text : "its other end",
			    strerror(-err));
	return 0;
}

int unix_prepare(struct fd_plan *plan, struct fd_file *file)
{
	struct sock_state *s = file->state;
	char name[256];
	int err;

	switch (s->as) {
	case SOCK_ROLE_PAIR:
		return s->late || file->fd >= 0 ? 0 : make_pair(plan, file);
	case SOCK_ROLE_CLOSED:
	case SOCK_ROLE_RESET:
	case SOCK_ROLE_KEPT:
		return s->anew_size ? sock_connect_make(plan, file) : make_closed(plan, file);
	case SOCK_ROLE_IDLE:
	case SOCK_ROLE_LISTENING:
	case SOCK_ROLES:
		break;
	}
	err = make_bound(plan, file);
	if (!err && s->as == SOCK_ROLE_IDLE && s->type == SOCK_DGRAM)
		err = connect_datagram(plan, file);
	if (!err && s->as == SOCK_ROLE_LISTENING && listen(file->fd, (int)s->backlog)) {
		err = -errno;
		return report_fail(plan->rep, err, "%s cannot listen again: %s", fd_file_name(file, name, sizeof(name)),
				   strerror(-err));
	}
	if (!err && s->as == SOCK_ROLE_IDLE)
		shut(s, file->fd);
	return err;
}

/* listen again in the process itself: clients see in SO_PEERCRED who called it last. */
int unix_install(struct fd_plan *plan, struct fd_file *file, uint32_t process)
{
	const struct sock_state *s = file->state;

	(void)process;
	if (s->as == SOCK_ROLE_PAIR && s->late && file->fd < 0)
		return make_pair(plan, file);
	if (s->as == SOCK_ROLE_LISTENING && file->fd >= 0)
		listen(file->fd, (int)s->backlog);
	return 0;
}

int unix_commit(struct fd_plan *plan, struct fd_file *file)
{
	return unix_place_commit(plan, file);
}

void unix_abandon(struct fd_plan *plan, struct fd_file *file)
{
	(void)plan;
	unix_place_abandon(file);
}
