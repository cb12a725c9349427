// SPDX-License-Identifier: LGPL-2.1-or-later
/* A program with a tap, and who talks to it: answers numbered frames with a counter of its own, so that neither a lost memory
 * nor a lost setting stays unnoticed.
 *
 * frames serve LOG NAME QUEUES [pi] [vnet=SIZE] [sndbuf=N] [offload=HEX] [filter] [txfilter] [detached] [idle] [tun] [nopi] ...
 * frames give LOG NAME: the same, on a queue that was opened by the program before it
 * frames macvtap LOG PATH
 * frames ask INTERFACE MAC FIRST COUNT: asks from an interface, prints the last counter; FIRST: 0, or what the first must be
 * frames listen INTERFACE SECONDS: prints the source of every RARP broadcast
 * frames flood INTERFACE MAC COUNT: sends without waiting; flood-filtered: what the server's filter takes out
 *
 * A request is an Ethernet frame of a local experimental type with a number and a checksum over a pattern of that number; the
 * answer has the number, the counter and the server's nonce. The server checks all its settings before each answer. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define TYPE 0x88b5 /* IEEE 802: local experimental */
#define QUEUES_MAX 8
#define PATTERN 900

struct message {
	struct ethhdr eth;
	uint8_t is_answer, pad;
	uint32_t number, counter, nonce, sum;
	uint8_t pattern[PATTERN];
} __attribute__((packed));

struct queue {
	int fd;
	struct ifreq ifr;
	int header, sndbuf;
	bool detached;
};

static struct server {
	FILE *log;
	struct queue queues[QUEUES_MAX];
	int n, header_size;
	bool pi, filter, tun;
	uint32_t counter, nonce;
	uint8_t mac[6];
	pthread_mutex_t lock;
} server = { .lock = PTHREAD_MUTEX_INITIALIZER };

static struct sock_filter filter_code[] = {
	/* all but frames of type 0x88b6 */
	BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x88b6, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, 0),
	BPF_STMT(BPF_RET | BPF_K, 0xffff),
};

__attribute__((format(printf, 1, 2))) _Noreturn static void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(server.log ? server.log : stderr, fmt, ap);
	va_end(ap);
	fprintf(server.log ? server.log : stderr, "\n");
	exit(1);
}

static void must(int result, const char *what)
{
	if (result < 0)
		die("BAD %s: %s", what, strerror(errno));
}

static void fill(struct message *m, uint32_t number)
{
	uint32_t x = number * 2654435761u + 1;

	m->number = number;
	m->sum = 0;
	for (int i = 0; i < PATTERN; i++) {
		x = x * 1664525 + 1013904223;
		m->pattern[i] = (uint8_t)(x >> 24);
		m->sum = m->sum * 31 + m->pattern[i];
	}
}

static bool is_whole(const struct message *m)
{
	struct message want;

	fill(&want, m->number);
	return want.sum == m->sum && !memcmp(want.pattern, m->pattern, PATTERN);
}

/* ---- the server ---- */

static void check_queue(const struct queue *q)
{
	struct ifreq now = { 0 };
	int value;

	must(ioctl(q->fd, TUNGETIFF, &now), "TUNGETIFF");
	if ((now.ifr_flags ^ q->ifr.ifr_flags) & ~IFF_PERSIST)
		die("BAD flags %x instead of %x", now.ifr_flags, q->ifr.ifr_flags);
	must(ioctl(q->fd, TUNGETVNETHDRSZ, &value), "TUNGETVNETHDRSZ");
	if (value != q->header)
		die("BAD vnet header size %d instead of %d", value, q->header);
	if (q->sndbuf >= 0 && (ioctl(q->fd, TUNGETSNDBUF, &value) < 0 || value != q->sndbuf))
		die("BAD sndbuf %d instead of %d", value, q->sndbuf);
	if (server.filter) {
		struct sock_fprog prog;
		must(ioctl(q->fd, TUNGETFILTER, &prog), "TUNGETFILTER");
		if (prog.len != sizeof(filter_code) / sizeof(filter_code[0]) || prog.filter != filter_code)
			die("BAD filter %p of length %u", (void *)prog.filter, prog.len);
	}
}

static void take_note(struct queue *q)
{
	must(ioctl(q->fd, TUNGETIFF, &q->ifr), "TUNGETIFF");
	must(ioctl(q->fd, TUNGETVNETHDRSZ, &q->header), "TUNGETVNETHDRSZ");
	if (ioctl(q->fd, TUNGETSNDBUF, &q->sndbuf) < 0) /* a macvtap */
		q->sndbuf = -1;
}

