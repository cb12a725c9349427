/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* TCP sockets. Listening and bound ones are bound again; a connection to outside is found reset by its peer, or goes on
 * (fd-sock-repair.c); one between two sockets of the tree is made anew over the loopback interface. What was received and not read
 * comes first in any case. */
#include "fd/fd-sock.h"

#include <arpa/inet.h>
#include <linux/bpf.h> /* the TCP states, in a header for programs: BPF_TCP_LISTEN is TCP_LISTEN */
#include <linux/sockios.h>
#include <linux/tcp.h> /* glibc's struct tcp_info is shorter */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

static bool tcp_claim(const struct fd_look *look)
{
	uint32_t domain, type, protocol;

	return S_ISSOCK(look->st->st_mode) && sock_identify(look->copy, &domain, &type, &protocol) &&
	       (domain == AF_INET || domain == AF_INET6) && type == SOCK_STREAM &&
	       (protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP);
}

/* What has ended shows as readable to its end; what was never connected does not (net/ipv4/tcp.c, tcp_poll). */
static int inspect_closed(struct fd_file *file, int copy)
{
	struct pollfd p = { copy, POLLIN | POLLRDHUP, 0 };
	struct sock_state *s = file->state;

	if (poll(&p, 1, 0) < 0 || !(p.revents & POLLRDHUP))
		return 0;
	s->error = (p.revents & POLLERR) != 0;
	return sock_set_role(file, SOCK_ROLE_RESET);
}

static int tcp_inspect(struct fd_capture *cap, struct fd_file *file, const struct fd_look *look)
{
	struct sock_state *s = file->state;
	struct tcp_info info = { 0 };
	socklen_t size = sizeof(info);
	int err = sock_inspect(cap, file, look, "tcp");

	if (err)
		return err;
	if (getsockopt(look->copy, IPPROTO_TCP, TCP_INFO, &info, &size)) {
		s->trouble = "the kernel does not tell its state (TCP_INFO)";
		return 0;
	}
	switch (info.tcpi_state) {
	case BPF_TCP_LISTEN:
		s->pending = info.tcpi_unacked; /* in this state: the accept queue and its limit (tcp_get_info) */
		s->backlog = info.tcpi_sacked;
		return sock_set_role(file, SOCK_ROLE_LISTENING);
	case BPF_TCP_CLOSE:
		return inspect_closed(file, look->copy);
	case BPF_TCP_CLOSE_WAIT:
	case BPF_TCP_LAST_ACK:
	case BPF_TCP_CLOSING:
	case BPF_TCP_TIME_WAIT:
		s->shutdown = 1;
		break;
	default:
		break;
	}
	if (info.tcpi_state == BPF_TCP_FIN_WAIT1 || info.tcpi_state == BPF_TCP_FIN_WAIT2 ||
	    info.tcpi_state == BPF_TCP_LAST_ACK || info.tcpi_state == BPF_TCP_CLOSING || info.tcpi_state == BPF_TCP_TIME_WAIT)
		s->shutdown |= 2;
	s->outside = true; /* unless resolve finds the other end */
	s->error = true;
	if (cap->o.tcp == STASIS_TCP_REPAIR)
		sock_repair_judge(file, look->copy, &info);
	return sock_set_role(file, s->shutdown & 1 ? SOCK_ROLE_CLOSED : SOCK_ROLE_RESET);
}

/* The address as AF_INET6 has it, so that both ends compare equal whichever family they use. */
static bool plain_address(const struct img_bytes *from, struct in6_addr *ret_host, in_port_t *ret_port)
{
	const struct sockaddr_in *in = from->data;
	const struct sockaddr_in6 *in6 = from->data;

	if (!from->size)
		return false;
	if (in->sin_family == AF_INET6) {
		*ret_host = in6->sin6_addr;
		*ret_port = in6->sin6_port;
		return true;
	}
	*ret_host = (struct in6_addr){ .s6_addr = { [10] = 0xff, [11] = 0xff } };
	memcpy(&ret_host->s6_addr[12], &in->sin_addr, 4);
	*ret_port = in->sin_port;
	return true;
}

static bool same_address(const struct img_bytes *a, const struct img_bytes *b)
{
	struct in6_addr host_a, host_b;
	in_port_t port_a, port_b;

	return plain_address(a, &host_a, &port_a) && plain_address(b, &host_b, &port_b) && port_a == port_b &&
	       IN6_ARE_ADDR_EQUAL(&host_a, &host_b);
}

