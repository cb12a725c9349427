/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Netlink sockets whose state is their address and their groups: routing, uevents, generic, diag. Messages not yet read are
 * dropped. Families that tie state in the kernel to the socket (netfilter queues, audit) are refused. */
#include "fd/fd-sock.h"

#include <linux/netlink.h>
#include <stdio.h>
#include <string.h>

static bool netlink_claim(const struct fd_look *look)
{
	uint32_t domain, type, protocol;

	return S_ISSOCK(look->st->st_mode) && sock_identify(look->copy, &domain, &type, &protocol) && domain == AF_NETLINK;
}

static bool is_simple(uint32_t protocol)
{
	return protocol == NETLINK_ROUTE || protocol == NETLINK_KOBJECT_UEVENT || protocol == NETLINK_GENERIC ||
	       protocol == NETLINK_SOCK_DIAG || protocol == NETLINK_USERSOCK;
}

static int add_group(struct fd_file *file, unsigned group)
{
	struct sock_item item = { .what = strdup("group"), .level = SOL_NETLINK, .name = (int32_t)group };
	int err = item.what ? fd_file_add_item(file, &item) : -ENOMEM;

	if (err)
		free(item.what);
	return err;
}

/* The list is a bit mask in 32-bit words, bit n-1 for group n (net/netlink/af_netlink.c); the length comes back either way. */
static int keep_groups(struct fd_file *file, int copy)
{
	uint32_t mask[256] = { 0 };
	socklen_t size = sizeof(mask);
	int err = 0;

	if (getsockopt(copy, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, mask, &size))
		return 0;
	if (size > sizeof(mask))
		size = sizeof(mask);
	for (unsigned i = 0; i < size * 8 && !err; i++)
		if (mask[i / 32] & (1u << (i % 32)))
			err = add_group(file, i + 1);
	return err;
}

static int netlink_inspect(struct fd_capture *cap, struct fd_file *file, const struct fd_look *look)
{
	struct sock_state *s = file->state;
	int err = sock_inspect(cap, file, look, "netlink");

	if (!err && is_simple(s->protocol))
		err = keep_groups(file, look->copy);
	return err;
}

static unsigned count_groups(const struct fd_file *file)
{
	const struct sock_item *items = file->items;
	unsigned n = 0;

	for (size_t i = 0; i < file->n_items; i++)
		n += !strcmp(items[i].what, "group");
	return n;
}

static int netlink_check(struct fd_capture *cap, struct fd_file *file, struct fd_verdict *v)
{
	const struct sock_state *s = file->state;

	fd_verdict_action(v, "made again with its %u groups; unread messages are dropped", count_groups(file));
	if (!is_simple(s->protocol))
		fd_verdict_obstacle(v, "have the program close it, or start it without what needs it",
				    "netlink family %u keeps state in the kernel that cannot be read", s->protocol);
	if (s->protocol == NETLINK_GENERIC && count_groups(file))
		fd_verdict_obstacle(v, "have the program close it",
				    "the groups of generic netlink have other numbers on each boot");
	sock_check(cap, file, v);
	return 0;
}

/* ---- restore ---- */

static int netlink_plan(struct fd_plan *plan, struct fd_file *file, struct fd_verdict *v)
{
	const struct sock_state *s = file->state;
	int err = sock_validate(plan, file);

	if (err)
		return err;
	if (s->domain != AF_NETLINK || !is_simple(s->protocol) || s->as != SOCK_ROLE_IDLE)
		return report_fail(plan->rep, -EBADMSG, "image: the record of netlink socket %u is damaged", file->r.id);
	AUTO_CLOSE int probe = socket(AF_NETLINK, (int)s->type | SOCK_CLOEXEC, (int)s->protocol);
	if (probe < 0)
		fd_verdict_obstacle(v, "use a kernel with this family", "netlink family %u cannot be used here: %s",
				    s->protocol, strerror(errno));
	return 0;
}

/* The port number is unique in the network namespace; somebody else may have it now. */
static int bind_port(struct fd_plan *plan, const struct fd_file *file)
{
	const struct sock_state *s = file->state;
	struct sockaddr_nl address = { .nl_family = AF_NETLINK };
	char name[256];

	if (!s->local.size)
		return 0;
	address.nl_pid = ((const struct sockaddr_nl *)s->local.data)->nl_pid;
	if (!address.nl_pid && !count_groups(file))
		return 0;
	if (!bind(file->fd, (struct sockaddr *)&address, sizeof(address)))
		return 0;
	if (errno == EADDRINUSE) {
		report_warn(plan->rep, "%s: its netlink port %u is in use, it gets another",
			    fd_file_name(file, name, sizeof(name)), address.nl_pid);
		address.nl_pid = 0;
		if (!bind(file->fd, (struct sockaddr *)&address, sizeof(address)))
			return 0;
	}
	return report_fail(plan->rep, -errno, "%s: cannot be bound again: %s", fd_file_name(file, name, sizeof(name)),
			   strerror(errno));
}

static void join_groups(struct fd_plan *plan, const struct fd_file *file)
{
	const struct sock_item *items = file->items;
	char name[256];

	for (size_t i = 0; i < file->n_items; i++)
		if (!strcmp(items[i].what, "group") &&
		    setsockopt(file->fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &items[i].name, sizeof(items[i].name)))
			report_warn(plan->rep, "%s: its group %d could not be joined again: %s",
				    fd_file_name(file, name, sizeof(name)), items[i].name, strerror(errno));
}

static int netlink_prepare(struct fd_plan *plan, struct fd_file *file)
{
	const struct sock_state *s = file->state;
	char name[256];
	int fd = sock_create(plan, file), err;

	if (fd < 0)
		return fd;
	file->fd = fd_plan_adopt(plan, fd);
	if (file->fd < 0)
		return file->fd;
	sock_options_restore(plan, file, file->fd, false);
	err = bind_port(plan, file);
	if (err)
		return err;
	join_groups(plan, file);
	if (s->remote.size && connect(file->fd, s->remote.data, (socklen_t)s->remote.size))
		report_warn(plan->rep, "%s: could not be connected again: %s", fd_file_name(file, name, sizeof(name)),
			    strerror(errno));
	return fd_set_status(plan, file, file->fd);
}

const struct fd_kind fd_kind_netlink = {
	.name = "netlink socket",
	.state_schema = &sock_state_schema,
	.item_schema = &sock_item_schema,
	.claim = netlink_claim,
	.inspect = netlink_inspect,
	.check = netlink_check,
	.plan = netlink_plan,
	.prepare = netlink_prepare,
};
