/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Listening unix sockets across a checkpoint and a restart: stale paths, paths in use, mapped, removed and relative ones. */
#include "sock-unix.h"

#include <poll.h>
#include <sys/stat.h>

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

static void set_aside(void) /* as a restart that was killed has left it */
{
	note_inode();
	CHECK(rename(named("server").sun_path, named("server.stasis-stale").sun_path) == 0);
}

static void what_a_killed_restart_set_aside_goes(void **state)
{
	(void)state;
	trip_run(&(struct trip){ hold_listener, NULL, set_aside, verify_listener_and_directory });
	unlink(named("server").sun_path);
	trip_run(&(struct trip){ hold_listener, NULL, set_aside, stale_path_is_back, .abandon = true });
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(listener_replaces_its_stale_path),
		cmocka_unit_test(listener_makes_a_missing_path),
		cmocka_unit_test(an_abandoned_restart_puts_the_stale_path_back),
		cmocka_unit_test(what_a_killed_restart_set_aside_goes),
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
	};

	return cmocka_run_group_tests(tests, trip_setup, trip_teardown);
}
