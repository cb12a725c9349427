/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Unix sockets across a checkpoint and a restart: pairs with unread data, listeners, names, ends that lead outside. */
#include "sock-trip.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>

static void pair(int type, int a, int b)
{
	int ends[2];

	CHECK(socketpair(AF_UNIX, type, 0, ends) == 0);
	int high = fcntl(ends[1], F_DUPFD, 500);
	close(ends[1]);
	at(ends[0], a);
	at(high, b);
}

static void expect(int fd, const void *data, size_t size)
{
	char buffer[1 << 16];
	ssize_t n = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);

	CHECK_INT(n, size);
	CHECK(memcmp(buffer, data, size) == 0);
}

static void expect_nothing(int fd)
{
	char c;

	CHECK_INT(recv(fd, &c, 1, MSG_DONTWAIT), -1);
	CHECK_INT(errno, EAGAIN);
}

static int option(int fd, int name)
{
	int value = -1;
	socklen_t size = sizeof(value);

	CHECK(getsockopt(fd, SOL_SOCKET, name, &value, &size) == 0);
	return value;
}

static struct sockaddr_un named(const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(address.sun_path, sizeof(address.sun_path), "%s%s%s", *name == '@' || *name == '.' ? "" : trip_dir(),
		 *name == '@' || *name == '.' ? "" : "/", *name == '.' ? name + 1 : name);
	if (*name == '@')
		address.sun_path[0] = '\0';
	return address;
}

static socklen_t size_of(const struct sockaddr_un *address)
{
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
			   (address->sun_path[0] ? strlen(address->sun_path) + 1 : 1 + strlen(address->sun_path + 1)));
}

static int bound(int type, const char *name)
{
	struct sockaddr_un address = named(name);
	int fd = socket(AF_UNIX, type, 0);

	CHECK(fd >= 0);
	CHECK(bind(fd, (struct sockaddr *)&address, size_of(&address)) == 0);
	return fd;
}

static int connected(int type, const char *name)
{
	struct sockaddr_un address = named(name);
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0);
	CHECK(connect(fd, (struct sockaddr *)&address, size_of(&address)) == 0);
	return fd;
}

static void expect_name(int fd, const char *name)
{
	struct sockaddr_un address = named(name), now = { 0 };
	socklen_t size = sizeof(now);

	CHECK(getsockname(fd, (struct sockaddr *)&now, &size) == 0);
	CHECK_INT(size, size_of(&address));
	CHECK(memcmp(&now, &address, size) == 0);
}

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

/* ---- listening ---- */

static void hold_listener(void)
{
	int fd = bound(SOCK_STREAM, "server");

	CHECK(chmod(named("server").sun_path, 0640) == 0);
	CHECK(listen(fd, 7) == 0);
	at(fd, 10);
}

static void serve_once(void)
{
	int client = connected(SOCK_STREAM, "server"), server = accept(10, NULL, NULL);

	CHECK(server >= 0 && write(client, "hello", 5) == 5);
	expect(server, "hello", 5);
	close(client);
	close(server);
}

static void verify_listener(void)
{
	struct stat st;
	struct ucred cred;
	socklen_t size = sizeof(cred);

	expect_name(10, "server");
	CHECK_INT(option(10, SO_ACCEPTCONN), 1);
	CHECK(lstat(named("server").sun_path, &st) == 0);
	CHECK_INT(st.st_mode & 07777, 0640);
	serve_once();
	/* Exactly as many clients as before find room: the backlog and one more. */
	int clients = 0;
	for (; clients < 20; clients++) {
		struct sockaddr_un address = named("server");
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
		if (connect(fd, (struct sockaddr *)&address, size_of(&address)))
			break;
		CHECK(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) == 0);
		CHECK_INT(cred.pid, getpid());
	}
	CHECK_INT(clients, 8);
}

static void no_leftovers(void)
{
	CHECK(access(named("server.stasis-stale").sun_path, F_OK) != 0);
}

static void verify_listener_and_directory(void)
{
	verify_listener();
	usleep(100000); /* the caller commits at the same time */
	no_leftovers();
}

