// SPDX-License-Identifier: LGPL-2.1-or-later
/* Threads wait in accept() on a unix, an abstract unix and a TCP socket. After the restart the sockets are bound to the same
 * names, the options are kept, and clients that come then are served. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "target.h"

static struct sockaddr_storage names[3];
static socklen_t lengths[3];
static int fds[3];
static volatile pid_t tids[3];
static volatile bool released;

static void *server(void *arg)
{
	int i = (intptr_t)arg, fd;
	char c;

	tids[i] = gettid();
	fd = accept(fds[i], NULL, NULL);
	target_check(fd >= 0, "socket %d: %m", i);
	target_check(released, "socket %d: a client that nobody is", i);
	target_check(read(fd, &c, 1) == 1 && c == 'a' + i, "socket %d: %m", i);
	target_check(write(fd, "!", 1) == 1, "socket %d: %m", i);
	return NULL;
}

static void release(void)
{
	released = true;
	for (int i = 0; i < 3; i++) {
		int fd = socket(names[i].ss_family, SOCK_STREAM, 0);
		char c = 'a' + i;

		target_check(connect(fd, (struct sockaddr *)&names[i], lengths[i]) == 0, "socket %d: %m", i);
		target_check(write(fd, &c, 1) == 1 && read(fd, &c, 1) == 1 && c == '!', "socket %d: no answer: %m", i);
	}
}

static void listen_on(int i, int family)
{
	struct sockaddr_un *un = (struct sockaddr_un *)&names[i];
	int one = 1;

	names[i].ss_family = family;
	lengths[i] = sizeof(struct sockaddr_in);
	if (i == 0) {
		snprintf(un->sun_path, sizeof(un->sun_path), "%s", target_path("socket"));
		lengths[i] = sizeof(*un);
	} else if (i == 1) {
		lengths[i] = 3 + snprintf(un->sun_path + 1, sizeof(un->sun_path) - 1, "stasis-target-%lx", target_random());
	} else {
		((struct sockaddr_in *)&names[i])->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	}
	fds[i] = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (i == 2)
		setsockopt(fds[i], SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	target_check(bind(fds[i], (struct sockaddr *)&names[i], lengths[i]) == 0, "socket %d: %m", i);
	if (i == 0)
		chmod(un->sun_path, 0620);
	target_check(listen(fds[i], 7) == 0, "socket %d: %m", i);
	lengths[i] = sizeof(names[i]);
	getsockname(fds[i], (struct sockaddr *)&names[i], &lengths[i]);
}

int main(int argc, char **argv)
{
	pthread_t threads[3];
	int value;
	socklen_t n = sizeof(value);
	struct stat st;

	target_init(argc, argv);
	for (intptr_t i = 0; i < 3; i++) {
		listen_on(i, i == 2 ? AF_INET : AF_UNIX);
		threads[i] = target_thread(server, (void *)i);
		while (!tids[i])
			target_sleep_ms(1);
		target_until_asleep(tids[i]);
	}
	target_ticker_start(release);
	target_ready();
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	target_check(getsockopt(fds[2], SOL_SOCKET, SO_REUSEADDR, &value, &n) == 0 && value, "SO_REUSEADDR is lost");
	target_check(stat(target_path("socket"), &st) == 0 && (st.st_mode & 0777) == 0620, "mode of the socket is %o",
	             st.st_mode & 0777);
	target_done();
}