static void answer(struct queue *q, uint8_t *buf, ssize_t n)
{
	size_t head = (server.pi ? sizeof(struct tun_pi) : 0) + (size_t)((q->ifr.ifr_flags & IFF_VNET_HDR) ? q->header : 0);
	struct message *m = (struct message *)(buf + head);
	uint8_t from[6];

	if ((size_t)n < head + sizeof(*m)) {
		struct ethhdr *eth = (struct ethhdr *)(buf + head);
		if ((size_t)n >= head + sizeof(*eth) && eth->h_proto == htons(0x88b6) && server.filter)
			die("BAD the filter lets frames of type 88b6 through");
		return;
	}
	if (m->eth.h_proto != htons(TYPE) || m->is_answer || memcmp(m->eth.h_dest, server.mac, 6))
		return;
	if (!is_whole(m))
		die("BAD frame %u is damaged", m->number);
	pthread_mutex_lock(&server.lock);
	for (int i = 0; i < server.n; i++)
		check_queue(&server.queues[i]);
	m->counter = ++server.counter;
	pthread_mutex_unlock(&server.lock);
	m->nonce = server.nonce;
	m->is_answer = 1;
	memcpy(from, m->eth.h_source, 6);
	memcpy(m->eth.h_source, server.mac, 6);
	memcpy(m->eth.h_dest, from, 6);
	memset(buf + (server.pi ? sizeof(struct tun_pi) : 0), 0, head - (server.pi ? sizeof(struct tun_pi) : 0));
	if (write(q->fd, buf, (size_t)n) != n)
		die("BAD write: %s", strerror(errno));
	fprintf(server.log, "answered %u counter %u queue %d\n", m->number, m->counter, (int)(q - server.queues));
}

static void *serve_queue(void *arg)
{
	struct queue *q = arg;
	static __thread uint8_t buf[70000];

	for (;;) {
		struct pollfd pfd = { .fd = q->fd, .events = POLLIN };
		if (poll(&pfd, 1, -1) < 0)
			continue;
		ssize_t n = read(q->fd, buf, sizeof(buf));
		if (n < 0 && errno != EAGAIN && errno != EINTR && !q->detached)
			die("BAD read: %s", strerror(errno));
		if (n > 0)
			answer(q, buf, n);
	}
	return NULL;
}

_Noreturn static void serve(void)
{
	pthread_t thread;

	for (int i = 0; i < server.n; i++)
		take_note(&server.queues[i]);
	if (getrandom(&server.nonce, sizeof(server.nonce), 0) < 0)
		die("BAD getrandom");
	fprintf(server.log, "ready %s nonce %x pid %d\n", server.queues[0].ifr.ifr_name, server.nonce, (int)getpid());
	for (int i = 1; i < server.n; i++)
		pthread_create(&thread, NULL, serve_queue, &server.queues[i]);
	serve_queue(&server.queues[0]);
	exit(0);
}

static void open_log(const char *path)
{
	static const uint8_t mac[6] = { 0x52, 0x54, 0, 0x12, 0x34, 0x56 };

	memcpy(server.mac, mac, 6);
	server.log = fopen(path, "ae");
	if (!server.log)
		exit(1);
	setvbuf(server.log, NULL, _IOLBF, 0);
}

struct wish {
	int flags, header, sndbuf;
	unsigned offload;
	bool txfilter, detached, idle, no_carrier;
};

static struct wish read_wishes(int argc, char **argv)
{
	struct wish w = { .flags = IFF_TAP | IFF_NO_PI };

	for (int i = 0; i < argc; i++) {
		if (!strcmp(argv[i], "pi"))
			w.flags &= ~IFF_NO_PI;
		else if (!strncmp(argv[i], "vnet=", 5))
			w.flags |= IFF_VNET_HDR, w.header = atoi(argv[i] + 5);
		else if (!strncmp(argv[i], "sndbuf=", 7))
			w.sndbuf = atoi(argv[i] + 7);
		else if (!strncmp(argv[i], "offload=", 8))
			w.offload = (unsigned)strtoul(argv[i] + 8, NULL, 16);
		else if (!strcmp(argv[i], "filter"))
			server.filter = true;
		else if (!strcmp(argv[i], "txfilter"))
			w.txfilter = true;
		else if (!strcmp(argv[i], "detached"))
			w.detached = true;
		else if (!strcmp(argv[i], "nopi"))
			w.flags |= IFF_NO_PI;
		else if (!strcmp(argv[i], "nocarrier"))
			w.no_carrier = true;
		else if (!strcmp(argv[i], "idle"))
			w.idle = true;
		else if (!strcmp(argv[i], "tun"))
			server.tun = true, w.flags = (w.flags & ~IFF_TAP) | IFF_TUN;
		else
			die("BAD option %s", argv[i]);
	}
	server.pi = !(w.flags & IFF_NO_PI);
	return w;
}

