// SPDX-License-Identifier: LGPL-2.1-or-later
/* Interfaces by rtnetlink: what the kernel says of one, what is to be set, what a bridge has learned behind it. */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/if_tun.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "net.h"

int tap_net_open(int ns, struct tap_net *ret)
{
	struct tap_net net = { .sock = -1 };
	int home, err = tap_netns_enter(ns, &home);

	if (err)
		return err;
	net.nl = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (net.nl)
		net.sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (net.sock < 0)
		net.sock = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (!net.nl || net.sock < 0 || mnl_socket_bind(net.nl, 0, MNL_SOCKET_AUTOPID) < 0)
		err = -errno;
	int back = tap_netns_leave(home);
	if (err || back) {
		tap_net_close(&net);
		return err ? err : back;
	}
	*ret = net;
	return 0;
}

void tap_net_close(struct tap_net *net)
{
	if (net->nl)
		mnl_socket_close(net->nl);
	if (net->sock >= 0)
		close(net->sock);
	*net = (struct tap_net){ .sock = -1 };
}

int tap_net_talk(struct tap_net *net, struct nlmsghdr *req, mnl_cb_t cb, void *data)
{
	char buf[32768]; /* what the kernel fills at most for a dump (NLMSG_GOODSIZE and more) */
	unsigned port = mnl_socket_get_portid(net->nl), seq = req->nlmsg_seq = (unsigned)time(NULL);
	ssize_t n;

	if (mnl_socket_sendto(net->nl, req, req->nlmsg_len) < 0)
		return -errno;
	for (;;) {
		n = mnl_socket_recvfrom(net->nl, buf, sizeof(buf));
		if (n < 0)
			return -errno;
		int more = mnl_cb_run(buf, (size_t)n, seq, port, cb, data);
		if (more < 0)
			return -errno;
		if (more == MNL_CB_STOP)
			return 0;
	}
}

/* ---- asking ---- */

static void read_tun(const struct nlattr *nest, struct tap_link *l)
{
	struct nlattr *a;

	mnl_attr_for_each_nested(a, nest)
	{
		size_t size = mnl_attr_get_payload_len(a);
		switch (mnl_attr_get_type(a)) {
		case IFLA_TUN_OWNER:
			l->owner = size == 4 ? (int64_t)mnl_attr_get_u32(a) : -1;
			break;
		case IFLA_TUN_GROUP:
			l->group = size == 4 ? (int64_t)mnl_attr_get_u32(a) : -1;
			break;
		case IFLA_TUN_TYPE:
			l->is_tap = size && mnl_attr_get_u8(a) == IFF_TAP;
			break;
		case IFLA_TUN_PI:
			l->pi = size && mnl_attr_get_u8(a);
			break;
		case IFLA_TUN_PERSIST:
			l->persist = size && mnl_attr_get_u8(a);
			break;
		case IFLA_TUN_MULTI_QUEUE:
			l->multi_queue = size && mnl_attr_get_u8(a);
			break;
		case IFLA_TUN_NUM_QUEUES:
		case IFLA_TUN_NUM_DISABLED_QUEUES:
			l->queues += size == 4 ? mnl_attr_get_u32(a) : 0;
			break;
		}
	}
}

static void read_port(const struct nlattr *nest, struct tap_link *l)
{
	struct nlattr *a;

	mnl_attr_for_each_nested(a, nest) if (mnl_attr_get_type(a) == IFLA_BRPORT_STATE && mnl_attr_get_payload_len(a))
	        l->port_state = mnl_attr_get_u8(a);
}

static void read_info(const struct nlattr *nest, struct tap_link *l)
{
	const struct nlattr *data = NULL, *slave_data = NULL;
	const char *slave = "";
	struct nlattr *a;

	mnl_attr_for_each_nested(a, nest)
	{
		switch (mnl_attr_get_type(a)) {
		case IFLA_INFO_KIND:
			strncpy(l->kind, mnl_attr_get_str(a), sizeof(l->kind) - 1);
			break;
		case IFLA_INFO_DATA:
			data = a;
			break;
		case IFLA_INFO_SLAVE_KIND:
			slave = mnl_attr_get_str(a);
			break;
		case IFLA_INFO_SLAVE_DATA:
			slave_data = a;
			break;
		}
	}
	if (data && !strcmp(l->kind, "tun"))
		read_tun(data, l);
	if (slave_data && !strcmp(slave, "bridge"))
		read_port(slave_data, l);
}

