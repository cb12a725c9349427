// SPDX-License-Identifier: LGPL-2.1-or-later
/* Holds a TCP connection still.
 *
 * Theory of operation. A classic filter that lets nothing pass sits in front of all of the kernel's TCP (tcp_filter() in
 * net/ipv4/tcp_ipv4.c): a segment is dropped with no trace and no answer, as if the line had lost it, and needs neither
 * netfilter nor a privilege. It goes on first and comes off last at a checkpoint, so that nothing arrives that would be
 * acknowledged and then be lost. A program can neither read nor write in repair mode, but does not notice the filter: so repair
 * mode is on only while a connection is read, and once more when the program is about to be killed (checkpoint.c sees to it
 * that it does not run then). Should we be killed in between, it works on, and who has the undo list takes the filter off. A
 * socket that is closed in repair mode sends neither FIN nor RST (__tcp_close() in net/ipv4/tcp.c). Leaving repair mode clears
 * SO_REUSEADDR (sk_reuse). Tests: tcp-connections-go-on, tcp-connections-faults. */
#include "fd/sock-hold.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* The question for a socket's network namespace asks for the same right as repair mode does (sock_ioctl, tcp_can_repair_sock).
 */
bool sock_hold_allowed(int fd)
{
	int netns = ioctl(fd, SIOCGSKNS);

	if (netns < 0)
		return false;
	close(netns);
	return true;
}

int sock_hold_begin(int fd)
{
	struct sock_filter nothing = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog program = { .len = 1, .filter = &nothing };
	int on = TCP_REPAIR_ON;

	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on)))
		return -errno;
	return 0;
}

static int leave(int fd, int how, int reuse)
{
	int err = setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &how, sizeof(how)) ? -errno : 0;

	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof(reuse)) && !err)
		err = -errno;
	return err;
}

int sock_hold_pause(int fd, int reuse)
{
	return leave(fd, TCP_REPAIR_OFF_NO_WP, reuse);
}

static int listen_again(int fd)
{
	int none = 0;

	return setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof(none)) && errno != ENOENT ? -errno : 0;
}

int sock_hold_end(int fd, int reuse, bool probe)
{
	/* The answer to the probe must not meet the filter. */
	int err = probe ? listen_again(fd) : 0;
	int err2 = leave(fd, probe ? TCP_REPAIR_OFF : TCP_REPAIR_OFF_NO_WP, reuse);

	if (!probe)
		err = listen_again(fd);
	return err2 ? err2 : err;
}
