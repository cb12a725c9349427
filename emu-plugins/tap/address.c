// SPDX-License-Identifier: LGPL-2.1-or-later
/* The IP addresses that the host has on an interface: read, and given to one that is made anew. */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "net.h"

struct listing {
	unsigned index;
	struct tap_address *items;
	size_t n, max;
};

static size_t size_of(int family)
{
	return family == AF_INET ? 4 : family == AF_INET6 ? 16 : 0;
}

static void copy_attr(const struct nlattr *a, uint8_t ret[16])
{
	size_t size = mnl_attr_get_payload_len(a);

	memcpy(ret, mnl_attr_get_payload(a), size < 16 ? size : 16);
}

/* Those of IPv6 that the kernel makes by itself are left out. */
static int read_address(const struct nlmsghdr *nlh, void *ctx)
{
	const struct ifaddrmsg *m = mnl_nlmsg_get_payload(nlh);
	struct tap_address found = { .family = m->ifa_family, .prefix = m->ifa_prefixlen, .scope = m->ifa_scope };
	struct listing *l = ctx;
	bool has_local = false;
	struct nlattr *a;

	if (nlh->nlmsg_type != RTM_NEWADDR || m->ifa_index != l->index || !size_of(m->ifa_family) ||
	    !(m->ifa_flags & IFA_F_PERMANENT) || (m->ifa_family == AF_INET6 && m->ifa_scope == RT_SCOPE_LINK) || l->n == l->max)
		return MNL_CB_OK;
	mnl_attr_for_each(a, nlh, sizeof(*m))
	{
		if (mnl_attr_get_type(a) == IFA_LOCAL) {
			copy_attr(a, found.local);
			has_local = true;
		} else if (mnl_attr_get_type(a) == IFA_ADDRESS) {
			copy_attr(a, found.peer);
		} else if (mnl_attr_get_type(a) == IFA_BROADCAST) {
			copy_attr(a, found.broadcast);
		}
	}
	if (!has_local)
		memcpy(found.local, found.peer, sizeof(found.local));
	l->items[l->n++] = found;
	return MNL_CB_OK;
}

int tap_address_list(struct tap_net *net, unsigned index, struct tap_address *ret, size_t max)
{
	struct listing l = { .index = index, .items = ret, .max = max };
	char buf[256];
	struct nlmsghdr *req = mnl_nlmsg_put_header(buf);

	req->nlmsg_type = RTM_GETADDR;
	req->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	mnl_nlmsg_put_extra_header(req, sizeof(struct ifaddrmsg));
	int err = tap_net_talk(net, req, read_address, &l);
	return err ? err : (int)l.n;
}

int tap_address_add(struct tap_net *net, unsigned index, const struct tap_address *address)
{
	static const uint8_t none[16];
	char buf[256];
	struct nlmsghdr *req = mnl_nlmsg_put_header(buf);
	size_t size = size_of(address->family);

	if (!size)
		return -EAFNOSUPPORT;
	req->nlmsg_type = RTM_NEWADDR;
	req->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
	struct ifaddrmsg *m = mnl_nlmsg_put_extra_header(req, sizeof(*m));
	*m = (struct ifaddrmsg){
		.ifa_family = address->family, .ifa_prefixlen = address->prefix, .ifa_scope = address->scope, .ifa_index = index
	};
	mnl_attr_put(req, IFA_LOCAL, size, address->local);
	mnl_attr_put(req, IFA_ADDRESS, size, address->peer);
	if (memcmp(address->broadcast, none, size))
		mnl_attr_put(req, IFA_BROADCAST, size, address->broadcast);
	return tap_net_talk(net, req, NULL, NULL);
}