static int read_link(const struct nlmsghdr *nlh, void *ctx)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);
	struct tap_link *l = ctx;
	struct nlattr *a;

	if (nlh->nlmsg_type != RTM_NEWLINK)
		return MNL_CB_OK;
	*l = (struct tap_link){ .index = (unsigned)ifi->ifi_index,
		                .type = ifi->ifi_type,
		                .up = ifi->ifi_flags & IFF_UP,
		                .owner = -1,
		                .group = -1,
		                .port_state = -1 };
	mnl_attr_for_each(a, nlh, sizeof(*ifi))
	{
		size_t size = mnl_attr_get_payload_len(a);
		switch (mnl_attr_get_type(a)) {
		case IFLA_IFNAME:
			strncpy(l->name, mnl_attr_get_str(a), sizeof(l->name) - 1);
			break;
		case IFLA_MTU:
			l->mtu = size == 4 ? mnl_attr_get_u32(a) : 0;
			break;
		case IFLA_MASTER:
			l->master = size == 4 ? mnl_attr_get_u32(a) : 0;
			break;
		case IFLA_CARRIER:
			l->carrier = size && mnl_attr_get_u8(a);
			break;
		case IFLA_LINKINFO:
			read_info(a, l);
			break;
		case IFLA_ADDRESS:
			l->address_size = size < sizeof(l->address) ? size : 0;
			memcpy(l->address, mnl_attr_get_payload(a), l->address_size);
			break;
		}
	}
	/* Only of multi-queue ones are queues counted; but an interface has a carrier while somebody holds it. */
	if (!strcmp(l->kind, "tun") && !l->multi_queue)
		l->queues = l->carrier;
	return MNL_CB_STOP;
}

static int ask(struct tap_net *net, const char *name, unsigned index, struct tap_link *ret)
{
	char buf[512];
	struct nlmsghdr *req = mnl_nlmsg_put_header(buf);
	struct tap_link l = { 0 };

	req->nlmsg_type = RTM_GETLINK;
	req->nlmsg_flags = NLM_F_REQUEST;
	struct ifinfomsg *ifi = mnl_nlmsg_put_extra_header(req, sizeof(*ifi));
	ifi->ifi_family = AF_UNSPEC;
	ifi->ifi_index = (int)index;
	if (name)
		mnl_attr_put_strz(req, IFLA_IFNAME, name);
	int err = tap_net_talk(net, req, read_link, &l);
	if (!err)
		*ret = l;
	return err;
}

int tap_link_get(struct tap_net *net, const char *name, struct tap_link *ret)
{
	return strlen(name) < IFNAMSIZ && *name ? ask(net, name, 0, ret) : -ENODEV;
}

int tap_link_by_index(struct tap_net *net, unsigned index, struct tap_link *ret)
{
	return index ? ask(net, NULL, index, ret) : -ENODEV;
}

/* ---- setting ---- */

int tap_link_change(struct tap_net *net, unsigned index, const struct tap_link_set *set)
{
	char buf[512];
	struct nlmsghdr *req = mnl_nlmsg_put_header(buf);

	req->nlmsg_type = RTM_NEWLINK;
	req->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	struct ifinfomsg *ifi = mnl_nlmsg_put_extra_header(req, sizeof(*ifi));
	ifi->ifi_family = AF_UNSPEC;
	ifi->ifi_index = (int)index;
	if (set->up || set->down) {
		ifi->ifi_flags = set->up ? IFF_UP : 0;
		ifi->ifi_change = IFF_UP;
	}
	if (set->mtu)
		mnl_attr_put_u32(req, IFLA_MTU, set->mtu);
	if (set->master)
		mnl_attr_put_u32(req, IFLA_MASTER, set->master);
	if (set->address_size)
		mnl_attr_put(req, IFLA_ADDRESS, set->address_size, set->address);
	return tap_net_talk(net, req, NULL, NULL);
}

/* ---- what a bridge has learned ---- */

struct learned {
	unsigned port;
	uint8_t (*macs)[6];
	size_t n, max;
};

static int read_entry(const struct nlmsghdr *nlh, void *ctx)
{
	const struct ndmsg *nd = mnl_nlmsg_get_payload(nlh);
	struct learned *l = ctx;
	struct nlattr *a;

	if (nlh->nlmsg_type != RTM_NEWNEIGH || (unsigned)nd->ndm_ifindex != l->port ||
	    nd->ndm_state & (NUD_PERMANENT | NUD_NOARP))
		return MNL_CB_OK;
	mnl_attr_for_each(a, nlh, sizeof(*nd))
	{
		if (mnl_attr_get_type(a) != NDA_LLADDR || mnl_attr_get_payload_len(a) != 6)
			continue;
		const uint8_t *mac = mnl_attr_get_payload(a);
		bool known = mac[0] & 1 || l->n == l->max;
		for (size_t i = 0; i < l->n && !known; i++) /* once per VLAN */
			known = !memcmp(l->macs[i], mac, 6);
		if (!known)
			memcpy(l->macs[l->n++], mac, 6);
	}
	return MNL_CB_OK;
}

int tap_link_learned(struct tap_net *net, unsigned port, uint8_t (*ret)[6], size_t max)
{
	struct learned l = { .port = port, .macs = ret, .max = max };
	char buf[512];
	struct nlmsghdr *req = mnl_nlmsg_put_header(buf);

	req->nlmsg_type = RTM_GETNEIGH;
	req->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	/* The kernel takes an ifinfomsg here (rtnl_fdb_dump), whose index is the port's. */
	struct ifinfomsg *ifi = mnl_nlmsg_put_extra_header(req, sizeof(*ifi));
	ifi->ifi_family = AF_BRIDGE;
	ifi->ifi_index = (int)port;
	int err = tap_net_talk(net, req, read_entry, &l);
	return err ? err : (int)l.n;
}
