// SPDX-License-Identifier: LGPL-2.1-or-later
/* Pipes keep their contents, capacity, flags and ends: one with data and both ends, one whose write end is closed, one in
 * packet mode with boundaries, one that grew, an empty one. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "target.h"

static char data[200000], back[200001];

int main(int argc, char **argv)
{
	int plain[2], ended[2], packets[2], large[2], empty[2], n = 0;

	target_init(argc, argv);
	target_check(pipe(plain) == 0 && pipe(ended) == 0 && pipe2(packets, O_DIRECT) == 0 && pipe(large) == 0 &&
	                     pipe2(empty, O_NONBLOCK) == 0,
	             "%m");
	target_fill(data, sizeof(data), 1);
	target_check(write(plain[1], data, 10000) == 10000 && write(ended[1], "the end", 7) == 7, "%m");
	target_check(read(plain[0], back, 3333) == 3333, "%m"); /* so that a buffer is half used */
	close(ended[1]);
	target_check(write(packets[1], "one", 3) == 3 && write(packets[1], "and two", 7) == 7 && write(packets[1], "3", 1) == 1,
	             "%m");
	target_check(fcntl(large[1], F_SETPIPE_SZ, 1 << 18) == 1 << 18, "%m");
	target_check(write(large[1], data, sizeof(data)) == sizeof(data), "%m");
	target_ready();
	while (target_turn()) {
		/* It goes on being used: a byte in, a byte out. */
		target_check(write(plain[1], data + (10000 + n) % sizeof(data), 1) == 1, "%m");
		target_check(read(plain[0], back, 1) == 1 && back[0] == data[(3333 + n) % sizeof(data)], "turn %d: wrong byte",
		             n);
		target_check(read(empty[0], back, 1) == -1 && errno == EAGAIN, "the empty pipe is not empty");
		n++;
	}
	target_check(fcntl(plain[0], F_GETPIPE_SZ) == 65536 && fcntl(large[0], F_GETPIPE_SZ) == 1 << 18, "capacity %d and %d",
	             fcntl(plain[0], F_GETPIPE_SZ), fcntl(large[0], F_GETPIPE_SZ));
	target_check(read(plain[0], back, sizeof(back)) == 6667 && memcmp(back, data + 3333 + n, 6667) == 0, "contents");
	target_check(read(ended[0], back, 100) == 7 && memcmp(back, "the end", 7) == 0 && read(ended[0], back, 1) == 0,
	             "data, then the end");
	target_check(read(packets[0], back, 100) == 3 && read(packets[0], back, 100) == 7 && memcmp(back, "and two", 7) == 0 &&
	                     read(packets[0], back, 100) == 1,
	             "packet boundaries");
	target_check(fcntl(packets[1], F_GETFL) & O_DIRECT, "packet mode");
	for (int got = 0, r; got < (int)sizeof(data); got += r) {
		r = read(large[0], back + got, sizeof(data) - got);
		target_check(r > 0, "%m after %d bytes", got);
	}
	target_check(memcmp(back, data, sizeof(data)) == 0, "contents of the large pipe");
	close(plain[0]);
	signal(SIGPIPE, SIG_IGN);
	target_check(write(plain[1], "x", 1) == -1 && errno == EPIPE, "somebody else holds the read end");
	target_done();
}