static bool is_connection(const struct fd_file *file)
{
	const struct sock_state *s = file->state;

	return file->kind == &fd_kind_tcp && s->outside && s->protocol == IPPROTO_TCP && s->remote.size;
}

static int tcp_resolve(struct fd_capture *cap, struct fd_file *file)
{
	struct sock_state *s = file->state;
	int err = 0;

	if (s->as == SOCK_ROLE_PAIR || !s->outside)
		return 0;
	for (size_t i = 0; is_connection(file) && i < cap->files.n; i++) {
		struct fd_file *other = cap->files.items[i];
		struct sock_state *o = other->state;

		if (other == file || !is_connection(other) || o->netns != s->netns || !same_address(&s->local, &o->remote) ||
		    !same_address(&s->remote, &o->local))
			continue;
		s->peer = other->r.id;
		o->peer = file->r.id;
		s->outside = o->outside = s->error = o->error = false;
		err = sock_set_role(file, SOCK_ROLE_PAIR);
		return err ? err : sock_set_role(other, SOCK_ROLE_PAIR);
	}
	if (cap->o.tcp == STASIS_TCP_REPAIR && !s->not_kept)
		return sock_set_role(file, SOCK_ROLE_KEPT);
	file->r.stdio = true;
	return 0;
}

/* What `from` has written and `to` not received, in bytes. A FIN that has arrived came after all data; before it, the receiver
 * counts the same bytes as the sender. SIOCOUTQ would count what has arrived but is not acknowledged yet. */
static int64_t under_way(const struct tcp_info *from, const struct tcp_info *to)
{
	if (to->tcpi_state == BPF_TCP_CLOSE_WAIT || to->tcpi_state == BPF_TCP_LAST_ACK || to->tcpi_state == BPF_TCP_CLOSING ||
	    to->tcpi_state == BPF_TCP_TIME_WAIT)
		return 0;
	return (int64_t)(from->tcpi_bytes_sent - from->tcpi_bytes_retrans - to->tcpi_bytes_received) + from->tcpi_notsent_bytes;
}

/* The kernel may still be carrying something over although the processes stand: gives it a moment. */
static int check_delivered(struct fd_capture *cap, struct fd_file *file, struct fd_verdict *v)
{
	const struct sock_state *s = file->state;
	AUTO_CLOSE int from = fd_file_copy(cap, file);
	AUTO_CLOSE int to = fd_file_copy(cap, cap->files.items[s->peer - 1]);
	struct timespec pause = { 0, 5000000 };
	int64_t bytes = 0;

	if (from < 0 || to < 0)
		return from < 0 ? from : to;
	for (int i = 0; i < 20; i++) {
		struct tcp_info info[2] = { 0 };
		socklen_t size[2] = { sizeof(info[0]), sizeof(info[1]) };

		if (getsockopt(from, IPPROTO_TCP, TCP_INFO, &info[0], &size[0]) ||
		    getsockopt(to, IPPROTO_TCP, TCP_INFO, &info[1], &size[1]))
			return report_fail(cap->rep, -errno, "the kernel does not tell the state of a TCP connection: %s",
					   strerror(errno));
		bytes = under_way(&info[0], &info[1]);
		if (bytes <= 0)
			return 0;
		nanosleep(&pause, NULL);
	}
	fd_verdict_obstacle(v, "try again once the other end has read",
			    "%lld bytes are on their way to the other end and cannot be seen", (long long)bytes);
	return 0;
}

