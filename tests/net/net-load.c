// SPDX-License-Identifier: LGPL-2.1-or-later
/* Load for a network: many TCP connections at once, in both directions, in blocks that carry the connection's number, a sequence
 * number and a checksum. Says BAD at the first byte that is wrong, and every second how far it has come.
 *
 * usage: net-load server ADDRESS PORT BLOCKS_PER_SECOND      (one client at a time; goes on until it is killed)
 *        net-load client ADDRESS PORT BLOCKS_PER_SECOND CONNECTIONS
 * Lines: "LOAD CONNECTIONS SENT RECEIVED LEAST IDLE", LEAST: blocks that the connection which got the fewest has got, IDLE: milliseconds since the one
 * that waits longest has got one; in a guest also "LOADQ N N ...": the interrupts of each of its network queues. Static, as it also runs in guests. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS 64
#define MAGIC 0x53544e4c4f414431ull
#define DATA_MAX 16384

struct block {
	uint64_t magic, connection, sequence, sum;
	uint32_t size, unused;
	uint8_t data[DATA_MAX];
};
#define HEAD offsetof(struct block, data)

struct connection {
	int fd;
	uint64_t number, sent, received; /* blocks; `number`: as the other side has it, from its first block */
	uint64_t last_ns;                /* when the last one came */
	size_t out, in;                  /* bytes of the blocks under way */
	struct block send, receive;
};

static struct connection all[CONNECTIONS];
static size_t n_all;
static uint64_t seed = 88172645463325252ull;

static void bad(const struct connection *c, const char *what)
{
	printf("BAD load: connection %ld: %s; sent %lu received %lu errno %s\n", (long)(c - all), what, c->sent, c->received, strerror(errno));
	fflush(stdout);
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static uint64_t random_number(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	return seed ^= seed << 17;
}

static uint64_t sum_of(const struct block *b)
{
	uint64_t sum = 14695981039346656037ull ^ b->sequence ^ b->connection << 48;

	for (uint32_t i = 0; i < b->size; i++)
		sum = (sum ^ b->data[i]) * 1099511628211ull;
	return sum;
}

static void next_block(struct connection *c)
{
	struct block *b = &c->send;

	*b = (struct block){ .magic = MAGIC, .connection = (uint64_t)(c - all), .sequence = c->sent };
	b->size = (uint32_t)(1 + random_number() % DATA_MAX);
	for (uint32_t i = 0; i < b->size; i += 8) {
		uint64_t r = random_number();
		memcpy(b->data + i, &r, b->size - i < 8 ? b->size - i : 8);
	}
	b->sum = sum_of(b);
}

/* `may_begin`: another block is due. Returns whether one was begun. */
static int push(struct connection *c, int may_begin)
{
	int begun = 0;

	if (!c->out) {
		if (!may_begin)
			return 0;
		next_block(c);
		begun = 1;
	}
	ssize_t n = send(c->fd, (char *)&c->send + c->out, HEAD + c->send.size - c->out, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0 && errno != EAGAIN && errno != EINTR)
		bad(c, "send");
	c->out += n > 0 ? (size_t)n : 0;
	if (c->out == HEAD + c->send.size) {
		c->out = 0;
		c->sent++;
	}
	return begun; /* if nothing of it is out yet, the next one has the same sequence number */
}

static void check_head(struct connection *c)
{
	const struct block *b = &c->receive;

	if (b->magic != MAGIC || b->size > DATA_MAX || !b->size)
		bad(c, "the head of a block is damaged");
	if (b->sequence != c->received)
		bad(c, "a block is missing or comes twice");
	if (!c->received)
		c->number = b->connection;
	if (b->connection != c->number)
		bad(c, "a block of another connection");
}

static void pull(struct connection *c)
{
	for (int i = 0; i < 8; i++) {
		size_t whole = c->in < HEAD ? HEAD : HEAD + c->receive.size;
		ssize_t n = recv(c->fd, (char *)&c->receive + c->in, whole - c->in, MSG_DONTWAIT);
		if (n == 0)
			bad(c, "closed");
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0)
			bad(c, "receive");
		c->in += (size_t)n;
		if (c->in == HEAD)
			check_head(c);
		if (c->in < HEAD || c->in < HEAD + c->receive.size)
			continue;
		if (sum_of(&c->receive) != c->receive.sum)
			bad(c, "a block's checksum is wrong");
		c->received++;
		c->last_ns = now_ns();
		c->in = 0;
	}
}

