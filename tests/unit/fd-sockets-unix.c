/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Unix sockets across a checkpoint and a restart: pairs with unread data, messages, datagrams, ends that lead outside. */
#include "sock-unix.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/time.h>

/* ---- a pair of streams ---- */

static void hold_stream(void)
{
	struct timeval timeout = { 3, 500000 };
	int on = 1, size = 30000;
	char big[5000];

	pair(SOCK_STREAM, 10, 11);
	memset(big, 'x', sizeof(big));
	CHECK(send(10, "ab", 2, 0) == 2 && send(10, "cde", 3, 0) == 3);
	CHECK(send(11, big, sizeof(big), 0) == sizeof(big));
	CHECK(fcntl(11, F_SETFL, O_NONBLOCK) == 0);
	CHECK(setsockopt(10, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) == 0);
	CHECK(setsockopt(10, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) == 0);
	CHECK(setsockopt(11, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) == 0);
	trip_notes->number[0] = option(11, SO_SNDBUF);
	trip_notes->number[1] = option(10, SO_SNDBUF);
	CHECK(shutdown(10, SHUT_WR) == 0);
}

static void verify_stream(void)
{
	struct timeval timeout;
	socklen_t size = sizeof(timeout);
	struct ucred cred;
	char big[5000];

	memset(big, 'x', sizeof(big));
	expect(11, "abcde", 5);
	expect(11, "", 0); /* the other end will not send any more */
	expect(10, big, sizeof(big));
	expect_nothing(10);
	CHECK(send(10, "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE);
	CHECK(send(11, "more", 4, 0) == 4);
	expect(10, "more", 4);
	CHECK(fcntl(11, F_GETFL) & O_NONBLOCK);
	CHECK(!(fcntl(10, F_GETFL) & O_NONBLOCK));
	CHECK(getsockopt(10, SOL_SOCKET, SO_RCVTIMEO, &timeout, &size) == 0);
	CHECK_INT(timeout.tv_sec * 1000000 + timeout.tv_usec, 3500000);
	CHECK_INT(option(10, SO_PASSCRED), 1);
	CHECK_INT(option(11, SO_PASSCRED), 0);
	CHECK_INT(option(11, SO_SNDBUF), trip_notes->number[0]);
	size = sizeof(cred);
	CHECK(getsockopt(10, SOL_SOCKET, SO_PEERCRED, &cred, &size) == 0);
	CHECK(cred.uid == getuid());
}

static void stream_unchanged(void)
{
	char big[5000];

	memset(big, 'x', sizeof(big));
	CHECK_INT(option(10, SO_PEEK_OFF), -1);
	CHECK_INT(option(11, SO_PEEK_OFF), -1);
	CHECK_INT(option(11, SO_SNDBUF), trip_notes->number[0]);
	expect(11, "abcde", 5);
	expect(10, big, sizeof(big));
	expect_nothing(10);
}

static void stream_pair_keeps_data_and_options(void **state)
{
	(void)state;
	trip_run(&(struct trip){ hold_stream, stream_unchanged, NULL, verify_stream });
}

static void verify_peercred(void)
{
	struct ucred cred;
	socklen_t size = sizeof(cred);

	CHECK(getsockopt(10, SOL_SOCKET, SO_PEERCRED, &cred, &size) == 0);
	CHECK_INT(cred.pid, getpid());
}

static void pair_of_one_process_has_its_credentials(void **state)
{
	(void)state;
	trip_run(&(struct trip){ hold_stream, NULL, NULL, verify_peercred });
}

/* ---- messages ---- */

static void send_messages(int fd)
{
	char big[20000];

	memset(big, 'y', sizeof(big));
	CHECK(send(fd, "one", 3, 0) == 3);
	CHECK(send(fd, "", 0, 0) == 0);
	CHECK(send(fd, big, sizeof(big), 0) == sizeof(big));
	CHECK(send(fd, "three", 5, 0) == 5);
	CHECK(send(fd, "", 0, 0) == 0);
}

static void expect_messages(int fd)
{
	char big[20000];

	memset(big, 'y', sizeof(big));
	expect(fd, "one", 3);
	expect(fd, "", 0);
	expect(fd, big, sizeof(big));
	expect(fd, "three", 5);
	expect(fd, "", 0);
	expect_nothing(fd);
}

static void hold_seqpacket(void)
{
	pair(SOCK_SEQPACKET, 10, 11);
	send_messages(10);
}

static void verify_messages(void)
{
	expect_messages(11);
	CHECK(send(11, "back", 4, 0) == 4);
	expect(10, "back", 4);
}

static void messages_unchanged(void)
{
	CHECK_INT(option(11, SO_PEEK_OFF), -1);
	expect_messages(11);
}

static void seqpacket_pair_keeps_boundaries(void **state)
{
	(void)state;
	trip_run(&(struct trip){ hold_seqpacket, messages_unchanged, NULL, verify_messages });
}

static void hold_dgram(void)
{
	pair(SOCK_DGRAM, 10, 11);
	send_messages(10);
}

static void dgram_pair_keeps_boundaries(void **state)
{
	(void)state;
	trip_run(&(struct trip){ hold_dgram, messages_unchanged, NULL, verify_messages });
}

static void hold_peek_offset(void)
{
	int offset = 2;

	pair(SOCK_STREAM, 10, 11);
	CHECK(send(10, "abcde", 5, 0) == 5);
	CHECK(setsockopt(11, SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof(offset)) == 0);
}

static void verify_peek_offset(void)
{
	char buffer[8];

	CHECK_INT(option(11, SO_PEEK_OFF), 2);
	CHECK_INT(recv(11, buffer, sizeof(buffer), MSG_PEEK | MSG_DONTWAIT), 3);
	CHECK(memcmp(buffer, "cde", 3) == 0);
	expect(11, "abcde", 5);
}

static void a_peek_offset_is_respected(void **state)
{
	(void)state;
	trip_run(&(struct trip){ hold_peek_offset, verify_peek_offset, NULL, verify_peek_offset });
}

/* ---- what cannot be saved ---- */

static void hold_rights(void)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { .header = { .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS } };
	struct iovec iov = { (char[]){ "x" }, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };

	pair(SOCK_STREAM, 10, 11);
	memcpy(CMSG_DATA(&control.header), &(int){ 0 }, sizeof(int));
	CHECK(sendmsg(10, &msg, 0) == 1);
}

static void rights_unchanged(void)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	char c;
	struct iovec iov = { &c, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };

	CHECK(recvmsg(11, &msg, MSG_DONTWAIT) == 1);
	CHECK(msg.msg_controllen >= CMSG_LEN(sizeof(int)) && control.header.cmsg_type == SCM_RIGHTS);
}