static void listener_replaces_its_stale_path(void **state)
{
	(void)state;
	trip_run(&(struct trip){ hold_listener, serve_once, NULL, verify_listener_and_directory });
	unlink(named("server").sun_path);
}

static void remove_path(void)
{
	CHECK(unlink(named("server").sun_path) == 0);
}

static void listener_makes_a_missing_path(void **state)
{
	(void)state;
	trip_run(&(struct trip){ hold_listener, NULL, remove_path, verify_listener });
	unlink(named("server").sun_path);
}

static void note_inode(void)
{
	struct stat st;

	CHECK(lstat(named("server").sun_path, &st) == 0);
	trip_notes->number[0] = (long)st.st_ino;
}

static void stale_path_is_back(void)
{
	struct stat st;

	CHECK(lstat(named("server").sun_path, &st) == 0);
	CHECK_INT(st.st_ino, trip_notes->number[0]);
	CHECK(S_ISSOCK(st.st_mode));
	no_leftovers();
}

static void an_abandoned_restart_puts_the_stale_path_back(void **state)
{
	(void)state;
	trip_run(&(struct trip){ hold_listener, NULL, note_inode, stale_path_is_back, .abandon = true });
	unlink(named("server").sun_path);
}

static void path_is_absent(void)
{
	CHECK(access(named("server").sun_path, F_OK) != 0);
}

static void an_abandoned_restart_leaves_no_path(void **state)
{
	(void)state;
	trip_run(&(struct trip){ hold_listener, NULL, remove_path, path_is_absent, .abandon = true });
}

static void a_path_in_use_is_an_unmet_need(void **state)
{
	(void)state;
	trip_expect_unmet(&(struct trip){ hold_listener, .keep_original = true }, "is in use; stop who uses it");
	unlink(named("server").sun_path);
}

static void occupy(void)
{
	int fd;

	CHECK(unlink(named("server").sun_path) == 0);
	fd = open(named("server").sun_path, O_CREAT | O_RDWR, 0600);
	CHECK(fd >= 0);
	close(fd);
}

static void a_file_at_the_path_is_an_unmet_need(void **state)
{
	(void)state;
	trip_expect_unmet(&(struct trip){ hold_listener, NULL, occupy }, "something else is there");
	unlink(named("server").sun_path);
}

static void verify_moved(void)
{
	expect_name(10, "elsewhere");
	close(connected(SOCK_STREAM, "elsewhere"));
	close(connected(SOCK_STREAM, "server")); /* the original still serves */
	CHECK(accept(10, NULL, NULL) >= 0);
}

static void a_path_can_be_mapped(void **state)
{
	char map[256];

	(void)state;
	snprintf(map, sizeof(map), "socket:unix:%s/server=%s/elsewhere", trip_dir(), trip_dir());
	trip_run(&(struct trip){ hold_listener, serve_once, NULL, verify_moved, { map }, .keep_original = true });
	unlink(named("server").sun_path);
	unlink(named("elsewhere").sun_path);
}

static void make_directory(void)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/sub", trip_dir());
	CHECK(mkdir(path, 0700) == 0);
}

static void verify_moved_directory(void)
{
	expect_name(10, "sub/server");
	close(connected(SOCK_STREAM, "sub/server"));
}

static void a_mapped_directory_takes_sockets_along(void **state)
{
	char map[256];

	(void)state;
	snprintf(map, sizeof(map), "file:%s=%s/sub", trip_dir(), trip_dir());
	trip_run(&(struct trip){ hold_listener, NULL, make_directory, verify_moved_directory, { map }, .keep_original = true });
	unlink(named("server").sun_path);
}

static void hold_abstract(void)
{
	snprintf(trip_notes->text[0], sizeof(trip_notes->text[0]), "@stasis-test-%d", getpid());
	int fd = bound(SOCK_SEQPACKET, trip_notes->text[0]);
	CHECK(listen(fd, 2) == 0);
	at(fd, 10);
}

static void verify_abstract(void)
{
	expect_name(10, trip_notes->text[0]);
	close(connected(SOCK_SEQPACKET, trip_notes->text[0]));
	CHECK(accept(10, NULL, NULL) >= 0);
}