static int tcp_check(struct fd_capture *cap, struct fd_file *file, struct fd_verdict *v)
{
	const struct sock_state *s = file->state;
	const char *where = s->other_netns ? ", in the network namespace of whoever restarts" : "";
	const char *why = cap->o.tcp == STASIS_TCP_REPAIR && s->outside ? s->not_kept : NULL, *so = why ? ": " : "";
	int err = 0;

	switch (s->as) {
	case SOCK_ROLE_PAIR:
		fd_verdict_action(v, "connected to its other end in the tree again, with new port numbers; unread data saved");
		err = cap->o.frozen ? check_delivered(cap, file, v) : 0;
		break;
	case SOCK_ROLE_CLOSED:
		fd_verdict_action(v, "closed by %s: unread data saved", s->remote_text);
		break;
	case SOCK_ROLE_RESET:
		if (s->outside)
			fd_verdict_action(v, "connection to %s: unread data saved, then it looks reset by the other side%s%s",
					  s->remote_text ? s->remote_text : "nobody yet", so, why ? why : "");
		else
			fd_verdict_action(v, "ended connection: unread data saved");
		break;
	case SOCK_ROLE_LISTENING:
		if (s->pending)
			fd_verdict_action(v, "listens on %s again%s; %u clients that wait to be accepted are dropped",
					  s->local_text, where, s->pending);
		else
			fd_verdict_action(v, "listens on %s again%s; clients not accepted by then are dropped", s->local_text,
					  where);
		break;
	case SOCK_ROLE_KEPT:
		fd_verdict_action(v, "connection to %s: goes on, with all that is in its queues", s->remote_text);
		if (!s->may_hold)
			fd_verdict_obstacle(v, "run as root, or use --tcp=reset",
					    "its connection to %s can be kept only with CAP_NET_ADMIN over its network namespace",
					    s->remote_text);
		break;
	case SOCK_ROLE_IDLE:
	case SOCK_ROLES:
		fd_verdict_action(v, s->local.size ? "bound to %s again%s" : "made again", s->local_text, where);
	}
	sock_check(cap, file, v);
	return err;
}

static int tcp_save(struct fd_capture *cap, struct fd_file *file, struct img_writer *w)
{
	const struct sock_state *s = file->state;

	(void)w;
	file->later = s->as == SOCK_ROLE_KEPT;
	if (s->as == SOCK_ROLE_LISTENING || s->as == SOCK_ROLE_IDLE || s->as == SOCK_ROLE_KEPT)
		return 0;
	AUTO_CLOSE int copy = fd_file_copy(cap, file);
	return copy < 0 ? copy : sock_queue_save(cap, file, copy);
}

/* The role of a connection that has ended while the target stood. */
static int inspect_ended(struct fd_file *file, int copy)
{
	struct sock_state *s = file->state;
	struct tcp_info info = { 0 };
	socklen_t size = sizeof(info);

	if (getsockopt(copy, IPPROTO_TCP, TCP_INFO, &info, &size))
		return -errno;
	if (info.tcpi_state == BPF_TCP_CLOSE)
		return inspect_closed(file, copy);
	s->shutdown |= 1;
	return sock_set_role(file, SOCK_ROLE_CLOSED);
}

static int tcp_save_late(struct fd_capture *cap, struct fd_file *file)
{
	bool ended = false;
	int err = sock_repair_save(cap, file, &ended);

	if (err || !ended)
		return err;
	AUTO_CLOSE int copy = fd_file_copy(cap, file);
	if (copy >= 0 && !(err = inspect_ended(file, copy)))
		err = sock_queue_save(cap, file, copy);
	return copy < 0 ? copy : err;
}

/* ---- restore ---- */

static bool pair_is_whole(struct fd_plan *plan, const struct fd_file *file)
{
	const struct sock_state *s = file->state, *p;
	struct fd_file *peer = fd_plan_file(plan, s->peer);

	if (!peer || peer == file || peer->kind != file->kind || peer->foreign_fd || peer->slot_fd < 0)
		return false;
	p = peer->state;
	return p->peer == file->r.id && p->role && !strcmp(p->role, s->role);
}

static void word_bind_fault(const struct fd_file *file, const struct sockaddr_storage *address, socklen_t size, int err,
			    struct fd_verdict *v)
{
	const struct sock_state *s = file->state;
	AUTO_FREE char *text = sock_address_text("tcp", address, size);
	char remedy[512];

	snprintf(remedy, sizeof(remedy), "%s, or take another with --map socket:tcp:%u=NEWPORT or --map socket:%s=ADDRESS:PORT",
		 err == -EADDRINUSE
			 ? "stop who uses it (the original? what is left of its connections goes away within a minute)"
		 : err == -EADDRNOTAVAIL ? "give this host the address"
		 : err == -EACCES        ? "run as root"
					 : "see why",
		 sock_address_port(s->local.data), s->local_text ? s->local_text : "");
	fd_verdict_obstacle(v, remedy, "port %u is needed, but %s %s", sock_address_port(address), text ? text : "it",
			    err == -EADDRINUSE ? "is in use" :
			    err == -EADDRNOTAVAIL ? "is no address of this host" :
			    err == -EACCES ? "may not be used by this user" : strerror(-err));
}

