/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Socket options: one table of those that can be read and set again. Saved is what differs from a new socket of the same
 * sort. */
#include "fd/fd-sock.h"

#include <linux/errqueue.h>
#include <linux/filter.h>
#include <linux/in6.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>

/* Which sockets have the option. */
#define ON_UNIX    0x01u
#define ON_INET    0x02u /* AF_INET and AF_INET6 */
#define ON_INET6   0x04u
#define ON_TCP     0x08u
#define ON_UDP     0x10u
#define ON_RAW     0x20u
#define ON_NETLINK 0x40u
#define ON_ANY     (ON_UNIX | ON_INET | ON_NETLINK)

enum option_how {
	HOW_PLAIN,   /* what was read is set */
	HOW_BUFFER,  /* reads as twice what was set; the kernel changes it by itself unless it is locked */
	HOW_STRING,  /* empty = not set */
	HOW_FILTER,  /* read in instructions, set as a struct sock_fprog */
	HOW_UNCONNECTED, /* plain, but says something else on a connection */
};

struct option_kind {
	const char *label;
	int level, name;
	unsigned on;
	enum option_how how;
};

#define OPTION(level, name, on) { #name, level, name, on, HOW_PLAIN }
#define OPTION_AS(level, name, number, on) { #name, level, number, on, HOW_PLAIN } /* newer than the oldest headers */
#define OPTION_HOW(level, name, on, how) { #name, level, name, on, how }

