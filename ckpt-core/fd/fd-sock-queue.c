/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Unread data of sockets: read from the receive queue without taking it out, and sent again by the other end of a new one.
 *
 * A stream is peeked in one call: MSG_PEEK goes on over the buffers of the queue (unix_stream_read_generic,
 * tcp_recvmsg_locked). Where that falls short (buffers of different senders with SO_PASSCRED), and for messages, SO_PEEK_OFF
 * moves on from one to the next. It is a property of the socket that the target shares, so it is given back as it was; it only
 * matters to a target that peeks. */
#include "fd/fd-sock.h"

#include <linux/sockios.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#define PIECE (256u * 1024) /* of a stream, in one record */

static int add_piece(struct fd_file *file, const char *what, const void *data, size_t size)
{
	struct sock_item item = { .what = strdup(what), .value = { malloc(size ? size : 1), size } };
	int err = -ENOMEM;

	if (item.what && item.value.data) {
		memcpy(item.value.data, data, size);
		err = fd_file_add_item(file, &item);
	}
	if (err) {
		free(item.what);
		free(item.value.data);
	}
	return err;
}

static int add_data(struct fd_file *file, const void *data, size_t size)
{
	return add_piece(file, "data", data, size);
}

int sock_queue_add(struct fd_file *file, const char *what, const void *data, size_t size)
{
	int err = 0;

	for (size_t done = 0; done < size && !err; done += PIECE)
		err = add_piece(file, what, (const char *)data + done, size - done < PIECE ? size - done : PIECE);
	return err;
}

static int set_peek_offset(int copy, int offset)
{
	return setsockopt(copy, SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof(offset)) ? -errno : 0;
}

/* Peeks once into *buffer, which is made larger until the message is whole. `at` is the offset in the queue. Returns the size,
 * or -EAGAIN at the end of the queue, or another negative errno. */
