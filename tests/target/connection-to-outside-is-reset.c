// SPDX-License-Identifier: LGPL-2.1-or-later
/* Connections whose other end is outside the process cannot come along. A thread that waits in one must see an end or a reset
 * after the restart, as it would when the peer goes away, while the listening socket beside it accepts new ones: so do QMP, VNC
 * and gdb servers. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "target.h"

static int listener, served;
static volatile int ended;

static void *reader(void *arg)
{
	char c;
	ssize_t r = read(served, &c, 1);

	(void)arg;
	target_check(r == 0 || (r < 0 && errno == ECONNRESET), "returned %ld, errno %d", (long)r, r < 0 ? errno : 0);
	ended = 1;
	return NULL;
}

/* The peer: another process, which the harness must not count as the target's own. It lives as long as the connection does. */
static void become_peer(const struct sockaddr_un *name)
{
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	char c;

	close(listener);
	setsid();
	if (connect(fd, (const struct sockaddr *)name, sizeof(*name)) == 0)
		while (read(fd, &c, 1) > 0)
			;
	_exit(0);
}

int main(int argc, char **argv)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	struct pollfd pfd;
	pthread_t thread;
	int fd, again;

	target_init(argc, argv);
	snprintf(name.sun_path, sizeof(name.sun_path), "%s", target_path("socket"));
	listener = socket(AF_UNIX, SOCK_STREAM, 0);
	target_check(bind(listener, (struct sockaddr *)&name, sizeof(name)) == 0 && listen(listener, 4) == 0, "%m");
	if (fork() == 0) { /* twice, so that it is no child of ours */
		if (fork() == 0)
			become_peer(&name);
		_exit(0);
	}
	served = accept(listener, NULL, NULL);
	target_check(served >= 0, "%m");
	while (waitpid(-1, NULL, 0) > 0)
		;
	thread = target_thread(reader, NULL);
	target_ready();
	while (target_turn())
		;
	if (target_alone())
		shutdown(served, SHUT_RDWR);
	for (int i = 0; i < 200 && !ended; i++)
		target_sleep_ms(10);
	target_check(ended, "the connection to outside still seems to be there");
	pthread_join(thread, NULL);
	pfd = (struct pollfd){ served, POLLIN, 0 };
	target_check(poll(&pfd, 1, 1000) == 1 && pfd.revents & (POLLHUP | POLLIN | POLLERR), "poll shows %x", pfd.revents);
	target_check(send(served, "x", 1, MSG_NOSIGNAL) == -1, "can still be written to");
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	target_check(connect(fd, (struct sockaddr *)&name, sizeof(name)) == 0, "%m");
	again = accept(listener, NULL, NULL);
	target_check(again >= 0 && write(again, "x", 1) == 1, "%m");
	target_done();
}
