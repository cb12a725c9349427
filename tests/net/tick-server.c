// SPDX-License-Identifier: LGPL-2.1-or-later
/* An HTTP server that counts: `tick-server ADDRESS PORT LOG FILE` gives FILE for any path but /tick?n=N, of which it writes N
 * to LOG. Connections stay open until the client closes them. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENTS 250

struct client {
	char buf[4096];
	size_t n;
};

static FILE *log_file;
static const char *file_name;

static void reply(int fd, const char *request)
{
	char head[256], body[2048] = "ok\n";
	size_t size = 3;
	unsigned long n;

	if (sscanf(request, "GET /tick?n=%lu", &n) == 1) {
		fprintf(log_file, "%lu\n", n);
	} else {
		FILE *f = fopen(file_name, "re");
		size = f ? fread(body, 1, sizeof(body), f) : 0;
		if (f)
			fclose(f);
	}
	int len =
	        snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nConnection: keep-alive\r\n\r\n", size);
	if (send(fd, head, (size_t)len, MSG_MORE | MSG_NOSIGNAL) < 0 || send(fd, body, size, MSG_NOSIGNAL) < 0)
		return;
}

/* True when the connection is done with. */
static int serve(int fd, struct client *c)
{
	ssize_t n = recv(fd, c->buf + c->n, sizeof(c->buf) - 1 - c->n, 0);

	if (n <= 0)
		return 1;
	c->n += (size_t)n;
	c->buf[c->n] = '\0';
	if (!strstr(c->buf, "\r\n\r\n"))
		return c->n == sizeof(c->buf) - 1;
	reply(fd, c->buf);
	c->n = 0;
	return 0;
}

int main(int argc, char **argv)
{
	static struct client clients[CLIENTS];
	static struct pollfd fds[CLIENTS + 1];
	struct sockaddr_in at = { .sin_family = AF_INET };
	int one = 1, n = 1;

	if (argc != 5 || !inet_aton(argv[1], &at.sin_addr) || !(log_file = fopen(argv[3], "ae")))
		return 2;
	at.sin_port = htons((uint16_t)atoi(argv[2]));
	file_name = argv[4];
	setvbuf(log_file, NULL, _IOLBF, 0);
	fds[0] = (struct pollfd){ .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .events = POLLIN };
	setsockopt(fds[0].fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fds[0].fd, (struct sockaddr *)&at, sizeof(at)) || listen(fds[0].fd, 100)) {
		perror("tick-server");
		return 1;
	}
	for (;;) {
		if (poll(fds, (nfds_t)n, -1) < 0 && errno != EINTR)
			return 1;
		for (int i = n - 1; i > 0; i--) {
			if (!fds[i].revents || !serve(fds[i].fd, &clients[i - 1]))
				continue;
			close(fds[i].fd);
			n--;
			fds[i] = fds[n];
			clients[i - 1] = clients[n - 1];
		}
		if (!(fds[0].revents & POLLIN) || n > CLIENTS)
			continue;
		int fd = accept(fds[0].fd, NULL, NULL);
		if (fd < 0)
			continue;
		clients[n - 1].n = 0;
		fds[n++] = (struct pollfd){ .fd = fd, .events = POLLIN };
	}
}