static void set_up(const struct wish *w)
{
	int fd = server.queues[0].fd;

	if (w->sndbuf)
		must(ioctl(fd, TUNSETSNDBUF, &w->sndbuf), "TUNSETSNDBUF");
	if (w->offload)
		must(ioctl(fd, TUNSETOFFLOAD, (unsigned long)w->offload), "TUNSETOFFLOAD");
	if (server.filter) {
		struct sock_fprog prog = { .len = sizeof(filter_code) / sizeof(filter_code[0]), .filter = filter_code };
		must(ioctl(fd, TUNATTACHFILTER, &prog), "TUNATTACHFILTER");
	}
	if (w->txfilter) { /* our own address and no other */
		struct {
			struct tun_filter head;
			uint8_t mac[6];
		} f = { .head.count = 1 };
		memcpy(f.mac, server.mac, 6);
		must(ioctl(fd, TUNSETTXFILTER, &f), "TUNSETTXFILTER");
	}
	if (w->detached) {
		struct ifreq ifr = { .ifr_flags = IFF_DETACH_QUEUE };
		must(ioctl(server.queues[server.n - 1].fd, TUNSETQUEUE, &ifr), "TUNSETQUEUE");
		server.queues[server.n - 1].detached = true;
	}
	if (w->no_carrier)
		must(ioctl(fd, TUNSETCARRIER, &(int){ 0 }), "TUNSETCARRIER");
	if (w->idle) /* one with no interface, for ever */
		must(open("/dev/net/tun", O_RDWR), "/dev/net/tun");
}

_Noreturn static void serve_new(int argc, char **argv)
{
	open_log(argv[0]);
	struct wish w = read_wishes(argc - 3, argv + 3);

	server.n = atoi(argv[2]);
	for (int i = 0; i < server.n; i++) {
		struct queue *q = &server.queues[i];
		struct ifreq ifr = { .ifr_flags = (short)(w.flags | (server.n > 1 ? IFF_MULTI_QUEUE : 0)) };
		snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", argv[1]);
		must(q->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK), "/dev/net/tun");
		must(ioctl(q->fd, TUNSETIFF, &ifr), "TUNSETIFF");
		if (w.header)
			must(ioctl(q->fd, TUNSETVNETHDRSZ, &w.header), "TUNSETVNETHDRSZ");
	}
	set_up(&w);
	serve();
}

_Noreturn static void serve_given(char **argv)
{
	open_log(argv[0]);
	server.n = 1;
	server.queues[0].fd = atoi(argv[1]);
	serve();
}

_Noreturn static void give(const char *self, char **argv)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI };
	int fd = open("/dev/net/tun", O_RDWR);

	must(fd, "/dev/net/tun");
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", argv[1]);
	must(ioctl(fd, TUNSETIFF, &ifr), "TUNSETIFF");
	must(dup2(fd, 9), "dup2");
	close(fd);
	execl(self, self, "attached", argv[0], "9", NULL);
	die("BAD %s: %s", self, strerror(errno));
}

_Noreturn static void serve_macvtap(char **argv)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
	int header = 12;

	open_log(argv[0]);
	server.n = 1;
	must(server.queues[0].fd = open(argv[1], O_RDWR), argv[1]);
	must(ioctl(server.queues[0].fd, TUNSETIFF, &ifr), "TUNSETIFF");
	must(ioctl(server.queues[0].fd, TUNSETVNETHDRSZ, &header), "TUNSETVNETHDRSZ");
	serve();
}

/* ---- who asks ---- */