/* In the order in which they are set: a filter before its lock. Numbers are those of include/uapi. */
static const struct option_kind kinds[] = {
	OPTION(SOL_SOCKET, SO_REUSEADDR, ON_INET),
	OPTION(SOL_SOCKET, SO_REUSEPORT, ON_INET),
	OPTION_HOW(SOL_SOCKET, SO_BINDTODEVICE, ON_INET, HOW_STRING),
	OPTION(SOL_SOCKET, SO_BROADCAST, ON_INET),
	OPTION(SOL_SOCKET, SO_DONTROUTE, ON_INET),
	OPTION(SOL_SOCKET, SO_KEEPALIVE, ON_ANY),
	OPTION(SOL_SOCKET, SO_OOBINLINE, ON_INET),
	OPTION(SOL_SOCKET, SO_NO_CHECK, ON_UDP),
	OPTION(SOL_SOCKET, SO_PRIORITY, ON_ANY),
	OPTION(SOL_SOCKET, SO_MARK, ON_INET),
	OPTION(SOL_SOCKET, SO_LINGER, ON_ANY),
	OPTION(SOL_SOCKET, SO_PASSCRED, ON_UNIX | ON_NETLINK),
	OPTION(SOL_SOCKET, SO_PASSSEC, ON_UNIX | ON_NETLINK),
	OPTION_AS(SOL_SOCKET, SO_PASSPIDFD, 76, ON_UNIX),
	OPTION_AS(SOL_SOCKET, SO_PASSRIGHTS, 83, ON_UNIX),
	OPTION_AS(SOL_SOCKET, SO_INQ, 84, ON_UNIX),
	OPTION_HOW(SOL_SOCKET, SO_SNDBUF, ON_ANY, HOW_BUFFER),
	OPTION_HOW(SOL_SOCKET, SO_RCVBUF, ON_ANY, HOW_BUFFER),
	OPTION(SOL_SOCKET, SO_RCVLOWAT, ON_ANY),
	OPTION(SOL_SOCKET, SO_RCVTIMEO, ON_ANY),
	OPTION(SOL_SOCKET, SO_SNDTIMEO, ON_ANY),
	OPTION(SOL_SOCKET, SO_TIMESTAMP, ON_ANY),
	OPTION(SOL_SOCKET, SO_TIMESTAMPNS, ON_ANY),
	OPTION(SOL_SOCKET, SO_TIMESTAMPING, ON_INET),
	OPTION(SOL_SOCKET, SO_RXQ_OVFL, ON_ANY),
	OPTION(SOL_SOCKET, SO_PEEK_OFF, ON_UNIX | ON_UDP | ON_TCP),
	OPTION(SOL_SOCKET, SO_BUSY_POLL, ON_INET),
	OPTION(SOL_SOCKET, SO_SELECT_ERR_QUEUE, ON_INET),
	OPTION(SOL_SOCKET, SO_MAX_PACING_RATE, ON_INET),
	OPTION(SOL_SOCKET, SO_ZEROCOPY, ON_TCP | ON_UDP | ON_UNIX),
	OPTION_HOW(SOL_SOCKET, SO_ATTACH_FILTER, ON_ANY, HOW_FILTER),
	OPTION(SOL_SOCKET, SO_LOCK_FILTER, ON_ANY),
	OPTION(IPPROTO_IP, IP_TOS, ON_INET),
	OPTION(IPPROTO_IP, IP_TTL, ON_INET),
	OPTION(IPPROTO_IP, IP_HDRINCL, ON_RAW),
	OPTION(IPPROTO_IP, IP_RECVOPTS, ON_INET),
	OPTION(IPPROTO_IP, IP_RETOPTS, ON_INET),
	OPTION(IPPROTO_IP, IP_PKTINFO, ON_INET),
	OPTION(IPPROTO_IP, IP_MTU_DISCOVER, ON_INET),
	OPTION(IPPROTO_IP, IP_RECVERR, ON_INET),
	OPTION(IPPROTO_IP, IP_RECVTTL, ON_INET),
	OPTION(IPPROTO_IP, IP_RECVTOS, ON_INET),
	OPTION(IPPROTO_IP, IP_FREEBIND, ON_INET),
	OPTION(IPPROTO_IP, IP_TRANSPARENT, ON_INET),
	OPTION(IPPROTO_IP, IP_RECVORIGDSTADDR, ON_INET),
	OPTION(IPPROTO_IP, IP_MINTTL, ON_INET),
	OPTION(IPPROTO_IP, IP_NODEFRAG, ON_RAW),
	OPTION(IPPROTO_IP, IP_CHECKSUM, ON_UDP),
	OPTION(IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, ON_INET),
	OPTION(IPPROTO_IP, IP_MULTICAST_IF, ON_UDP | ON_RAW),
	OPTION(IPPROTO_IP, IP_MULTICAST_TTL, ON_UDP | ON_RAW),
	OPTION(IPPROTO_IP, IP_MULTICAST_LOOP, ON_UDP | ON_RAW),
	OPTION(IPPROTO_IP, IP_MULTICAST_ALL, ON_UDP | ON_RAW),
	OPTION(IPPROTO_IP, IP_UNICAST_IF, ON_INET),
	OPTION_AS(IPPROTO_IP, IP_LOCAL_PORT_RANGE, 51, ON_INET),
	OPTION(IPPROTO_IPV6, IPV6_V6ONLY, ON_INET6),
	OPTION(IPPROTO_IPV6, IPV6_UNICAST_HOPS, ON_INET6),
	OPTION(IPPROTO_IPV6, IPV6_MULTICAST_IF, ON_INET6),
	OPTION(IPPROTO_IPV6, IPV6_MULTICAST_HOPS, ON_INET6),
	OPTION(IPPROTO_IPV6, IPV6_MULTICAST_LOOP, ON_INET6),
	OPTION_AS(IPPROTO_IPV6, IPV6_MULTICAST_ALL, 29, ON_INET6),
	OPTION(IPPROTO_IPV6, IPV6_MTU_DISCOVER, ON_INET6),
	OPTION(IPPROTO_IPV6, IPV6_RECVERR, ON_INET6),
	OPTION(IPPROTO_IPV6, IPV6_RECVPKTINFO, ON_INET6),
	OPTION(IPPROTO_IPV6, IPV6_RECVHOPLIMIT, ON_INET6),
	OPTION(IPPROTO_IPV6, IPV6_RECVTCLASS, ON_INET6),
	OPTION(IPPROTO_IPV6, IPV6_TCLASS, ON_INET6),
	OPTION(IPPROTO_IPV6, IPV6_DONTFRAG, ON_INET6),
	OPTION(IPPROTO_IPV6, IPV6_AUTOFLOWLABEL, ON_INET6),
	OPTION(IPPROTO_IPV6, IPV6_FREEBIND, ON_INET6),
	OPTION(IPPROTO_IPV6, IPV6_TRANSPARENT, ON_INET6),
	OPTION(IPPROTO_IPV6, IPV6_RECVORIGDSTADDR, ON_INET6),
	OPTION(IPPROTO_IPV6, IPV6_MINHOPCOUNT, ON_INET6),
	OPTION(IPPROTO_IPV6, IPV6_UNICAST_IF, ON_INET6),
	OPTION(IPPROTO_TCP, TCP_NODELAY, ON_TCP),
	OPTION_HOW(IPPROTO_TCP, TCP_MAXSEG, ON_TCP, HOW_UNCONNECTED),
	OPTION(IPPROTO_TCP, TCP_CORK, ON_TCP),
	OPTION(IPPROTO_TCP, TCP_KEEPIDLE, ON_TCP),
	OPTION(IPPROTO_TCP, TCP_KEEPINTVL, ON_TCP),
	OPTION(IPPROTO_TCP, TCP_KEEPCNT, ON_TCP),
	OPTION(IPPROTO_TCP, TCP_SYNCNT, ON_TCP),
	OPTION(IPPROTO_TCP, TCP_LINGER2, ON_TCP),
	OPTION_HOW(IPPROTO_TCP, TCP_DEFER_ACCEPT, ON_TCP, HOW_UNCONNECTED),
	OPTION_HOW(IPPROTO_TCP, TCP_CONGESTION, ON_TCP, HOW_STRING),
	OPTION(IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, ON_TCP),
	OPTION(IPPROTO_TCP, TCP_USER_TIMEOUT, ON_TCP),
	OPTION_HOW(IPPROTO_TCP, TCP_FASTOPEN, ON_TCP, HOW_UNCONNECTED),
	OPTION(IPPROTO_TCP, TCP_NOTSENT_LOWAT, ON_TCP),
	OPTION(IPPROTO_TCP, TCP_SAVE_SYN, ON_TCP),
	OPTION_HOW(IPPROTO_TCP, TCP_FASTOPEN_CONNECT, ON_TCP, HOW_UNCONNECTED),
	OPTION(IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, ON_TCP),
	OPTION(IPPROTO_TCP, TCP_INQ, ON_TCP),
	OPTION_AS(IPPROTO_TCP, TCP_TX_DELAY, 37, ON_TCP),
	OPTION(IPPROTO_UDP, UDP_CORK, ON_UDP),
	OPTION(IPPROTO_UDP, UDP_ENCAP, ON_UDP),
	OPTION(IPPROTO_UDP, UDP_NO_CHECK6_TX, ON_UDP),
	OPTION(IPPROTO_UDP, UDP_NO_CHECK6_RX, ON_UDP),
	OPTION(IPPROTO_UDP, UDP_SEGMENT, ON_UDP),
	OPTION(IPPROTO_UDP, UDP_GRO, ON_UDP),
	OPTION(SOL_NETLINK, NETLINK_PKTINFO, ON_NETLINK),
	OPTION(SOL_NETLINK, NETLINK_BROADCAST_ERROR, ON_NETLINK),
	OPTION(SOL_NETLINK, NETLINK_NO_ENOBUFS, ON_NETLINK),
	OPTION(SOL_NETLINK, NETLINK_LISTEN_ALL_NSID, ON_NETLINK),
	OPTION(SOL_NETLINK, NETLINK_CAP_ACK, ON_NETLINK),
	OPTION(SOL_NETLINK, NETLINK_EXT_ACK, ON_NETLINK),
	OPTION(SOL_NETLINK, NETLINK_GET_STRICT_CHK, ON_NETLINK),
};