static void say_queues(void)
{
	char line[512], out[512] = "LOADQ";
	FILE *f = fopen("/proc/interrupts", "re");
	size_t used = 5;
	int any = 0;

	while (f && fgets(line, sizeof(line), f)) {
		char *p = strchr(line, ':');
		unsigned long sum = 0;
		if (!p || !strstr(line, "virtio") || !strstr(line, "-input."))
			continue;
		for (p++;;) {
			char *end;
			unsigned long v = strtoul(p, &end, 10);
			if (end == p || (*end != ' ' && *end != '\n'))
				break;
			sum += v;
			p = end;
		}
		used += (size_t)snprintf(out + used, sizeof(out) - used, " %lu", sum);
		any = 1;
	}
	if (f)
		fclose(f);
	if (any)
		printf("%s\n", out);
}

static void say(void)
{
	uint64_t sent = 0, received = 0, least = ~0ull, idle = 0, now = now_ns();

	for (size_t i = 0; i < n_all; i++) {
		sent += all[i].sent;
		received += all[i].received;
		least = all[i].received < least ? all[i].received : least;
		idle = now - all[i].last_ns > idle ? now - all[i].last_ns : idle;
	}
	if (n_all)
		printf("LOAD %zu %lu %lu %lu %lu\n", n_all, sent, received, least, idle / 1000000);
	say_queues();
	fflush(stdout);
}

static void adopt(int fd)
{
	int one = 1;

	if (n_all == CONNECTIONS) {
		close(fd);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	all[n_all++].fd = fd;
}

static void loop(int listener, uint64_t per_second)
{
	uint64_t start = now_ns(), begun = 0, said = start;
	size_t next = 0; /* whose turn it is to begin a block; who is in the middle of one is passed over */

	for (;;) {
		struct pollfd p[CONNECTIONS + 1];
		uint64_t now = now_ns();
		uint64_t due = (now - start) / 1000000 * per_second / 1000;
		for (size_t i = 0; i < n_all; i++)
			p[i] = (struct pollfd){ .fd = all[i].fd, .events = POLLIN | (all[i].out || due > begun ? POLLOUT : 0) };
		p[n_all] = (struct pollfd){ .fd = listener, .events = POLLIN };
		size_t n = n_all;
		poll(p, n + 1, 20);
		if (due > begun + 100) /* what was not sent in time is not made up for */
			begun = due - 100;
		for (size_t i = 0; i < n; i++) {
			if (p[i].revents & (POLLIN | POLLERR | POLLHUP))
				pull(&all[i]);
			int turn = i == next % n && due > begun;
			next += i == next % n && (turn || all[i].out);
			if (p[i].revents & POLLOUT)
				begun += (uint64_t)push(&all[i], turn);
		}
		if (p[n].revents & POLLIN)
			adopt(accept(listener, NULL, NULL));
		if (now - said >= 1000000000u) {
			said = now;
			say();
		}
	}
}

int main(int argc, char **argv)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	int one = 1, listener = -1;

	if (argc < 5 || !inet_aton(argv[2], &a.sin_addr))
		return 2;
	a.sin_port = htons((uint16_t)atoi(argv[3]));
	signal(SIGPIPE, SIG_IGN);
	seed ^= now_ns();
	if (!strcmp(argv[1], "server")) {
		listener = socket(AF_INET, SOCK_STREAM, 0);
		setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
		if (bind(listener, (struct sockaddr *)&a, sizeof(a)) || listen(listener, CONNECTIONS)) {
			perror("BAD load: listen");
			return 1;
		}
	} else {
		for (int n = argc > 5 ? atoi(argv[5]) : 1; n > 0; n--) {
			int fd;
			for (int tries = 0;; tries++) {
				fd = socket(AF_INET, SOCK_STREAM, 0);
				if (!connect(fd, (struct sockaddr *)&a, sizeof(a)))
					break;
				close(fd);
				if (tries == 600) {
					perror("BAD load: connect");
					return 1;
				}
				usleep(100000);
			}
			adopt(fd);
		}
	}
	printf("LOADED\n");
	fflush(stdout);
	loop(listener, strtoul(argv[4], NULL, 10));
}
