// SPDX-License-Identifier: LGPL-2.1-or-later
/* An epoll set holds descriptors by number and by open file: one closed while a duplicate keeps it alive, one whose number was
 * given to another file meanwhile, one added under two numbers. Each must go on delivering its own data word. */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "target.h"

#define SETS 5

static int epfd;

static void add(int fd, uint64_t data)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = data };

	target_check(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev) == 0, "fd %d: %m", fd);
}

/* Makes `fd` ready, and expects exactly these data words (0 = none). */
static void expect(int fd, uint64_t a, uint64_t b)
{
	struct epoll_event ev[SETS + 1];
	uint64_t v;
	int n, want = !!a + !!b;

	eventfd_write(fd, 1);
	n = epoll_wait(epfd, ev, SETS + 1, 0);
	target_check(n == want, "fd %d: %d events, expected %d", fd, n, want);
	for (int i = 0; i < n; i++)
		target_check((ev[i].data.u64 == a || ev[i].data.u64 == b) && ev[i].events == EPOLLIN,
		             "fd %d: data %lx events %x", fd, ev[i].data.u64, ev[i].events);
	target_check(read(fd, &v, 8) == 8 && v == 1, "fd %d", fd);
	target_check(epoll_wait(epfd, ev, SETS, 0) == 0, "still ready");
}

int main(int argc, char **argv)
{
	int plain, closed, kept, reused, reuser, twice, other;

	target_init(argc, argv);
	epfd = epoll_create1(EPOLL_CLOEXEC);
	plain = eventfd(0, 0);
	add(plain, 0xaaaa000000000001);
	closed = dup2(eventfd(0, 0), 60);
	add(closed, 0xbbbb000000000002);
	kept = dup(closed);
	close(closed);
	reused = dup2(eventfd(0, 0), 61);
	add(reused, 0xcccc000000000003);
	other = dup(reused);
	reuser = dup2(eventfd(0, 0), 61); /* closes it; the entry lives on by `other` */
	add(reuser, 0xdddd000000000004);
	twice = dup2(plain, 62);
	add(twice, 0xeeee000000000005);
	target_ready();
	while (target_turn()) {
		expect(plain, 0xaaaa000000000001, 0xeeee000000000005);
		expect(kept, 0xbbbb000000000002, 0);
		expect(other, 0xcccc000000000003, 0);
		expect(reuser, 0xdddd000000000004, 0);
	}
	target_check(epoll_ctl(epfd, EPOLL_CTL_DEL, reuser, NULL) == 0, "%m");
	expect(reuser, 0, 0);
	expect(other, 0xcccc000000000003, 0);
	target_check(epoll_ctl(epfd, EPOLL_CTL_DEL, kept, NULL) == -1 && errno == ENOENT,
	             "the entry was added again under another number");
	target_done();
}
