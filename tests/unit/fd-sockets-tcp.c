/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* TCP sockets across a checkpoint and a restart: listeners and their ports, connections to outside and within the tree. */
#include "sock-inet.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

/* ---- listening ---- */

static void hold_listener(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct sockaddr_in any = v4(INADDR_ANY, 0);

	set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 77);
	set(fd, SOL_SOCKET, SO_RCVBUF, 50000);
	CHECK(bind(fd, (struct sockaddr *)&any, sizeof(any)) == 0);
	CHECK(listen(fd, 3) == 0);
	trip_notes->number[0] = port_of(fd);
	trip_notes->number[1] = option(fd, SOL_SOCKET, SO_RCVBUF);
	at(fd, 10);
}

/* The first side to close keeps the port busy for a minute (TIME_WAIT). */
static void leave_time_wait(void)
{
	int client = dial(SOCK_STREAM, trip_notes->number[0]), server = accept(10, NULL, NULL);

	CHECK(server >= 0);
	CHECK(close(server) == 0);
	expect(client, "", 0);
	close(client);
}

static void verify_listener(void)
{
	struct tcp_info info;
	socklen_t size = sizeof(info);

	CHECK_INT(port_of(10), trip_notes->number[0]);
	CHECK_INT(option(10, SOL_SOCKET, SO_REUSEADDR), 1);
	CHECK_INT(option(10, SOL_SOCKET, SO_KEEPALIVE), 1);
	CHECK_INT(option(10, IPPROTO_TCP, TCP_NODELAY), 1);
	CHECK_INT(option(10, IPPROTO_TCP, TCP_KEEPIDLE), 77);
	CHECK_INT(option(10, SOL_SOCKET, SO_RCVBUF), trip_notes->number[1]);
	CHECK(fcntl(10, F_GETFL) & O_NONBLOCK);
	CHECK(getsockopt(10, IPPROTO_TCP, TCP_INFO, &info, &size) == 0);
	CHECK_INT(info.tcpi_state, TCP_LISTEN);
	CHECK_INT(info.tcpi_sacked, 3); /* the backlog, in this state */
	int client = dial(SOCK_STREAM, trip_notes->number[0]), server = accept(10, NULL, NULL);
	CHECK(server >= 0 && write(client, "hello", 5) == 5);
	expect(server, "hello", 5);
}

static void listener_takes_its_port_again(void **state)
{
	(void)state;
	trip_run(&(struct trip){ hold_listener, leave_time_wait, wait_gone, verify_listener });
}

static void a_port_in_use_is_an_unmet_need(void **state)
{
	(void)state;
	trip_expect_unmet(&(struct trip){ hold_listener, .keep_original = true }, "--map socket:tcp:");
}

static long old_port, new_port; /* free ones, known before the children are made */

static void choose_ports(void)
{
	long *ports[] = { &old_port, &new_port };
	int fds[2];

	for (int i = 0; i < 2; i++) {
		struct sockaddr_in any = v4(INADDR_ANY, 0);

		fds[i] = socket(AF_INET, SOCK_STREAM, 0);
		assert_int_equal(bind(fds[i], (struct sockaddr *)&any, sizeof(any)), 0);
		*ports[i] = port_of(fds[i]);
	}
	close(fds[0]);
	close(fds[1]);
}

static void hold_listener_at_known_port(void)
{
	struct sockaddr_in any = v4(INADDR_ANY, old_port);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	CHECK(bind(fd, (struct sockaddr *)&any, sizeof(any)) == 0);
	CHECK(listen(fd, 3) == 0);
	at(fd, 10);
}

static void verify_mapped(void)
{
	CHECK_INT(port_of(10), new_port);
	close(dial(SOCK_STREAM, new_port));
	CHECK(accept(10, NULL, NULL) >= 0);
	close(dial(SOCK_STREAM, old_port)); /* the original still serves */
}

static void a_port_can_be_mapped(void **state)
{
	char map[64];

	(void)state;
	choose_ports();
	snprintf(map, sizeof(map), "socket:tcp:%ld=%ld", old_port, new_port);
	trip_run(&(struct trip){ hold_listener_at_known_port, NULL, NULL, verify_mapped, { map }, .keep_original = true });
}