static int bind_to(int fd, const struct sockaddr_storage *address, socklen_t size)
{
	return bind(fd, (const struct sockaddr *)address, size) ? -errno : 0;
}

/* Tries on a socket of its own; two sockets of the image that share a port do not meet here. */
static int try_bind(struct fd_plan *plan, struct fd_file *file, struct fd_verdict *v)
{
	const struct sock_state *s = file->state;
	struct sockaddr_storage address;
	socklen_t size;
	int err = sock_address_mapped(plan, file, "tcp", v, &address, &size);

	if (err)
		return err == -EINVAL ? 0 : err;
	AUTO_CLOSE int probe = socket((int)s->domain, (int)s->type | SOCK_CLOEXEC, (int)s->protocol);
	if (probe < 0) {
		fd_verdict_obstacle(v, "use a kernel with this protocol", "this host has no %s sockets: %s",
				    s->domain == AF_INET6 ? "IPv6" : "TCP", strerror(errno));
		return 0;
	}
	sock_options_restore(plan, file, probe, true);
	if (address.ss_family && sock_address_port(&address)) {
		err = bind_to(probe, &address, size);
		if (err)
			word_bind_fault(file, &address, size, err, v);
	}
	return 0;
}

static int tcp_plan(struct fd_plan *plan, struct fd_file *file, struct fd_verdict *v)
{
	const struct sock_state *s = file->state;
	bool anew = false;
	int err = sock_validate(plan, file);

	if (err)
		return err;
	if ((s->domain != AF_INET && s->domain != AF_INET6) || s->type != SOCK_STREAM ||
	    (s->protocol != IPPROTO_TCP && s->protocol != IPPROTO_MPTCP) ||
	    (s->as == SOCK_ROLE_PAIR && !pair_is_whole(plan, file)))
		return report_fail(plan->rep, -EBADMSG, "image: the record of TCP socket %u is damaged", file->r.id);
	if (s->as == SOCK_ROLE_LISTENING || s->as == SOCK_ROLE_IDLE) {
		fd_verdict_action(v,
				  s->as == SOCK_ROLE_LISTENING ? "listens on %s"
				  : s->local.size              ? "bound to %s"
							       : "made again",
				  s->local_text);
		return s->local.size ? try_bind(plan, file, v) : 0;
	}
	if ((err = sock_connect_plan(plan, file, "tcp", v, &anew)) || anew)
		return err;
	if (s->as == SOCK_ROLE_KEPT && plan->o.tcp != STASIS_TCP_RESET)
		return sock_repair_plan(plan, file, v);
	if (s->outside && s->as == SOCK_ROLE_RESET && plan->o.tcp == STASIS_TCP_REPAIR)
		fd_verdict_obstacle(v, "leave out --tcp, or checkpoint with --stop --tcp=repair",
				    "the image does not have the state of its connection to %s", s->remote_text ? s->remote_text : "outside");
	if (s->outside)
		fd_verdict_action(v, "its connection to %s looks %s by the other side",
				  s->remote_text ? s->remote_text : "outside", s->as == SOCK_ROLE_CLOSED ? "closed" : "reset");
	return 0;
}

