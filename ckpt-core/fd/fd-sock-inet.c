/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Internet sockets without connections: UDP, ping and raw. Made, bound and connected again; datagrams not yet read are dropped,
 * which is what networks do. */
#include "fd/fd-sock.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

static bool inet_claim(const struct fd_look *look)
{
	uint32_t domain, type, protocol;

	return S_ISSOCK(look->st->st_mode) && sock_identify(look->copy, &domain, &type, &protocol) &&
	       (domain == AF_INET || domain == AF_INET6) &&
	       ((type == SOCK_DGRAM && (protocol == IPPROTO_UDP || protocol == IPPROTO_UDPLITE || protocol == IPPROTO_ICMP ||
					protocol == IPPROTO_ICMPV6)) ||
		type == SOCK_RAW);
}

/* The name in messages and in --map. */
static const char *prefix_of(const struct sock_state *s)
{
	return s->type == SOCK_RAW              ? "raw"
	       : s->protocol == IPPROTO_UDP     ? "udp"
	       : s->protocol == IPPROTO_UDPLITE ? "udplite"
						: "ping";
}

static int inet_inspect(struct fd_capture *cap, struct fd_file *file, const struct fd_look *look)
{
	uint32_t domain, type, protocol;

	if (!sock_identify(look->copy, &domain, &type, &protocol))
		return -EBADF;
	const struct sock_state as = { .type = type, .protocol = protocol };
	int err = sock_inspect(cap, file, look, prefix_of(&as));
	struct sock_state *s = file->state;
	s->outside = s->remote.size != 0;
	return err;
}

static bool is_multicast(const struct img_bytes *address)
{
	const struct sockaddr_in *in = address->data;
	const struct sockaddr_in6 *in6 = address->data;

	if (!address->size)
		return false;
	return in->sin_family == AF_INET ? IN_MULTICAST(ntohl(in->sin_addr.s_addr)) : IN6_IS_ADDR_MULTICAST(&in6->sin6_addr);
}

static int inet_check(struct fd_capture *cap, struct fd_file *file, struct fd_verdict *v)
{
	const struct sock_state *s = file->state;

	fd_verdict_action(v, "made again%s%s%s%s%s%s", s->local.size ? ", bound to " : "", s->local.size ? s->local_text : "",
			  is_multicast(&s->local) ? ", group joined" : "", s->remote.size ? ", connected to " : "",
			  s->remote.size ? s->remote_text : "", "; unread datagrams are dropped");
	sock_check(cap, file, v);
	return 0;
}

/* ---- restore ---- */

/* A connected socket was mostly bound by connecting: its own address may then change, and so may the port if it is taken. */
static int bind_local(const struct sock_state *s, int fd, const struct sockaddr_storage *address, socklen_t size)
{
	struct sockaddr_storage any = { .ss_family = address->ss_family };

	if (!bind(fd, (const struct sockaddr *)address, size))
		return 0;
	if (!s->remote.size || (errno != EADDRNOTAVAIL && errno != EADDRINUSE))
		return -errno;
	return bind(fd, (struct sockaddr *)&any, size) ? -errno : 0;
}

static void word_fault(const struct fd_file *file, const struct sockaddr_storage *address, socklen_t size, int err,
		       struct fd_verdict *v)
{
	const struct sock_state *s = file->state;
	AUTO_FREE char *text = sock_address_text(prefix_of(s), address, size);
	char remedy[256];

	snprintf(remedy, sizeof(remedy), "%s, or take another with --map socket:%s:%u=NEWPORT (0 = any)",
		 err == -EADDRINUSE ? "stop who uses it (the original?)" :
		 err == -EADDRNOTAVAIL ? "give this host the address" :
		 err == -EACCES ? "run as root" : "see why", prefix_of(s), sock_address_port(s->local.data));
	fd_verdict_obstacle(v, remedy, "port %u is needed, but %s %s", sock_address_port(address), text ? text : "it",
			    err == -EADDRINUSE ? "is in use" :
			    err == -EADDRNOTAVAIL ? "is no address of this host" :
			    err == -EACCES ? "may not be used by this user" : strerror(-err));
}

