// SPDX-License-Identifier: LGPL-2.1-or-later
/* Socket pairs of the three types keep the data in both directions, message boundaries, options, and the half that was shut
 * down. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "target.h"

static char data[60000], back[60000];

static void expect(int fd, const char *text)
{
	ssize_t n = recv(fd, back, sizeof(back), MSG_DONTWAIT);

	target_check(n == (ssize_t)strlen(text) && memcmp(back, text, n) == 0, "fd %d: %ld bytes instead of \"%s\"", fd,
	             (long)n, text);
}

int main(int argc, char **argv)
{
	int stream[2], gram[2], seq[2], half[2], value;
	struct timeval tv = { 3, 500000 }, tv_now;
	socklen_t len = sizeof(tv_now);

	target_init(argc, argv);
	target_check(socketpair(AF_UNIX, SOCK_STREAM, 0, stream) == 0 && socketpair(AF_UNIX, SOCK_DGRAM, 0, gram) == 0 &&
	                     socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, seq) == 0 &&
	                     socketpair(AF_UNIX, SOCK_STREAM, 0, half) == 0,
	             "%m");
	target_fill(data, sizeof(data), 9);
	target_check(send(stream[0], data, sizeof(data), 0) == sizeof(data) && send(stream[1], "other way", 9, 0) == 9, "%m");
	target_check(send(gram[0], "first", 5, 0) == 5 && send(gram[0], "second one", 10, 0) == 10 &&
	                     send(gram[1], "back", 4, 0) == 4,
	             "%m");
	target_check(send(seq[0], "a", 1, 0) == 1 && send(seq[0], "bcd", 3, 0) == 3, "%m");
	target_check(send(half[0], "last words", 10, 0) == 10 && shutdown(half[0], SHUT_WR) == 0, "%m");
	setsockopt(stream[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	value = 1;
	setsockopt(gram[0], SOL_SOCKET, SO_PASSCRED, &value, sizeof(value));
	target_ready();
	while (target_turn())
		;
	target_check(recv(stream[1], back, sizeof(back), MSG_DONTWAIT | MSG_WAITALL) == sizeof(back) &&
	                     memcmp(back, data, sizeof(back)) == 0,
	             "contents of the stream");
	expect(stream[0], "other way");
	expect(gram[1], "first");
	expect(gram[1], "second one");
	expect(gram[0], "back");
	expect(seq[1], "a");
	expect(seq[1], "bcd");
	target_check(read(seq[1], back, 1) == -1 && errno == EAGAIN, "more messages than were sent, or not non-blocking");
	expect(half[1], "last words");
	expect(half[1], "");
	target_check(send(half[1], "still open", 10, 0) == 10, "%m");
	expect(half[0], "still open");
	target_check(getsockopt(stream[0], SOL_SOCKET, SO_RCVTIMEO, &tv_now, &len) == 0 && tv_now.tv_sec == 3 &&
	                     tv_now.tv_usec == 500000,
	             "SO_RCVTIMEO is %ld.%06ld", tv_now.tv_sec, tv_now.tv_usec);
	len = sizeof(value);
	value = 0;
	target_check(getsockopt(gram[0], SOL_SOCKET, SO_PASSCRED, &value, &len) == 0 && value == 1, "SO_PASSCRED is lost");
	close(stream[0]);
	target_check(recv(stream[1], back, 1, 0) == 0, "somebody else holds the other end");
	target_done();
}