static void verify_mapped_address(void)
{
	struct sockaddr_in now;
	socklen_t size = sizeof(now);

	verify_mapped();
	CHECK(getsockname(10, (struct sockaddr *)&now, &size) == 0);
	CHECK_INT(now.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
}

static void an_address_can_be_mapped(void **state)
{
	char map[64];

	(void)state;
	choose_ports();
	snprintf(map, sizeof(map), "socket:tcp:0.0.0.0:%ld=127.0.0.1:%ld", old_port, new_port);
	trip_run(&(struct trip){
		hold_listener_at_known_port, NULL, NULL, verify_mapped_address, { map }, .keep_original = true });
}

static void a_bad_map_is_an_unmet_need(void **state)
{
	char map[64];

	(void)state;
	choose_ports();
	snprintf(map, sizeof(map), "socket:tcp:%ld=localhost:http", old_port);
	trip_expect_unmet(&(struct trip){ hold_listener_at_known_port, .maps = { map } }, "is no address");
}

static void hold_v6(void)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int fd = socket(AF_INET6, SOCK_STREAM, 0);

	if (fd < 0) {
		trip_notes->skip = true;
		_exit(0);
	}
	set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	set(fd, IPPROTO_IPV6, IPV6_TCLASS, 8);
	if (bind(fd, (struct sockaddr *)&any, sizeof(any))) {
		trip_notes->skip = true;
		_exit(0);
	}
	CHECK(listen(fd, 3) == 0);
	trip_notes->number[0] = port_of(fd);
	at(fd, 10);
}

static void verify_v6(void)
{
	struct sockaddr_in6 now;
	socklen_t size = sizeof(now);

	CHECK(getsockname(10, (struct sockaddr *)&now, &size) == 0);
	CHECK(IN6_IS_ADDR_LOOPBACK(&now.sin6_addr));
	CHECK_INT(ntohs(now.sin6_port), trip_notes->number[0]);
	CHECK_INT(option(10, IPPROTO_IPV6, IPV6_V6ONLY), 1);
	CHECK_INT(option(10, IPPROTO_IPV6, IPV6_TCLASS), 8);
	CHECK_INT(option(10, SOL_SOCKET, SO_ACCEPTCONN), 1);
}

static void an_ipv6_listener(void **state)
{
	(void)state;
	trip_run(&(struct trip){ hold_v6, NULL, wait_gone, verify_v6 });
}

static void hold_bound(void)
{
	struct sockaddr_in any = v4(INADDR_LOOPBACK, 0);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	CHECK(bind(fd, (struct sockaddr *)&any, sizeof(any)) == 0);
	trip_notes->number[0] = port_of(fd);
	at(fd, 10);
	at(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), 11);
}

static void verify_bound(void)
{
	struct pollfd p = { 11, POLLIN, 0 };

	CHECK_INT(port_of(10), trip_notes->number[0]);
	CHECK_INT(option(10, SOL_SOCKET, SO_ACCEPTCONN), 0);
	CHECK_INT(option(10, SOL_SOCKET, SO_REUSEADDR), 0);
	CHECK(listen(10, 1) == 0);
	CHECK_INT(port_of(11), 0);
	CHECK(poll(&p, 1, 0) == 1 && p.revents == POLLHUP); /* as a fresh one */
	CHECK(fcntl(11, F_GETFL) & O_NONBLOCK);
}

static void bound_and_fresh_sockets(void **state)
{
	(void)state;
	trip_run(&(struct trip){ hold_bound, NULL, wait_gone, verify_bound });
}

static void hold_mptcp(void)
{
	struct sockaddr_in any = v4(INADDR_LOOPBACK, 0);
	int fd = socket(AF_INET, SOCK_STREAM, 262);

	if (fd < 0) {
		trip_notes->skip = true;
		_exit(0);
	}
	CHECK(bind(fd, (struct sockaddr *)&any, sizeof(any)) == 0 && listen(fd, 9) == 0);
	trip_notes->number[0] = port_of(fd);
	at(fd, 10);
}

static void verify_mptcp(void)
{
	CHECK_INT(option(10, SOL_SOCKET, SO_PROTOCOL), 262);
	CHECK_INT(port_of(10), trip_notes->number[0]);
	close(dial(SOCK_STREAM, trip_notes->number[0]));
	CHECK(accept(10, NULL, NULL) >= 0);
}

static void a_multipath_listener(void **state)
{
	(void)state;
	trip_run(&(struct trip){ hold_mptcp, NULL, wait_gone, verify_mptcp });
}

/* ---- connections ---- */