static int inet_plan(struct fd_plan *plan, struct fd_file *file, struct fd_verdict *v)
{
	const struct sock_state *s = file->state;
	struct sockaddr_storage address;
	socklen_t size;
	int err = sock_validate(plan, file);

	if (err)
		return err;
	if ((s->domain != AF_INET && s->domain != AF_INET6) || (s->type != SOCK_DGRAM && s->type != SOCK_RAW) ||
	    s->as != SOCK_ROLE_IDLE)
		return report_fail(plan->rep, -EBADMSG, "image: the record of socket %u is damaged", file->r.id);
	AUTO_CLOSE int probe = socket((int)s->domain, (int)s->type | SOCK_CLOEXEC, (int)s->protocol);
	if (probe < 0) {
		fd_verdict_obstacle(v,
				    errno == EPERM || errno == EACCES
					    ? "run as root, or let the group use net.ipv4.ping_group_range"
					    : "use a kernel with this protocol",
				    "a %s socket cannot be made here: %s", prefix_of(s), strerror(errno));
		return 0;
	}
	if (!s->local.size)
		return 0;
	err = sock_address_mapped(plan, file, prefix_of(s), v, &address, &size);
	if (err)
		return err == -EINVAL ? 0 : err;
	fd_verdict_action(v, "bound to %s", s->local_text);
	sock_options_restore(plan, file, probe, true);
	err = bind_local(s, probe, &address, size);
	if (err)
		word_fault(file, &address, size, err, v);
	return 0;
}

/* Which groups a socket has joined cannot be read; one that is bound to a group's address has joined that. */
static void join_group(struct fd_plan *plan, const struct fd_file *file, const struct sockaddr_storage *address)
{
	const struct sockaddr_in *in = (const struct sockaddr_in *)address;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;
	struct ip_mreqn group4 = { 0 };
	struct ipv6_mreq group6 = { 0 };
	socklen_t size = sizeof(struct in_addr);
	char name[256];
	int err = 0, ifindex = 0;
	socklen_t index_size = sizeof(ifindex);

	if (in->sin_family == AF_INET) {
		group4.imr_multiaddr = in->sin_addr;
		getsockopt(file->fd, IPPROTO_IP, IP_MULTICAST_IF, &group4.imr_address, &size);
		err = setsockopt(file->fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group4, sizeof(group4)) ? -errno : 0;
	} else {
		group6.ipv6mr_multiaddr = in6->sin6_addr;
		getsockopt(file->fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, &ifindex, &index_size);
		group6.ipv6mr_interface = ifindex ? (unsigned)ifindex : in6->sin6_scope_id;
		err = setsockopt(file->fd, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &group6, sizeof(group6)) ? -errno : 0;
	}
	if (err)
		report_warn(plan->rep, "%s: its multicast group could not be joined again: %s",
			    fd_file_name(file, name, sizeof(name)), strerror(-err));
}

static int inet_prepare(struct fd_plan *plan, struct fd_file *file)
{
	const struct sock_state *s = file->state;
	struct sockaddr_storage address = { 0 };
	struct fd_verdict v = { 0 };
	socklen_t size = 0;
	char name[256];
	int fd = sock_create(plan, file), err = 0;

	if (fd < 0)
		return fd;
	file->fd = fd_plan_adopt(plan, fd);
	if (file->fd < 0)
		return file->fd;
	sock_options_restore(plan, file, file->fd, false);
	if (s->local.size)
		err = sock_address_mapped(plan, file, prefix_of(s), &v, &address, &size);
	if (!err && s->local.size) {
		err = bind_local(s, file->fd, &address, size);
		if (err)
			word_fault(file, &address, size, err, &v);
	}
	if (v.obstacle)
		report_fail(plan->rep, err, "%s; %s", v.obstacle, v.remedy ? v.remedy : "");
	free(v.obstacle);
	free(v.remedy);
	if (err)
		return err;
	if (is_multicast(&s->local))
		join_group(plan, file, &address);
	if (s->remote.size && connect(file->fd, s->remote.data, (socklen_t)s->remote.size))
		report_warn(plan->rep, "%s: could not be connected to %s again: %s", fd_file_name(file, name, sizeof(name)),
			    s->remote_text ? s->remote_text : "its other end", strerror(errno));
	return fd_set_status(plan, file, file->fd);
}

const struct fd_kind fd_kind_inet = {
	.name = "datagram socket",
	.state_schema = &sock_state_schema,
	.item_schema = &sock_item_schema,
	.claim = inet_claim,
	.inspect = inet_inspect,
	.check = inet_check,
	.plan = inet_plan,
	.prepare = inet_prepare,
};
