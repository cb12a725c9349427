/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the tests of unix sockets share: names, pairs, expectations. For use in the children of a trip. */
#ifndef TEST_SOCK_UNIX_H
#define TEST_SOCK_UNIX_H

#include "sock-trip.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

static inline void pair(int type, int a, int b)
{
	int ends[2];

	CHECK(socketpair(AF_UNIX, type, 0, ends) == 0);
	int high = fcntl(ends[1], F_DUPFD, 500);
	close(ends[1]);
	at(ends[0], a);
	at(high, b);
}

static inline void expect(int fd, const void *data, size_t size)
{
	char buffer[1 << 16];
	ssize_t n = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);

	CHECK_INT(n, size);
	CHECK(memcmp(buffer, data, size) == 0);
}

static inline void expect_nothing(int fd)
{
	char c;

	CHECK_INT(recv(fd, &c, 1, MSG_DONTWAIT), -1);
	CHECK_INT(errno, EAGAIN);
}

static inline int option(int fd, int name)
{
	int value = -1;
	socklen_t size = sizeof(value);

	CHECK(getsockopt(fd, SOL_SOCKET, name, &value, &size) == 0);
	return value;
}

static inline struct sockaddr_un named(const char *name)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(address.sun_path, sizeof(address.sun_path), "%s%s%s", *name == '@' || *name == '.' ? "" : trip_dir(),
		 *name == '@' || *name == '.' ? "" : "/", *name == '.' ? name + 1 : name);
	if (*name == '@')
		address.sun_path[0] = '\0';
	return address;
}

static inline socklen_t size_of(const struct sockaddr_un *address)
{
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
			   (address->sun_path[0] ? strlen(address->sun_path) + 1 : 1 + strlen(address->sun_path + 1)));
}

static inline int bound(int type, const char *name)
{
	struct sockaddr_un address = named(name);
	int fd = socket(AF_UNIX, type, 0);

	CHECK(fd >= 0);
	CHECK(bind(fd, (struct sockaddr *)&address, size_of(&address)) == 0);
	return fd;
}

static inline int connected(int type, const char *name)
{
	struct sockaddr_un address = named(name);
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);

	CHECK(fd >= 0);
	CHECK(connect(fd, (struct sockaddr *)&address, size_of(&address)) == 0);
	return fd;
}

static inline void expect_name(int fd, const char *name)
{
	struct sockaddr_un address = named(name), now = { 0 };
	socklen_t size = sizeof(now);

	CHECK(getsockname(fd, (struct sockaddr *)&now, &size) == 0);
	CHECK_INT(size, size_of(&address));
	CHECK(memcmp(&now, &address, size) == 0);
}

#endif
