/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the tests of internet sockets share: addresses, options, expectations. For use in the children of a trip. */
#ifndef TEST_SOCK_INET_H
#define TEST_SOCK_INET_H

#include "sock-trip.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

static inline struct sockaddr_in v4(uint32_t host, long port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(host), .sin_port = htons((uint16_t)port) };
}

static inline int option(int fd, int level, int name)
{
	int value = -1;
	socklen_t size = sizeof(value);

	CHECK(getsockopt(fd, level, name, &value, &size) == 0);
	return value;
}

static inline void set(int fd, int level, int name, int value)
{
	CHECK(setsockopt(fd, level, name, &value, sizeof(value)) == 0);
}

static inline long port_of(int fd)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);

	CHECK(getsockname(fd, (struct sockaddr *)&address, &size) == 0);
	return ntohs(((struct sockaddr_in *)&address)->sin_port); /* at the same place in both families */
}

static inline int dial(int type, long port)
{
	struct sockaddr_in to = v4(INADDR_LOOPBACK, port);
	int fd = socket(AF_INET, type, 0);

	CHECK(fd >= 0);
	CHECK(connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0);
	return fd;
}

static inline void expect(int fd, const void *data, size_t size)
{
	char buffer[1 << 16];
	ssize_t n = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);

	CHECK_INT(n, size);
	CHECK(memcmp(buffer, data, size) == 0);
}

static inline void expect_error(int fd, int error)
{
	char c;

	CHECK_INT(recv(fd, &c, 1, MSG_DONTWAIT), -1);
	CHECK_INT(errno, error);
}

static inline void wait_gone(void)
{
	usleep(50000);
}

#endif