#define VALUE_MAX 256u

static unsigned sort_of(const struct sock_state *s)
{
	if (s->domain == AF_UNIX)
		return ON_UNIX;
	if (s->domain == AF_NETLINK)
		return ON_NETLINK;
	if (s->domain != AF_INET && s->domain != AF_INET6)
		return 0;
	unsigned sort = ON_INET | (s->domain == AF_INET6 ? ON_INET6 : 0);
	if (s->type == SOCK_STREAM)
		return sort | ON_TCP;
	if (s->type == SOCK_DGRAM && s->protocol == IPPROTO_UDP)
		return sort | ON_UDP;
	return s->type == SOCK_RAW ? sort | ON_RAW : sort;
}

static int add_option(struct fd_file *file, const struct option_kind *kind, const void *value, size_t size)
{
	struct sock_item item = { .what = strdup("option"),
				  .label = strdup(kind->label),
				  .level = kind->level,
				  .name = kind->name,
				  .value = { malloc(size ? size : 1), size } };
	int err = -ENOMEM;

	if (item.what && item.label && item.value.data) {
		memcpy(item.value.data, value, size);
		err = fd_file_add_item(file, &item);
	}
	if (err) {
		free(item.what);
		free(item.label);
		free(item.value.data);
	}
	return err;
}

#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72
#endif

/* Whether the program has set the buffer's size itself; else the kernel chooses it, and on a connection goes on changing it. */
static bool buffer_locked(int copy, int name, bool stream)
{
	int lock = 0;
	socklen_t size = sizeof(lock);

	if (getsockopt(copy, SOL_SOCKET, SO_BUF_LOCK, &lock, &size)) /* 5.15 */
		return !stream;
	return lock & (name == SO_SNDBUF ? SOCK_SNDBUF_LOCK : SOCK_RCVBUF_LOCK);
}

