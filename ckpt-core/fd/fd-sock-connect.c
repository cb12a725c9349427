/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Connections that are made anew: a stream to outside that the user has mapped, --map socket:REMOTE=connect or =connect:ADDRESS, is
 * opened to the same or another address at restart. For programs that can bear it: what was unread or under way in the old one is lost. */
#include "fd/fd-sock.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "fd/fd-sock-unix.h"

#define PATIENCE_MS 10000

static bool parse_unix(const char *text, struct sockaddr_storage *ret_address, socklen_t *ret_size)
{
	struct sockaddr_un *un = (struct sockaddr_un *)ret_address;

	if (!strncmp(text, "unix:", 5))
		text += 5;
	size_t n = strlen(text);
	return n >= 2 && n < sizeof(un->sun_path) && (text[0] == '/' || text[0] == '@') && !unix_address(text, un, ret_size);
}

/* Whether somebody listens is asked only where asking is not connecting: at a path. */
static void look_for_peer(const struct sockaddr_storage *address, struct fd_verdict *v)
{
	const struct sockaddr_un *un = (const struct sockaddr_un *)address;

	if (un->sun_family != AF_UNIX || !un->sun_path[0])
		return;
	int alive = unix_path_alive(un->sun_path);
	if (alive <= 0)
		fd_verdict_obstacle(v, "start it first, or name another address with --map socket:OLD=connect:NEW",
				    "nobody listens on the socket %s%s%s", un->sun_path, alive ? ": " : "", alive ? strerror(-alive) : "");
}

int sock_connect_plan(struct fd_plan *plan, struct fd_file *file, const char *prefix, struct fd_verdict *v, bool *ret_anew)
{
	struct sock_state *s = file->state;
	const char *to = plan->o.map && s->outside && s->remote.size && s->remote_text ?
				 resource_map_ask(plan->o.map, "socket", s->remote_text) : NULL;
	struct sockaddr_storage address = { 0 };
	socklen_t size = (socklen_t)s->remote.size;

	*ret_anew = false;
	if (!to)
		return 0;
	memcpy(&address, s->remote.data, s->remote.size);
	if (strcmp(to, "connect") && (strncmp(to, "connect:", 8) ||
	    !(s->domain == AF_UNIX ? parse_unix(to + 8, &address, &size) : sock_address_parse(to + 8, prefix, &address)))) {
		fd_verdict_obstacle(v, "write =connect, or =connect:ADDRESS with an address of the same family",
				    "\"%s\" does not say how its connection to %s is to be made anew", to, s->remote_text);
		return 0;
	}
	s->anew = address;
	s->anew_size = size;
	AUTO_FREE char *text = sock_address_text(prefix, &address, size);
	fd_verdict_action(v, "is connected to %s anew%s", text ? text : "outside",
			  sock_queue_bytes(file) ? "; what it had not read from the old connection is dropped" : "");
	look_for_peer(&address, v);
	*ret_anew = true;
	return 0;
}

static int connect_in_time(int fd, const struct sock_state *s)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	socklen_t size = sizeof(int);
	int flags = fcntl(fd, F_GETFL), err = 0;

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK))
		return -errno;
	if (connect(fd, (const struct sockaddr *)&s->anew, s->anew_size) && errno != EINPROGRESS)
		return -errno;
	if (poll(&p, 1, PATIENCE_MS) <= 0)
		return -ETIMEDOUT;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &size) || err)
		return err ? -err : -errno;
	return fcntl(fd, F_SETFL, flags) ? -errno : 0;
}

int sock_connect_make(struct fd_plan *plan, struct fd_file *file)
{
	const struct sock_state *s = file->state;
	const char *prefix = s->domain == AF_UNIX ? "unix" : "tcp";
	AUTO_FREE char *text = sock_address_text(prefix, &s->anew, s->anew_size);
	int fd = sock_create(plan, file);

	if (fd < 0)
		return fd;
	file->fd = fd_plan_adopt(plan, fd);
	if (file->fd < 0)
		return file->fd;
	sock_options_restore(plan, file, file->fd, true);
	int err = connect_in_time(file->fd, s);
	if (err)
		return report_fail(plan->rep, err, "%s cannot be connected to: %s; start who listens there, or leave out --map socket:%s",
				   text ? text : "it", strerror(-err), s->remote_text);
	sock_options_restore(plan, file, file->fd, false);
	return fd_set_status(plan, file, file->fd);
}