static int open_packet(const char *interface, int protocol)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET,
		                  .sll_protocol = htons((uint16_t)protocol),
		                  .sll_ifindex = (int)if_nametoindex(interface) };
	int fd = socket(AF_PACKET, SOCK_RAW, htons((uint16_t)protocol));

	must(fd, "packet socket");
	must(bind(fd, (struct sockaddr *)&at, sizeof(at)), interface);
	return fd;
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void address(const char *interface, const char *mac, struct message *m)
{
	struct ifreq ifr = { 0 };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	unsigned b[6];

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", interface);
	must(ioctl(fd, SIOCGIFHWADDR, &ifr), interface);
	memcpy(m->eth.h_source, ifr.ifr_hwaddr.sa_data, 6);
	if (sscanf(mac, "%x:%x:%x:%x:%x:%x", b, b + 1, b + 2, b + 3, b + 4, b + 5) != 6)
		die("BAD address %s", mac);
	for (int i = 0; i < 6; i++)
		m->eth.h_dest[i] = (uint8_t)b[i];
	m->eth.h_proto = htons(TYPE);
	close(fd);
}

static bool receive(int fd, uint32_t number, struct message *ret)
{
	int64_t end = now_ms() + 2000;

	while (now_ms() < end) {
		struct pollfd pfd = { .fd = fd, .events = POLLIN };
		if (poll(&pfd, 1, (int)(end - now_ms())) <= 0)
			continue;
		ssize_t n = recv(fd, ret, sizeof(*ret), 0);
		if (n == sizeof(*ret) && ret->is_answer && ret->number == number)
			return true;
	}
	return false;
}

static int ask(const char *interface, const char *mac, uint32_t first, uint32_t count)
{
	int fd = open_packet(interface, TYPE);
	struct message m = { 0 }, got;
	uint32_t last = first ? first - 1 : 0, nonce = 0;

	for (uint32_t i = 1; i <= count; i++) {
		address(interface, mac, &m);
		fill(&m, i);
		must((int)send(fd, &m, sizeof(m), 0), "send");
		if (!receive(fd, i, &got))
			die("no answer to %u of %u", i, count);
		if (!is_whole(&got))
			die("the answer to %u is damaged", i);
		if ((i > 1 || first) && got.counter != last + 1)
			die("counter %u after %u", got.counter, last);
		if (nonce && got.nonce != nonce)
			die("nonce %x after %x", got.nonce, nonce);
		nonce = got.nonce;
		last = got.counter;
	}
	printf("%u\n", last);
	return 0;
}

static int flood(const char *interface, const char *mac, uint32_t count, int type)
{
	int fd = open_packet(interface, type);
	struct message m = { 0 };

	for (uint32_t i = 1; i <= count; i++) {
		address(interface, mac, &m);
		m.eth.h_proto = htons((uint16_t)type);
		fill(&m, i);
		must((int)send(fd, &m, type == TYPE ? sizeof(m) : 100, 0), "send");
	}
	return 0;
}

static int hear(const char *interface, int seconds)
{
	int fd = open_packet(interface, ETH_P_RARP);
	int64_t end = now_ms() + seconds * 1000;
	uint8_t buf[2000];

	printf("listening\n");
	fflush(stdout);
	while (now_ms() < end) {
		struct pollfd pfd = { .fd = fd, .events = POLLIN };
		if (poll(&pfd, 1, (int)(end - now_ms())) <= 0)
			continue;
		ssize_t n = recv(fd, buf, sizeof(buf), 0);
		if (n < 42)
			continue;
		printf("rarp %02x:%02x:%02x:%02x:%02x:%02x size %zd op %u\n", buf[6], buf[7], buf[8], buf[9], buf[10], buf[11],
		       n, buf[21]);
		fflush(stdout);
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc > 4 && !strcmp(argv[1], "serve"))
		serve_new(argc - 2, argv + 2);
	if (argc == 4 && !strcmp(argv[1], "attached"))
		serve_given(argv + 2);
	if (argc == 4 && !strcmp(argv[1], "give"))
		give(argv[0], argv + 2);
	if (argc == 4 && !strcmp(argv[1], "macvtap"))
		serve_macvtap(argv + 2);
	if (argc == 6 && !strcmp(argv[1], "ask"))
		return ask(argv[2], argv[3], (uint32_t)strtoul(argv[4], NULL, 10), (uint32_t)strtoul(argv[5], NULL, 10));
	if (argc == 5 && !strcmp(argv[1], "flood"))
		return flood(argv[2], argv[3], (uint32_t)strtoul(argv[4], NULL, 10), TYPE);
	if (argc == 5 && !strcmp(argv[1], "flood-filtered"))
		return flood(argv[2], argv[3], (uint32_t)strtoul(argv[4], NULL, 10), 0x88b6);
	if (argc == 4 && !strcmp(argv[1], "listen"))
		return hear(argv[2], atoi(argv[3]));
	fprintf(stderr, "usage: see the head of frames.c\n");
	return 2;
}