/* Makes a connection with its other end in a child that lives on; leaves the listener closed. */
static void connect_outside(int fd_number, void (*outside)(int fd))
{
	struct sockaddr_in any = v4(INADDR_LOOPBACK, 0);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	set(listener, SOL_SOCKET, SO_RCVBUF, 1 << 20); /* of the accepted socket, too */
	CHECK(bind(listener, (struct sockaddr *)&any, sizeof(any)) == 0 && listen(listener, 1) == 0);
	int client = dial(SOCK_STREAM, port_of(listener)), server = accept(listener, NULL, NULL);
	CHECK(server >= 0);
	close(listener);
	pid_t pid = trip_fork_outsider();
	if (pid == 0) {
		for (int fd = 0; fd < 20; fd++)
			if (fd != client)
				close(fd);
		outside(client);
		pause();
		_exit(0);
	}
	trip_notes->number[9] = pid;
	close(client);
	struct pollfd p = { server, POLLIN, 0 };
	CHECK(poll(&p, 1, 5000) == 1);
	at(server, fd_number);
}

static void outside_writes(int fd)
{
	CHECK(write(fd, "greetings", 9) == 9);
}

static void hold_connection(void)
{
	connect_outside(10, outside_writes);
	CHECK(fcntl(10, F_SETFL, O_NONBLOCK) == 0);
	set(10, IPPROTO_TCP, TCP_NODELAY, 1);
}

static void verify_reset(void)
{
	struct pollfd p = { 10, POLLIN | POLLOUT, 0 };

	CHECK(poll(&p, 1, 0) == 1);
	CHECK((p.revents & (POLLIN | POLLERR | POLLHUP)) == (POLLIN | POLLERR | POLLHUP));
	expect(10, "greetings", 9);
	expect_error(10, ECONNRESET);
	expect(10, "", 0);
	CHECK(fcntl(10, F_GETFL) & O_NONBLOCK);
	CHECK_INT(option(10, IPPROTO_TCP, TCP_NODELAY), 1);
}

static void connection_unchanged(void)
{
	expect(10, "greetings", 9);
	expect_error(10, EAGAIN);
	CHECK(send(10, "still here", 10, 0) == 10);
	kill((pid_t)trip_notes->number[9], SIGKILL);
}

static void connection_to_outside_is_reset_after_its_data(void **state)
{
	(void)state;
	trip_run(&(struct trip){ hold_connection, connection_unchanged, NULL, verify_reset });
}

#define MUCH 500000

static void outside_writes_much(int fd)
{
	char *big = calloc(1, MUCH);

	for (int i = 0; i < MUCH; i++)
		big[i] = (char)(i % 251);
	CHECK(write(fd, big, MUCH) == MUCH);
}

static void hold_much(void)
{
	struct timespec pause = { 0, 1000000 };
	static char big[MUCH];

	connect_outside(10, outside_writes_much);
	for (int i = 0; i < 3000 && recv(10, big, MUCH, MSG_PEEK | MSG_DONTWAIT) < MUCH; i++)
		nanosleep(&pause, NULL);
	CHECK(recv(10, big, MUCH, MSG_PEEK) == MUCH);
}

static void verify_much(void)
{
	static char big[MUCH];

	CHECK_INT(recv(10, big, MUCH, MSG_WAITALL), MUCH);
	for (int i = 0; i < MUCH; i++)
		if (big[i] != (char)(i % 251))
			trip_fail("byte %d differs", i);
	expect_error(10, ECONNRESET);
}

static void much_unread_data_is_kept(void **state)
{
	(void)state;
	trip_run(&(struct trip){ hold_much, NULL, NULL, verify_much });
}

static void outside_says_goodbye(int fd)
{
	CHECK(write(fd, "goodbye", 7) == 7);
	CHECK(shutdown(fd, SHUT_WR) == 0);
}

static void hold_half_closed(void)
{
	connect_outside(10, outside_says_goodbye);
	usleep(20000);
}

static void verify_half_closed(void)
{
	expect(10, "goodbye", 7);
	expect(10, "", 0);
	CHECK(send(10, "x", 1, MSG_NOSIGNAL) == 1); /* the answer is a reset */
	usleep(20000);
	CHECK(send(10, "x", 1, MSG_NOSIGNAL) == -1);
	CHECK(errno == EPIPE || errno == ECONNRESET);
}

static void a_connection_closed_by_the_peer_ends_quietly(void **state)
{
	(void)state;
	trip_run(&(struct trip){ hold_half_closed, NULL, NULL, verify_half_closed });
}

static void outside_resets(int fd)
{
	struct linger now = { 1, 0 };

	CHECK(write(fd, "rest", 4) == 4);
	CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)) == 0);
	close(fd);
}

static void hold_dead(void)
{
	connect_outside(10, outside_resets);
	connect_outside(11, outside_resets);
	usleep(20000);
	option(11, SOL_SOCKET, SO_ERROR); /* has seen the error */
}

static void verify_dead(void)
{
	struct pollfd p = { 11, POLLIN, 0 };

	CHECK(poll(&p, 1, 0) == 1 && !(p.revents & POLLERR) && (p.revents & POLLHUP));
	expect(10, "rest", 4);
	expect_error(10, ECONNRESET);
	expect(11, "rest", 4);
	expect(11, "", 0);
}

