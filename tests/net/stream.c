// SPDX-License-Identifier: LGPL-2.1-or-later
/* One end of a TCP connection: writes as much as the other end takes and reads at a rate of its own, so that data piles up
 *everywhere on the way. Each byte depends on its place and on a number drawn by the writer, which is told once: none may be
 *missing or come twice.
 *
 * usage: stream LOG listen|connect ADDRESS PORT BYTES [MEGABYTES]
 *	BYTES		how many it reads in every 5 ms
 *	MEGABYTES	of memory that is hard to compress, for a checkpoint to take its time
 * LOG gets lines "ready PID", "at RECEIVED SENT UNREAD UNACKNOWLEDGED", "end ERRNO" when the connection fails, "done RECEIVED
 *SENT" when both sides have ended it, "BAD why". SIGUSR1: writes no more. The log is opened anew for each line. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const char *log_path;
static volatile sig_atomic_t ending;

static void say(const char *fmt, ...)
{
	int fd = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	va_list ap;

	va_start(ap, fmt);
	vdprintf(fd, fmt, ap);
	va_end(ap);
	close(fd);
}

static void on_signal(int sig)
{
	ending = sig;
}

static void on_alarm(int sig)
{
	(void)sig;
}

struct way {
	uint64_t seed, done;
	bool ended;
};

static uint8_t byte_at(uint64_t seed, uint64_t at)
{
	uint64_t x = seed + (at / 8 + 1) * 0x9e3779b97f4a7c15ull;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return (uint8_t)((x ^ x >> 31) >> (at % 8 * 8));
}

static void end(int err)
{
	say("end %d\n", err);
	exit(0);
}

static void write_some(int fd, struct way *out)
{
	static uint8_t buf[65536];

	for (int i = 0; i < 8 && !out->ended; i++) {
		for (size_t n = 0; n < sizeof(buf); n++)
			buf[n] = byte_at(out->seed, out->done + n);
		ssize_t n = send(fd, buf, sizeof(buf), MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0)
			end(errno);
		out->done += (uint64_t)n;
	}
}

static void read_some(int fd, struct way *in, size_t rate)
{
	static uint8_t buf[1 << 20];
	ssize_t n = in->ended ? -1 : recv(fd, buf, rate < sizeof(buf) ? rate : sizeof(buf), MSG_DONTWAIT);

	if (n < 0 && (in->ended || errno == EAGAIN))
		return;
	if (n < 0)
		end(errno);
	in->ended = n == 0;
	for (ssize_t i = 0; i < n; i++)
		if (buf[i] != byte_at(in->seed, in->done + (uint64_t)i)) {
			say("BAD byte %llu is not what was sent\n", (unsigned long long)in->done + (unsigned long long)i);
			exit(1);
		}
	in->done += (uint64_t)n;
}

static void talk(int fd, size_t rate)
{
	struct way in = { 0 }, out = { 0 };

	if (getrandom(&out.seed, sizeof(out.seed), 0) != sizeof(out.seed) ||
	    write(fd, &out.seed, sizeof(out.seed)) != sizeof(out.seed) ||
	    recv(fd, &in.seed, sizeof(in.seed), MSG_WAITALL) != sizeof(in.seed)) {
		say("BAD no greeting\n");
		exit(1);
	}
	say("ready %d\n", getpid());
	for (unsigned turn = 0; !in.ended || !out.ended; turn++) {
		struct timespec nap = { 0, 5000000 };
		int unread = 0, unacked = 0;

		if (ending && !out.ended) {
			out.ended = true;
			shutdown(fd, SHUT_WR);
		}
		write_some(fd, &out);
		read_some(fd, &in, rate);
		ioctl(fd, SIOCINQ, &unread);
		ioctl(fd, SIOCOUTQ, &unacked);
		if (turn % 10 == 0)
			say("at %llu %llu %d %d\n", (unsigned long long)in.done, (unsigned long long)out.done, unread, unacked);
		nanosleep(&nap, NULL);
	}
	say("done %llu %llu\n", (unsigned long long)in.done, (unsigned long long)out.done);
}

int main(int argc, char **argv)
{
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} at = { .in = { .sin_family = AF_INET } };
	socklen_t size = sizeof(at.in);
	int fd, listener;

	if (argc != 6 && argc != 7)
		return 2;
	size_t bulk = argc == 7 ? (size_t)atol(argv[6]) << 20 : 0;
	uint8_t *memory = malloc(bulk + 1);
	for (size_t i = 0; memory && i < bulk; i += 4096)
		if (getrandom(memory + i, 1024, 0) != 1024)
			return 2;
	log_path = argv[1];
	if (inet_pton(AF_INET, argv[3], &at.in.sin_addr) == 1) {
		at.in.sin_port = htons((uint16_t)atoi(argv[4]));
	} else {
		at.in6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)atoi(argv[4])) };
		inet_pton(AF_INET6, argv[3], &at.in6.sin6_addr);
		size = sizeof(at.in6);
	}
	/* A signal that is mostly pending when the program has been stopped for a while. */
	struct itimerval often = { { 0, 20000 }, { 0, 20000 } };
	sigaction(SIGALRM, &(struct sigaction){ .sa_handler = on_alarm, .sa_flags = SA_RESTART }, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	signal(SIGUSR1, on_signal);
	fd = socket(at.any.sa_family, SOCK_STREAM, 0);
	if (!strcmp(argv[2], "listen")) {
		listener = fd; /* without SO_REUSEADDR, and open for good */
		if (bind(listener, &at.any, size) || listen(listener, 4) ||
		    (say("listening\n"), fd = accept(listener, NULL, NULL)) < 0) {
			say("BAD %s\n", strerror(errno));
			return 1;
		}
	} else if (connect(fd, &at.any, size)) {
		say("BAD %s\n", strerror(errno));
		return 1;
	}
	talk(fd, (size_t)atol(argv[5]));
	return 0;
}