static ssize_t peek_message(int copy, char **buffer, size_t *room, int at)
{
	for (;;) {
		ssize_t n = recv(copy, *buffer, *room, MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
		if (n < 0)
			return -errno;
		if ((size_t)n <= *room)
			return n;
		char *larger = realloc(*buffer, (size_t)n);
		if (!larger)
			return -ENOMEM;
		*buffer = larger;
		*room = (size_t)n;
		int err = set_peek_offset(copy, at);
		if (err)
			return err;
	}
}

/* At the end of a SOCK_SEQPACKET whose other end has closed an endless row of empty messages is read: its end of file, which
 * looks the same to the reader as an empty message before it. SIOCINQ counts the bytes of the whole queue there. */
static int walk_messages(struct fd_file *file, int copy)
{
	const struct sock_state *s = file->state;
	bool ended = s->type == SOCK_SEQPACKET && (s->shutdown & 1);
	size_t room = 64 * 1024, empty = 0;
	AUTO_FREE char *buffer = malloc(room);
	int at = 0, total = 0;

	if (!buffer)
		return -ENOMEM;
	if (ended && ioctl(copy, SIOCINQ, &total))
		return -errno;
	while (!ended || at < total) {
		ssize_t n = peek_message(copy, &buffer, &room, at);
		if (n == -EAGAIN)
			return 0;
		if (n < 0)
			return (int)n;
		/* An empty message is shown once: the kernel marks it as peeked. The count is for a kernel that would not. */
		empty = n ? 0 : empty + 1;
		if (empty > 4096)
			return -ELOOP;
		int err = add_data(file, buffer, (size_t)n);
		if (err)
			return err;
		at += (int)n;
	}
	return 0;
}

static int walk_stream(struct fd_file *file, int copy)
{
	AUTO_FREE char *buffer = malloc(PIECE);

	if (!buffer)
		return -ENOMEM;
	for (;;) {
		ssize_t n = recv(copy, buffer, PIECE, MSG_PEEK | MSG_DONTWAIT);
		if (n <= 0)
			return n == 0 || errno == EAGAIN ? 0 : -errno;
		int err = add_data(file, buffer, (size_t)n);
		if (err)
			return err;
	}
}

static int walk(struct fd_file *file, int copy, bool stream)
{
	int old = -1, err;
	socklen_t size = sizeof(old);

	if (getsockopt(copy, SOL_SOCKET, SO_PEEK_OFF, &old, &size))
		return -errno;
	err = set_peek_offset(copy, 0);
	if (err)
		return err;
	err = stream ? walk_stream(file, copy) : walk_messages(file, copy);
	int back = set_peek_offset(copy, old);
	return err ? err : back;
}

/* Returns true when the whole stream was had in one call. */
static int peek_stream_at_once(struct fd_file *file, int copy, int in_queue, bool *ret_whole)
{
	size_t room = (size_t)in_queue + 1; /* TCP leaves an urgent byte out of the count */
	AUTO_FREE char *buffer = malloc(room);
	int offset = -1;
	socklen_t size = sizeof(offset);

	*ret_whole = false;
	if (!buffer)
		return -ENOMEM;
	if (!getsockopt(copy, SOL_SOCKET, SO_PEEK_OFF, &offset, &size) && offset >= 0)
		return 0;
	ssize_t n = recv(copy, buffer, room, MSG_PEEK | MSG_DONTWAIT);
	if (n < in_queue)
		return 0;
	*ret_whole = true;
	return sock_queue_add(file, "data", buffer, (size_t)n);
}

int sock_queue_save(struct fd_capture *cap, struct fd_file *file, int copy)
{
	const struct sock_state *s = file->state;
	bool stream = s->type == SOCK_STREAM, whole = false;
	int in_queue = 0, err = 0;
	char name[256];

	if (stream) {
		if (ioctl(copy, SIOCINQ, &in_queue) || in_queue == 0)
			return 0;
		err = peek_stream_at_once(file, copy, in_queue, &whole);
	}
	if (!err && !whole)
		err = walk(file, copy, stream);
	if (err)
		return report_fail(cap->rep, err, "%s: its unread data cannot be looked at: %s",
				   fd_file_name(file, name, sizeof(name)), strerror(-err));
	return 0;
}

/* ---- restore ---- */

size_t sock_queue_bytes(const struct fd_file *file)
{
	const struct sock_item *items = file->items;
	size_t n = 0;

	for (size_t i = 0; i < file->n_items; i++)
		if (!strcmp(items[i].what, "data"))
			n += items[i].value.size;
	return n;
}

/* The kernel counts twice what is asked for. */
void sock_queue_enlarge(int fd, int name, int force_name, size_t want)
{
	int now = 0, ask = want / 2 > INT32_MAX / 2 ? INT32_MAX / 2 : (int)(want / 2);
	socklen_t size = sizeof(now);

	if (getsockopt(fd, SOL_SOCKET, name, &now, &size) || (size_t)now >= want)
		return;
	if (setsockopt(fd, SOL_SOCKET, force_name, &ask, sizeof(ask)))
		setsockopt(fd, SOL_SOCKET, name, &ask, sizeof(ask));
}

static int put_item(const struct sock_item *item, int writer, bool stream)
{
	const char *data = item->value.data;
	size_t done = 0;

	do {
		ssize_t n = send(writer, data + done, item->value.size - done, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN || errno == ENOBUFS ? -ENOBUFS : -errno;
		done += (size_t)n;
	} while (stream && done < item->value.size);
	return 0;
}

int sock_queue_put(struct fd_plan *plan, const struct fd_file *file, int writer, int reader)
{
	const struct sock_item *items = file->items;
	const struct sock_state *s = file->state;
	size_t bytes = sock_queue_bytes(file), messages = 0;
	char name[256];

	for (size_t i = 0; i < file->n_items; i++)
		messages += !strcmp(items[i].what, "data");
	if (!messages)
		return 0;
	/* Each message, and each buffer of a stream, costs the kernel its size rounded up and some more. */
	sock_queue_enlarge(writer, SO_SNDBUF, SO_SNDBUFFORCE, 2 * bytes + messages * 4096);
	if (s->domain != AF_UNIX)
		sock_queue_enlarge(reader, SO_RCVBUF, SO_RCVBUFFORCE, 4 * bytes + messages * 4096);
	for (size_t i = 0; i < file->n_items; i++) {
		if (strcmp(items[i].what, "data"))
			continue;
		int err = put_item(&items[i], writer, s->type == SOCK_STREAM);
		if (err == -ENOBUFS)
			return err;
		if (err)
			return report_fail(plan->rep, err, "%s: its unread data cannot be put back: %s",
					   fd_file_name(file, name, sizeof(name)), strerror(-err));
	}
	return 0;
}