static void dead_connections_stay_dead(void **state)
{
	(void)state;
	trip_run(&(struct trip){ hold_dead, verify_dead, NULL, verify_dead });
}

static void hold_tcp_pair(void)
{
	struct sockaddr_in any = v4(INADDR_LOOPBACK, 0);
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	char big[20000];

	memset(big, 'z', sizeof(big));
	CHECK(bind(listener, (struct sockaddr *)&any, sizeof(any)) == 0 && listen(listener, 1) == 0);
	at(dial(SOCK_STREAM, port_of(listener)), 11);
	int server = accept(listener, NULL, NULL);
	close(listener);
	at(server, 10);
	CHECK(send(10, "ab", 2, 0) == 2 && send(10, "cd", 2, 0) == 2);
	CHECK(send(11, big, sizeof(big), 0) == sizeof(big));
	CHECK(shutdown(11, SHUT_WR) == 0);
}

static void verify_tcp_pair(void)
{
	char big[20001];
	ssize_t n = recv(10, big, sizeof(big), MSG_WAITALL);

	CHECK_INT(n, 20000);
	for (ssize_t i = 0; i < n; i++)
		CHECK_INT(big[i], 'z');
	expect(10, "", 0);
	expect(11, "abcd", 4);
	CHECK(send(10, "more", 4, 0) == 4);
	expect(11, "more", 4);
	CHECK(send(11, "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE);
}

static void a_connection_within_the_tree_keeps_its_data(void **state)
{
	(void)state;
	trip_run(&(struct trip){ hold_tcp_pair, verify_tcp_pair, NULL, verify_tcp_pair });
}

static void hold_stuffed_pair(void)
{
	static char big[8 << 20];

	hold_tcp_pair();
	fcntl(10, F_SETFL, O_NONBLOCK);
	while (send(10, big, sizeof(big), MSG_NOSIGNAL) > 0)
		;
}

static void bytes_under_way_are_an_obstacle(void **state)
{
	(void)state;
	trip_expect_obstacle(&(struct trip){ hold_stuffed_pair }, "on their way");
}

static void hold_connecting(void)
{
	struct sockaddr_in nowhere = v4(0x0a7f7f7f, 9), any = v4(INADDR_LOOPBACK, 0);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	if (connect(fd, (struct sockaddr *)&nowhere, sizeof(nowhere)) == 0 || errno != EINPROGRESS) {
		/* No route: a full listener that does not answer does as well. */
		int listener = socket(AF_INET, SOCK_STREAM, 0);
		close(fd);
		CHECK(bind(listener, (struct sockaddr *)&any, sizeof(any)) == 0 && listen(listener, 0) == 0);
		close(dial(SOCK_STREAM, port_of(listener)));
		any = v4(INADDR_LOOPBACK, port_of(listener));
		fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		CHECK(connect(fd, (struct sockaddr *)&any, sizeof(any)) == -1 && errno == EINPROGRESS);
	}
	at(fd, 10);
}

static void verify_connecting(void)
{
	struct pollfd p = { 10, POLLOUT, 0 };

	CHECK(poll(&p, 1, 0) == 1 && (p.revents & POLLERR));
	CHECK_INT(option(10, SOL_SOCKET, SO_ERROR), ECONNRESET);
}

static void a_connect_under_way_fails(void **state)
{
	(void)state;
	trip_run(&(struct trip){ hold_connecting, NULL, NULL, verify_connecting });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(listener_takes_its_port_again),
		cmocka_unit_test(a_port_in_use_is_an_unmet_need),
		cmocka_unit_test(a_port_can_be_mapped),
		cmocka_unit_test(an_address_can_be_mapped),
		cmocka_unit_test(a_bad_map_is_an_unmet_need),
		cmocka_unit_test(an_ipv6_listener),
		cmocka_unit_test(bound_and_fresh_sockets),
		cmocka_unit_test(a_multipath_listener),
		cmocka_unit_test(connection_to_outside_is_reset_after_its_data),
		cmocka_unit_test(much_unread_data_is_kept),
		cmocka_unit_test(a_connection_closed_by_the_peer_ends_quietly),
		cmocka_unit_test(dead_connections_stay_dead),
		cmocka_unit_test(a_connection_within_the_tree_keeps_its_data),
		cmocka_unit_test(bytes_under_way_are_an_obstacle),
		cmocka_unit_test(a_connect_under_way_fails),
	};

	return cmocka_run_group_tests(tests, trip_setup, trip_teardown);
}