static void descriptors_in_flight_are_an_obstacle(void **state)
{
	(void)state;
	trip_expect_obstacle(&(struct trip){ hold_rights, rights_unchanged }, "1 descriptors sent over it");
}

static void hold_out_of_band(void)
{
	pair(SOCK_STREAM, 10, 11);
	if (send(10, "!", 1, MSG_OOB) != 1) {
		trip_notes->skip = true; /* kernel without CONFIG_AF_UNIX_OOB */
		_exit(0);
	}
}

static void an_out_of_band_byte_is_an_obstacle(void **state)
{
	(void)state;
	trip_expect_obstacle(&(struct trip){ hold_out_of_band }, "out-of-band");
}

/* ---- connections to outside ---- */

static void hold_outside(void)
{
	pair(SOCK_STREAM, 10, 11);
	pid_t pid = trip_fork_outsider();
	if (pid == 0) {
		close(10);
		pause();
		_exit(0);
	}
	trip_notes->number[0] = pid;
	CHECK(write(11, "last words", 10) == 10);
	CHECK(write(10, "lost", 4) == 4);
	close(11);
}

static void verify_outside(void)
{
	struct pollfd p = { 10, POLLIN, 0 };

	expect(10, "last words", 10);
	CHECK(poll(&p, 1, 0) == 1 && (p.revents & POLLHUP));
	expect(10, "", 0);
	CHECK(send(10, "x", 1, MSG_NOSIGNAL) == -1 && errno == EPIPE);
}

static void outside_unchanged(void)
{
	expect(10, "last words", 10);
	expect_nothing(10);
	CHECK(send(10, "x", 1, MSG_NOSIGNAL) == 1);
	kill((pid_t)trip_notes->number[0], SIGKILL);
}