/* A classic filter is read in units of instructions; one in eBPF gives EACCES (net/core/filter.c, sk_get_filter). */
static int save_filter(struct fd_file *file, const struct option_kind *kind, int copy)
{
	struct sock_state *s = file->state;
	socklen_t n = 0;

	if (getsockopt(copy, SOL_SOCKET, SO_ATTACH_FILTER, NULL, &n)) {
		s->bpf_filter = errno == EACCES;
		return 0;
	}
	if (!n)
		return 0;
	AUTO_FREE struct sock_filter *code = calloc(n, sizeof(*code));
	if (!code)
		return -ENOMEM;
	if (getsockopt(copy, SOL_SOCKET, SO_ATTACH_FILTER, code, &n))
		return 0;
	return add_option(file, kind, code, n * sizeof(*code));
}

static int save_option(struct fd_file *file, const struct option_kind *kind, int copy, int fresh)
{
	const struct sock_state *s = file->state;
	char value[VALUE_MAX], usual[VALUE_MAX];
	socklen_t size = sizeof(value), usual_size = sizeof(usual);

	if (kind->how == HOW_FILTER)
		return save_filter(file, kind, copy);
	if (kind->how == HOW_UNCONNECTED && s->remote.size)
		return 0;
	memset(value, 0, sizeof(value));
	memset(usual, 0, sizeof(usual));
	if (getsockopt(copy, kind->level, kind->name, value, &size))
		return 0; /* this kernel, or this sort of socket, does not have it */
	if (kind->how == HOW_STRING) {
		size = (socklen_t)strnlen(value, sizeof(value) - 1);
		if (size == 0)
			return 0;
	}
	if (fresh >= 0 && !getsockopt(fresh, kind->level, kind->name, usual, &usual_size) &&
	    !memcmp(value, usual, sizeof(value)))
		return 0;
	if (kind->how == HOW_BUFFER && !buffer_locked(copy, kind->name, s->type == SOCK_STREAM && s->domain != AF_UNIX))
		return 0;
	return add_option(file, kind, value, size);
}

int sock_options_save(struct fd_file *file, int copy, int fresh)
{
	unsigned sort = sort_of(file->state);

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (!(kinds[i].on & sort))
			continue;
		int err = save_option(file, &kinds[i], copy, fresh);
		if (err)
			return err;
	}
	return 0;
}

/* ---- restore ---- */

static int set_buffer(int fd, int name, const struct sock_item *item)
{
	int value;

	if (item->value.size != sizeof(value))
		return -EBADMSG;
	memcpy(&value, item->value.data, sizeof(value));
	value /= 2;
	if (!setsockopt(fd, SOL_SOCKET, name == SO_SNDBUF ? SO_SNDBUFFORCE : SO_RCVBUFFORCE, &value, sizeof(value)))
		return 0;
	return setsockopt(fd, SOL_SOCKET, name, &value, sizeof(value)) ? -errno : 0;
}

static int set_filter(int fd, const struct sock_item *item)
{
	struct sock_fprog program = { .len = (unsigned short)(item->value.size / sizeof(struct sock_filter)),
				      .filter = item->value.data };

	if (item->value.size % sizeof(struct sock_filter) || item->value.size / sizeof(struct sock_filter) > BPF_MAXINSNS)
		return -EBADMSG;
	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) ? -errno : 0;
}

static int set_option(int fd, const struct option_kind *kind, const struct sock_item *item)
{
	switch (kind->how) {
	case HOW_BUFFER:
		return set_buffer(fd, kind->name, item);
	case HOW_FILTER:
		return set_filter(fd, item);
	case HOW_PLAIN:
	case HOW_STRING:
	case HOW_UNCONNECTED:
		break;
	}
	if (item->value.size > VALUE_MAX)
		return -EBADMSG;
	return setsockopt(fd, kind->level, kind->name, item->value.data, (socklen_t)item->value.size) ? -errno : 0;
}

void sock_options_restore(struct fd_plan *plan, const struct fd_file *file, int fd, bool quiet)
{
	const struct sock_item *items = file->items;
	const struct sock_state *s = file->state;
	char name[256];

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		for (size_t j = 0; j < file->n_items; j++) {
			if (strcmp(items[j].what, "option") || items[j].level != kinds[i].level ||
			    items[j].name != kinds[i].name || !(kinds[i].on & sort_of(s)))
				continue;
			int err = set_option(fd, &kinds[i], &items[j]);
			if (err && !quiet)
				report_warn(plan->rep, "%s: its option %s could not be set again: %s",
					    fd_file_name(file, name, sizeof(name)), kinds[i].label, strerror(-err));
		}
}