static int loopback_connect(int domain, const struct sockaddr *address, socklen_t size, int *ret_a, int *ret_b)
{
	struct sockaddr_storage at = { 0 }, from = { 0 }, peer = { 0 };
	socklen_t at_size = sizeof(at), from_size = sizeof(from), peer_size = sizeof(peer);
	AUTO_CLOSE int listener = socket(domain, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
	AUTO_CLOSE int a = socket(domain, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
	AUTO_CLOSE int b = -1;

	if (listener < 0 || a < 0 || bind(listener, address, size) || listen(listener, 4) ||
	    getsockname(listener, (struct sockaddr *)&at, &at_size) || connect(a, (struct sockaddr *)&at, at_size) ||
	    getsockname(a, (struct sockaddr *)&from, &from_size))
		return -errno;
	/* Anybody on this host may connect to the port in that moment: take the one that is ours. */
	for (;;) {
		b = accept4(listener, (struct sockaddr *)&peer, &peer_size, SOCK_CLOEXEC);
		if (b < 0)
			return -errno;
		if (peer_size == from_size && !memcmp(&peer, &from, from_size))
			break;
		close(STEAL_FD(b));
		peer_size = sizeof(peer);
	}
	*ret_a = STEAL_FD(a);
	*ret_b = STEAL_FD(b);
	return 0;
}

/* A connected pair over the loopback interface; without IPv6 on it an AF_INET6 socket uses IPv4 addresses. */
static int loopback_pair(struct fd_plan *plan, const struct fd_file *file, int *ret_a, int *ret_b)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	const struct sock_state *s = file->state;
	char name[256];
	int err;

	if (s->domain == AF_INET6) {
		err = loopback_connect(AF_INET6, (struct sockaddr *)&in6, sizeof(in6), ret_a, ret_b);
		if (err) {
			inet_pton(AF_INET6, "::ffff:127.0.0.1", &in6.sin6_addr);
			err = loopback_connect(AF_INET6, (struct sockaddr *)&in6, sizeof(in6), ret_a, ret_b);
		}
	} else {
		err = loopback_connect(AF_INET, (struct sockaddr *)&in, sizeof(in), ret_a, ret_b);
	}
	if (err)
		return report_fail(plan->rep, err,
				   "%s: no connection over the loopback interface can be made: %s; try ip link set lo up",
				   fd_file_name(file, name, sizeof(name)), strerror(-err));
	return 0;
}

/* Waits until all that was sent has arrived: a reset would destroy what is still with the sender. */
static bool wait_delivered(int writer)
{
	struct timespec pause = { 0, 1000000 };
	int left = 0;

	for (int i = 0; i < 1000; i++) {
		if (ioctl(writer, SIOCOUTQ, &left) || left == 0)
			return left == 0;
		nanosleep(&pause, NULL);
	}
	return false;
}

static int put_unread(struct fd_plan *plan, const struct fd_file *file, int writer, int reader)
{
	int err = sock_queue_put(plan, file, writer, reader);

	if (!err && sock_queue_bytes(file) && !wait_delivered(writer))
		err = -ENOBUFS;
	return err;
}

static int too_much(struct fd_plan *plan, const struct fd_file *file)
{
	char name[256];

	return report_fail(plan->rep, -ENOBUFS,
			   "%s: its unread data (%zu bytes) does not fit into a new socket; raise net.core.rmem_max",
			   fd_file_name(file, name, sizeof(name)), sock_queue_bytes(file));
}

static int finish(struct fd_plan *plan, struct fd_file *file)
{
	sock_options_restore(plan, file, file->fd, false);
	return fd_set_status(plan, file, file->fd);
}

static int make_pair(struct fd_plan *plan, struct fd_file *a)
{
	struct fd_file *b = fd_plan_file(plan, ((struct sock_state *)a->state)->peer);
	const struct sock_state *sa = a->state, *sb = b->state;
	AUTO_CLOSE int fd_a = -1;
	AUTO_CLOSE int fd_b = -1;
	int err = loopback_pair(plan, sa->domain == AF_INET6 ? a : b, &fd_a, &fd_b);

	if (!err)
		err = a->fd = fd_plan_adopt(plan, STEAL_FD(fd_a));
	if (err >= 0)
		err = b->fd = fd_plan_adopt(plan, STEAL_FD(fd_b));
	if (err >= 0)
		err = put_unread(plan, a, b->fd, a->fd);
	if (!err)
		err = put_unread(plan, b, a->fd, b->fd);
	if (err == -ENOBUFS)
		return too_much(plan, a);
	if (!err)
		err = finish(plan, a);
	if (!err)
		err = finish(plan, b);
	if (!err && (sa->shutdown & 2))
		shutdown(a->fd, SHUT_WR);
	if (!err && (sb->shutdown & 2))
		shutdown(b->fd, SHUT_WR);
	return err;
}

/* The other end goes away: with a reset, or, where it had said its goodbye already, without. */
static int make_ended(struct fd_plan *plan, struct fd_file *file)
{
	const struct sock_state *s = file->state;
	struct linger at_once = { .l_onoff = 1 };
	AUTO_CLOSE int fd = -1;
	AUTO_CLOSE int other = -1;
	char name[256];
	int err = loopback_pair(plan, file, &fd, &other), value;
	socklen_t size = sizeof(value);

	if (err)
		return err;
	file->fd = fd_plan_adopt(plan, STEAL_FD(fd));
	if (file->fd < 0)
		return file->fd;
	err = put_unread(plan, file, other, file->fd);
	if (err == -ENOBUFS)
		report_warn(plan->rep,
			    "%s: not all of its unread data (%zu bytes) fits into a new socket, the end is lost with the "
			    "connection",
			    fd_file_name(file, name, sizeof(name)), sock_queue_bytes(file));
	else if (err)
		return err;
	err = finish(plan, file);
	if (s->as != SOCK_ROLE_CLOSED)
		setsockopt(other, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	else if (s->shutdown & 2)
		shutdown(file->fd, SHUT_WR);
	close(STEAL_FD(other));
	if (s->as != SOCK_ROLE_CLOSED && !s->error)
		getsockopt(file->fd, SOL_SOCKET, SO_ERROR, &value, &size); /* the program has seen it */
	return err;
}

static int make_bound(struct fd_plan *plan, struct fd_file *file)
{
	const struct sock_state *s = file->state;
	struct sockaddr_storage address;
	struct fd_verdict v = { 0 };
	socklen_t size = 0;
	int fd = sock_create(plan, file), err;

	if (fd < 0)
		return fd;
	file->fd = fd_plan_adopt(plan, fd);
	if (file->fd < 0)
		return file->fd;
	err = finish(plan, file);
	if (err || !s->local.size)
		return err;
	err = sock_address_mapped(plan, file, "tcp", &v, &address, &size);
	if (!err)
		err = bind_to(file->fd, &address, size);
	if (!err && s->as == SOCK_ROLE_LISTENING && listen(file->fd, (int)s->backlog))
		err = -errno;
	if (err && !v.obstacle)
		word_bind_fault(file, &address, size, err, &v);
	if (err)
		report_fail(plan->rep, err, "%s; %s", v.obstacle ? v.obstacle : s->local_text, v.remedy ? v.remedy : "");
	free(v.obstacle);
	free(v.remedy);
	return err;
}

/* A connection that was accepted has the listener's port: the listener, which may not insist on it, gets it first. */
static int make_kept(struct fd_plan *plan, struct fd_file *file)
{
	vec_each(&plan->files, it) {
		const struct sock_state *s = (*it)->state;
		if ((*it)->kind != &fd_kind_tcp || s->as != SOCK_ROLE_LISTENING || (*it)->fd >= 0 || (*it)->foreign_fd || (*it)->slot_fd < 0)
			continue;
		int err = make_bound(plan, *it);
		if (err)
			return err;
	}
	return sock_repair_make(plan, file);
}

static int tcp_prepare(struct fd_plan *plan, struct fd_file *file)
{
	const struct sock_state *s = file->state;

	if (s->anew_size)
		return sock_connect_make(plan, file);
	switch (s->as) {
	case SOCK_ROLE_PAIR:
		return file->fd >= 0 ? 0 : make_pair(plan, file);
	case SOCK_ROLE_KEPT:
		return plan->o.tcp == STASIS_TCP_RESET ? make_ended(plan, file) : make_kept(plan, file);
	case SOCK_ROLE_CLOSED:
	case SOCK_ROLE_RESET:
		return make_ended(plan, file);
	case SOCK_ROLE_IDLE:
	case SOCK_ROLE_LISTENING:
	case SOCK_ROLES:
		break;
	}
	return make_bound(plan, file);
}

static int tcp_live(struct fd_plan *plan, struct fd_file *file)
{
	const struct sock_state *s = file->state;

	return s->as == SOCK_ROLE_KEPT && plan->o.tcp != STASIS_TCP_RESET && !s->anew_size ? sock_repair_live(plan, file) : 0;
}

const struct fd_kind fd_kind_tcp = {
	.name = "tcp socket",
	.state_schema = &sock_state_schema,
	.item_schema = &sock_item_schema,
	.claim = tcp_claim,
	.inspect = tcp_inspect,
	.resolve = tcp_resolve,
	.check = tcp_check,
	.save = tcp_save,
	.save_late = tcp_save_late,
	.dying = sock_repair_dying,
	.plan = tcp_plan,
	.prepare = tcp_prepare,
	.live = tcp_live,
};