static void connection_to_outside_ends_after_its_data(void **state)
{
	(void)state;
	trip_run(&(struct trip){ hold_outside, outside_unchanged, NULL, verify_outside });
}

static void hold_closed(void)
{
	pair(SOCK_SEQPACKET, 10, 11);
	CHECK(write(11, "one", 3) == 3 && write(11, "two", 3) == 3);
	close(11);
}

static void verify_closed(void)
{
	expect(10, "one", 3);
	expect(10, "two", 3);
	expect(10, "", 0);
}

static void a_closed_peer_stays_closed(void **state)
{
	(void)state;
	trip_run(&(struct trip){ hold_closed, verify_closed, NULL, verify_closed });
}

/* ---- datagrams ---- */

static void hold_datagram_server(void)
{
	at(bound(SOCK_DGRAM, "datagrams"), 10);
	at(connected(SOCK_DGRAM, "datagrams"), 11);
	at(socket(AF_UNIX, SOCK_DGRAM, 0), 12);
	CHECK(send(11, "first", 5, 0) == 5 && send(11, "second", 6, 0) == 6);
}

static void verify_datagram_server(void)
{
	expect_name(10, "datagrams");
	expect(10, "first", 5);
	expect(10, "second", 6);
	expect_nothing(10);
	CHECK(send(11, "third", 5, 0) == 5);
	expect(10, "third", 5);
	CHECK(send(12, "x", 1, 0) == -1 && errno == ENOTCONN);
}

static void a_datagram_server_and_its_client(void **state)
{
	(void)state;
	trip_run(&(struct trip){ hold_datagram_server, NULL, NULL, verify_datagram_server });
	unlink(named("datagrams").sun_path);
}

static int log_socket;

static void hold_log_client(void)
{
	at(connected(SOCK_DGRAM, "log"), 10);
}

static void verify_log_client(void)
{
	CHECK(send(10, "line", 4, 0) == 4);
}

static void a_datagram_client_finds_its_server_again(void **state)
{
	char buffer[16];

	(void)state;
	log_socket = bound(SOCK_DGRAM, "log");
	trip_run(&(struct trip){ hold_log_client, NULL, NULL, verify_log_client });
	assert_int_equal(recv(log_socket, buffer, sizeof(buffer), MSG_DONTWAIT), 4);
	close(log_socket);
	unlink(named("log").sun_path);
}

static void take_log_away(void)
{
	CHECK(unlink(named("log").sun_path) == 0);
}

static void verify_no_server(void)
{
	CHECK(send(10, "line", 4, 0) == -1 && errno == ENOTCONN);
}

static void a_datagram_client_without_server_is_unconnected(void **state)
{
	(void)state;
	log_socket = bound(SOCK_DGRAM, "log");
	trip_run(&(struct trip){ hold_log_client, verify_log_client, take_log_away, verify_no_server });
	close(log_socket);
}

/* ---- namespaces ---- */

static void hold_in_namespace(void)
{
	if (unshare(CLONE_NEWNET)) {
		trip_notes->skip = true;
		_exit(0);
	}
	hold_stream();
}

static void a_pair_in_another_network_namespace_is_found(void **state)
{
	(void)state;
	trip_run(&(struct trip){ hold_in_namespace, stream_unchanged, NULL, verify_stream });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stream_pair_keeps_data_and_options),
		cmocka_unit_test(pair_of_one_process_has_its_credentials),
		cmocka_unit_test(seqpacket_pair_keeps_boundaries),
		cmocka_unit_test(dgram_pair_keeps_boundaries),
		cmocka_unit_test(a_peek_offset_is_respected),
		cmocka_unit_test(descriptors_in_flight_are_an_obstacle),
		cmocka_unit_test(an_out_of_band_byte_is_an_obstacle),
		cmocka_unit_test(connection_to_outside_ends_after_its_data),
		cmocka_unit_test(a_closed_peer_stays_closed),
		cmocka_unit_test(a_datagram_server_and_its_client),
		cmocka_unit_test(a_datagram_client_finds_its_server_again),
		cmocka_unit_test(a_datagram_client_without_server_is_unconnected),
		cmocka_unit_test(a_pair_in_another_network_namespace_is_found),
	};

	return cmocka_run_group_tests(tests, trip_setup, trip_teardown);
}