static void wait_gone(void)
{
	usleep(50000);
}

static void abstract_listener_is_bound_again(void **state)
{
	(void)state;
	trip_run(&(struct trip){ hold_abstract, NULL, wait_gone, verify_abstract });
}

static void an_abstract_name_in_use_is_an_unmet_need(void **state)
{
	(void)state;
	trip_expect_unmet(&(struct trip){ hold_abstract, .keep_original = true }, "is in use");
}

static void hold_unlinked(void)
{
	hold_listener();
	CHECK(unlink(named("server").sun_path) == 0);
}

static void verify_unlinked(void)
{
	CHECK_INT(option(10, SO_ACCEPTCONN), 1);
	usleep(100000); /* the caller commits at the same time */
	CHECK(access(named("server").sun_path, F_OK) != 0);
}

static void a_listener_without_a_path_stays_so(void **state)
{
	(void)state;
	trip_run(&(struct trip){ hold_unlinked, NULL, NULL, verify_unlinked });
}

static void hold_relative(void)
{
	CHECK(chdir(trip_dir()) == 0);
	int fd = bound(SOCK_STREAM, ".relative");
	CHECK(listen(fd, 1) == 0);
	at(fd, 10);
}

static void verify_relative(void)
{
	expect_name(10, ".relative");
	close(connected(SOCK_STREAM, "relative"));
	CHECK(accept(10, NULL, NULL) >= 0);
}

static void a_relative_path_is_found_from_its_directory(void **state)
{
	(void)state;
	trip_run(&(struct trip){ hold_relative, NULL, NULL, verify_relative });
}

static void hold_pending(void)
{
	hold_listener();
	int client = connected(SOCK_STREAM, "server");
	CHECK(write(client, "x", 1) == 1);
	at(client, 11);
}

static void pending_unchanged(void)
{
	int fd = accept(10, NULL, NULL);

	CHECK(fd >= 0);
	expect(fd, "x", 1);
	close(fd);
}

static void verify_no_client(void)
{
	struct pollfd p = { 10, POLLIN, 0 };

	CHECK(poll(&p, 1, 0) == 0);
	expect(11, "", 0);
}

static void clients_not_accepted_are_dropped(void **state)
{
	(void)state;
	trip_run(&(struct trip){ hold_pending, pending_unchanged, NULL, verify_no_client });
	unlink(named("server").sun_path);
}

/* ---- connections to outside ---- */

static void hold_outside(void)
{
	pair(SOCK_STREAM, 10, 11);
	pid_t pid = fork();
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
		cmocka_unit_test(listener_replaces_its_stale_path),
		cmocka_unit_test(listener_makes_a_missing_path),
		cmocka_unit_test(an_abandoned_restart_puts_the_stale_path_back),
		cmocka_unit_test(an_abandoned_restart_leaves_no_path),
		cmocka_unit_test(a_path_in_use_is_an_unmet_need),
		cmocka_unit_test(a_file_at_the_path_is_an_unmet_need),
		cmocka_unit_test(a_path_can_be_mapped),
		cmocka_unit_test(a_mapped_directory_takes_sockets_along),
		cmocka_unit_test(abstract_listener_is_bound_again),
		cmocka_unit_test(an_abstract_name_in_use_is_an_unmet_need),
		cmocka_unit_test(a_listener_without_a_path_stays_so),
		cmocka_unit_test(a_relative_path_is_found_from_its_directory),
		cmocka_unit_test(clients_not_accepted_are_dropped),
		cmocka_unit_test(connection_to_outside_ends_after_its_data),
		cmocka_unit_test(a_closed_peer_stays_closed),
		cmocka_unit_test(a_datagram_server_and_its_client),
		cmocka_unit_test(a_datagram_client_finds_its_server_again),
		cmocka_unit_test(a_datagram_client_without_server_is_unconnected),
		cmocka_unit_test(a_pair_in_another_network_namespace_is_found),
	};

	return cmocka_run_group_tests(tests, trip_setup, trip_teardown);
}
