/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* UDP and netlink sockets across a checkpoint and a restart, and families that are refused. */
#include "sock-inet.h"

#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/ethernet.h>
#include <poll.h>

/* ---- datagrams ---- */

static void hold_udp(void)
{
	struct sockaddr_in any = v4(INADDR_LOOPBACK, 0);
	struct sock_filter code[] = { { BPF_RET | BPF_K, 0, 0, 3 } }; /* cut to three bytes */
	struct sock_fprog program = { 1, code };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	CHECK(bind(fd, (struct sockaddr *)&any, sizeof(any)) == 0);
	set(fd, SOL_SOCKET, SO_BROADCAST, 1);
	set(fd, IPPROTO_IP, IP_TTL, 33);
	set(fd, IPPROTO_IP, IP_PKTINFO, 1);
	CHECK(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) == 0);
	trip_notes->number[0] = port_of(fd);
	at(fd, 10);
	at(dial(SOCK_DGRAM, trip_notes->number[0]), 11);
	trip_notes->number[1] = port_of(11);
}

static void verify_udp(void)
{
	CHECK_INT(port_of(10), trip_notes->number[0]);
	CHECK_INT(port_of(11), trip_notes->number[1]);
	CHECK_INT(option(10, SOL_SOCKET, SO_BROADCAST), 1);
	CHECK_INT(option(10, IPPROTO_IP, IP_TTL), 33);
	CHECK_INT(option(10, IPPROTO_IP, IP_PKTINFO), 1);
	CHECK(send(11, "a datagram", 10, 0) == 10);
	struct pollfd p = { 10, POLLIN, 0 };
	CHECK(poll(&p, 1, 2000) == 1);
	char buffer[16];
	CHECK_INT(recv(10, buffer, sizeof(buffer), 0) <= 3, 1); /* the filter still cuts */
}

static void udp_sockets_are_bound_and_connected_again(void **state)
{
	(void)state;
	trip_run(&(struct trip){ hold_udp, NULL, wait_gone, verify_udp });
}

static void a_udp_port_in_use_is_an_unmet_need(void **state)
{
	(void)state;
	trip_expect_unmet(&(struct trip){ hold_udp, .keep_original = true }, "--map socket:udp:");
}

static void hold_multicast(void)
{
	struct sockaddr_in group = v4(0xefff2a2a, 0);
	struct ip_mreq join = { .imr_multiaddr = group.sin_addr, .imr_interface.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	CHECK(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &join.imr_interface, sizeof(join.imr_interface)) == 0);
	CHECK(bind(fd, (struct sockaddr *)&group, sizeof(group)) == 0);
	CHECK(setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &join, sizeof(join)) == 0);
	trip_notes->number[0] = port_of(fd);
	at(fd, 10);
}

static void verify_multicast(void)
{
	struct sockaddr_in group = v4(0xefff2a2a, trip_notes->number[0]);
	struct pollfd p = { 10, POLLIN, 0 };

	CHECK(sendto(10, "all", 3, 0, (struct sockaddr *)&group, sizeof(group)) == 3);
	CHECK(poll(&p, 1, 2000) == 1);
	expect(10, "all", 3);
}

static void a_multicast_group_is_joined_again(void **state)
{
	(void)state;
	trip_run(&(struct trip){ hold_multicast, NULL, wait_gone, verify_multicast });
}

/* ---- others ---- */

static void hold_netlink(void)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR };
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);

	CHECK(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	set(fd, SOL_NETLINK, NETLINK_PKTINFO, 1);
	trip_notes->number[0] = getpid();
	at(fd, 10);
}

static void verify_netlink(void)
{
	struct sockaddr_nl now;
	socklen_t size = sizeof(now);

	CHECK(getsockname(10, (struct sockaddr *)&now, &size) == 0);
	CHECK_INT(now.nl_groups, RTMGRP_LINK | RTMGRP_IPV4_IFADDR);
	CHECK_INT(now.nl_pid, trip_notes->number[0]);
	CHECK_INT(option(10, SOL_NETLINK, NETLINK_PKTINFO), 1);
	struct {
		struct nlmsghdr header;
		struct rtgenmsg body;
	} ask = { { sizeof(ask), RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 1, 0 }, { AF_UNSPEC } };
	char answer[65536];
	CHECK(send(10, &ask, sizeof(ask), 0) == sizeof(ask));
	CHECK(recv(10, answer, sizeof(answer), 0) > (ssize_t)sizeof(struct nlmsghdr));
	CHECK_INT(((struct nlmsghdr *)answer)->nlmsg_type, RTM_NEWLINK);
}

static void netlink_groups_are_joined_again(void **state)
{
	(void)state;
	trip_run(&(struct trip){ hold_netlink, NULL, wait_gone, verify_netlink });
}

static void hold_packet(void)
{
	int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));

	if (fd < 0) {
		trip_notes->skip = true;
		_exit(0);
	}
	at(fd, 10);
}

static void packet_sockets_are_refused_by_name(void **state)
{
	(void)state;
	trip_expect_obstacle(&(struct trip){ hold_packet }, "AF_PACKET");
}

static void hold_stateful_netlink(void)
{
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_AUDIT);

	if (fd < 0) {
		fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
		if (fd < 0) {
			trip_notes->skip = true;
			_exit(0);
		}
	}
	at(fd, 10);
}

static void netlink_with_state_is_refused(void **state)
{
	(void)state;
	trip_expect_obstacle(&(struct trip){ hold_stateful_netlink }, "netlink family");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(udp_sockets_are_bound_and_connected_again),
		cmocka_unit_test(a_udp_port_in_use_is_an_unmet_need),
		cmocka_unit_test(a_multicast_group_is_joined_again),
		cmocka_unit_test(netlink_groups_are_joined_again),
		cmocka_unit_test(packet_sockets_are_refused_by_name),
		cmocka_unit_test(netlink_with_state_is_refused),
	};

	return cmocka_run_group_tests(tests, trip_setup, trip_teardown);
}
