// SPDX-License-Identifier: LGPL-2.1-or-later
/* Edge-triggered and one-shot entries, and an epoll set inside another, keep their mode. A one-shot entry that has fired stays
 * off until it is armed again; an edge may be reported once more after a restart, but not again and again. */
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "target.h"

static int add(int epfd, int fd, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.fd = fd };

	target_check(epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev) == 0, "%m");
	return fd;
}

static int wait_any(int epfd)
{
	struct epoll_event ev;
	int n = epoll_wait(epfd, &ev, 1, 0);

	target_check(n >= 0, "%m");
	return n ? ev.data.fd : -1;
}

int main(int argc, char **argv)
{
	int edge_set = epoll_create1(0), shot_set = epoll_create1(0), inner = epoll_create1(0), outer = epoll_create1(0);
	int edge, shot, nested, reports = 0;
	struct epoll_event ev;
	uint64_t v;

	target_init(argc, argv);
	edge = add(edge_set, eventfd(1, EFD_NONBLOCK), EPOLLIN | EPOLLET);
	shot = add(shot_set, eventfd(1, EFD_NONBLOCK), EPOLLIN | EPOLLONESHOT);
	nested = add(inner, eventfd(0, EFD_NONBLOCK), EPOLLIN);
	add(outer, inner, EPOLLIN);
	target_check(wait_any(edge_set) == edge && wait_any(shot_set) == shot, "set-up");
	target_ready();
	while (target_turn()) {
		reports += wait_any(edge_set) == edge;
		target_check(reports <= 5, "the edge is reported again and again (%d)", reports);
		target_check(wait_any(shot_set) == -1, "the one-shot entry fires a second time");
		target_check(wait_any(outer) == -1, "the outer set reports nothing new");
		eventfd_write(nested, 1);
		target_check(wait_any(outer) == inner && wait_any(inner) == nested, "the nested set does not report");
		target_check(read(nested, &v, 8) == 8 && v == 1, "%m");
	}
	wait_any(edge_set);
	eventfd_write(edge, 1);
	target_check(wait_any(edge_set) == edge && wait_any(edge_set) == -1, "a new edge must be reported once");
	ev = (struct epoll_event){ .events = EPOLLIN | EPOLLONESHOT, .data.fd = shot };
	target_check(epoll_ctl(shot_set, EPOLL_CTL_MOD, shot, &ev) == 0 && wait_any(shot_set) == shot &&
	                     wait_any(shot_set) == -1,
	             "armed again");
	target_done();
}
