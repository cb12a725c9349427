// SPDX-License-Identifier: LGPL-2.1-or-later
/* TCP connections to outside that go on after a restart: all of their state is read and written in TCP's repair mode
 * (do_tcp_setsockopt(), do_tcp_getsockopt() and tcp_peek_sndq() in net/ipv4/tcp.c). What the other side sends meanwhile it
 * sends again.
 *
 * Theory of operation. A checkpoint reads the connection when all else is in the image and the target still stands, for it is
 * deaf from then on (sock-hold.h); if the checkpoint fails it hears again, else it dies without a word. A restart makes it deaf
 * and in repair mode: numbers before connecting, options after it, then the queues, then the window, which must fit the
 * numbers. Bytes that have been sent and not been acknowledged are put into the send queue in repair mode, which takes them for
 * sent; those that have not been sent are written when the connection is let go, which is when the restart is certain. Test:
 * tcp-connections-go-on. */
#include "fd/fd-sock.h"

#include <linux/bpf.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "fd/sock-hold.h"

/* include/net/tcp.h: the numbers of options in the header, which TCP_REPAIR_OPTIONS takes. */
enum { OPTION_MSS = 2, OPTION_WINDOW = 3, OPTION_SACK = 4, OPTION_TIMESTAMP = 8 };

/* ---- capture ---- */

static bool has_option(const struct fd_file *file, int level, int name)
{
	const struct sock_item *items = file->items;

	for (size_t i = 0; i < file->n_items; i++)
		if (!strcmp(items[i].what, "option") && items[i].level == level && items[i].name == name)
			return true;
	return false;
}

static bool can_go_on(uint32_t state)
{
	return state == BPF_TCP_ESTABLISHED || state == BPF_TCP_FIN_WAIT1 || state == BPF_TCP_FIN_WAIT2;
}

void sock_repair_judge(struct fd_file *file, int copy, const struct tcp_info *info)
{
	struct sock_state *s = file->state;
	char layer[16] = "";
	socklen_t size = sizeof(layer);

	s->may_hold = sock_hold_allowed(copy);
	if (s->protocol != IPPROTO_TCP)
		s->not_kept = "it is Multipath TCP";
	else if (info->tcpi_state == BPF_TCP_CLOSE_WAIT || info->tcpi_state == BPF_TCP_LAST_ACK ||
	         info->tcpi_state == BPF_TCP_CLOSING)
		s->not_kept = "the other side has closed it";
	else if (!can_go_on(info->tcpi_state) || !s->remote.size)
		s->not_kept = "it is being opened or closed";
	else if (has_option(file, SOL_SOCKET, SO_ATTACH_FILTER) || has_option(file, SOL_SOCKET, SO_LOCK_FILTER) ||
	         s->bpf_filter)
		s->not_kept = "it has a packet filter";
	else if (!getsockopt(copy, IPPROTO_TCP, TCP_ULP, layer, &size) && size && layer[0])
		s->not_kept = "the kernel encrypts it";
}

static int choose_queue(int fd, int queue)
{
	return setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, &queue, sizeof(queue)) ? -errno : 0;
}

static int get(int fd, int name, void *value, socklen_t size)
{
	socklen_t n = size;

	return getsockopt(fd, IPPROTO_TCP, name, value, &n) ? -errno : n == size ? 0 : -EPROTO;
}

static int read_received(struct fd_capture *cap, struct fd_file *file, int copy)
{
	struct sock_state *s = file->state;
	int unread = 0, err;

	if ((err = choose_queue(copy, TCP_RECV_QUEUE)) ||
	    (err = get(copy, TCP_QUEUE_SEQ, &s->tcp.rcv_seq, sizeof(s->tcp.rcv_seq))) ||
	    (err = sock_queue_save(cap, file, copy)))
		return err;
	if (ioctl(copy, SIOCINQ, &unread))
		return -errno;
	return (size_t)unread == sock_queue_bytes(file) ? 0 : -EPROTO; /* urgent data */
}

/* An end that was written counts as a byte, until it is acknowledged (FIN-WAIT-2), and for the unsent until it is sent. */
static int read_written(struct fd_file *file, int copy)
{
	struct sock_state *s = file->state;
	const int fin = s->tcp.state != BPF_TCP_ESTABLISHED, fin_queued = s->tcp.state == BPF_TCP_FIN_WAIT1;
	int queued = 0, unsent = 0, err;

	if ((err = choose_queue(copy, TCP_SEND_QUEUE)) ||
	    (err = get(copy, TCP_QUEUE_SEQ, &s->tcp.snd_seq, sizeof(s->tcp.snd_seq))))
		return err;
	if (ioctl(copy, SIOCOUTQNSD, &unsent) || ioctl(copy, SIOCOUTQ, &queued))
		return -errno;
	queued -= fin_queued;
	s->tcp.snd_seq -= (uint32_t)fin;
	s->tcp.unsent = (uint32_t)(unsent > 0 ? unsent - fin_queued : 0);
	if (queued <= 0)
		return 0;
	AUTO_FREE char *data = malloc((size_t)queued);
	if (!data)
		return -ENOMEM;
	ssize_t n = recv(copy, data, (size_t)queued, MSG_PEEK | MSG_DONTWAIT);
	if (n != queued || s->tcp.unsent > (uint32_t)queued)
		return n < 0 ? -errno : -EPROTO;
	return sock_queue_add(file, "send", data, (size_t)n);
}

static int read_rest(struct fd_file *file, int copy, const struct tcp_info *info)
{
	struct sock_tcp *t = &((struct sock_state *)file->state)->tcp;
	struct tcp_repair_window window;
	int err;

	t->wscale = info->tcpi_options & TCPI_OPT_WSCALE;
	t->sack = info->tcpi_options & TCPI_OPT_SACK;
	t->timestamps = info->tcpi_options & TCPI_OPT_TIMESTAMPS;
	t->snd_wscale = info->tcpi_snd_wscale;
	t->rcv_wscale = info->tcpi_rcv_wscale;
	if ((err = get(copy, TCP_MAXSEG, &t->mss, sizeof(t->mss))) ||
	    (err = get(copy, TCP_TIMESTAMP, &t->timestamp, sizeof(t->timestamp))) ||
	    (err = get(copy, TCP_REPAIR_WINDOW, &window, sizeof(window))))
		return err;
	t->snd_wl1 = window.snd_wl1;
	t->snd_wnd = window.snd_wnd;
	t->max_window = window.max_window;
	t->rcv_wnd = window.rcv_wnd;
	t->rcv_wup = window.rcv_wup;
	return 0;
}

static int reuse_of(int fd)
{
	int reuse = 0;
	socklen_t size = sizeof(reuse);

	getsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, &size);
	return reuse;
}

/* The connection is held; what has come in before that may have ended it. */
static int read_held(struct fd_capture *cap, struct fd_file *file, int copy, bool *ret_ended)
{
	struct sock_state *s = file->state;
	struct tcp_info info = { 0 };
	socklen_t size = sizeof(info);

	if (getsockopt(copy, IPPROTO_TCP, TCP_INFO, &info, &size))
		return -errno;
	*ret_ended = !can_go_on(info.tcpi_state);
	if (*ret_ended)
		return 0;
	s->tcp.state = info.tcpi_state;
	int err = read_received(cap, file, copy);
	if (!err)
		err = read_written(file, copy);
	if (!err)
		err = read_rest(file, copy, &info);
	int err2 = choose_queue(copy, TCP_NO_QUEUE);
	return err ? err : err2;
}

int sock_repair_save(struct fd_capture *cap, struct fd_file *file, bool *ret_ended)
{
	AUTO_CLOSE int copy = fd_file_copy(cap, file);
	bool ended = false;
	char name[256];

	if (copy < 0)
		return copy;
	int reuse = reuse_of(copy);
	int err = cap->o.hold ? cap->o.hold(cap->o.ctx, file->proc.pid, file->slot_fd, file->st.st_ino, reuse) : 0;
	if (!err)
		err = sock_hold_begin(copy);
	if (!err && (err = report_fault(cap->rep, "checkpoint.hold")))
		return err;
	if (!err)
		err = read_held(cap, file, copy, &ended);
	if (!err)
		err = ended ? sock_hold_end(copy, reuse, false) : sock_hold_pause(copy, reuse);
	if (err)
		return report_fail(cap->rep, err,
		                   "%s: the state of its TCP connection cannot be read: %s; try again, or with --tcp=reset",
		                   fd_file_name(file, name, sizeof(name)), strerror(-err));
	file->own = !ended;
	*ret_ended = ended;
	return 0;
}

int sock_repair_dying(struct fd_capture *cap, struct fd_file *file)
{
	char name[256];

	if (!file->own)
		return 0;
	AUTO_CLOSE int copy = fd_file_copy(cap, file);
	int err = copy < 0 ? copy : sock_hold_begin(copy);
	if (err)
		report_warn(cap->rep, "%s: the other side of its TCP connection will see it end: %s",
		            fd_file_name(file, name, sizeof(name)), strerror(-err));
	return 0;
}

/* ---- restore ---- */

/* Both ends, with the interface of a link-local address as it is numbered here. */
static void addresses(const struct sock_state *s, struct sockaddr_storage *ret_local, struct sockaddr_storage *ret_remote)
{
	memset(ret_local, 0, sizeof(*ret_local));
	memset(ret_remote, 0, sizeof(*ret_remote));
	memcpy(ret_local, s->local.data, s->local.size);
	memcpy(ret_remote, s->remote.data, s->remote.size);
	if (!s->scope)
		return;
	((struct sockaddr_in6 *)ret_local)->sin6_scope_id = if_nametoindex(s->scope);
	((struct sockaddr_in6 *)ret_remote)->sin6_scope_id = ((struct sockaddr_in6 *)ret_local)->sin6_scope_id;
}

static int set_seq(int fd, int queue, uint32_t seq)
{
	int err = choose_queue(fd, queue);

	return err ? err : setsockopt(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, &seq, sizeof(seq)) ? -errno : 0;
}

static size_t bytes_of(const struct fd_file *file, const char *what)
{
	const struct sock_item *items = file->items;
	size_t n = 0;

	for (size_t i = 0; i < file->n_items; i++)
		if (!strcmp(items[i].what, what))
			n += items[i].value.size;
	return n;
}

/* From a new socket, held, to a connection that neither side has heard of. `ret_bound`: the address was there. */
static int connect_held(const struct fd_file *file, int fd, bool *ret_bound)
{
	const struct sock_state *s = file->state;
	struct sockaddr_storage local, remote;
	int err;

	addresses(s, &local, &remote);
	*ret_bound = false;
	if ((err = set_seq(fd, TCP_SEND_QUEUE, s->tcp.snd_seq - (uint32_t)bytes_of(file, "send"))) ||
	    (err = set_seq(fd, TCP_RECV_QUEUE, s->tcp.rcv_seq - (uint32_t)bytes_of(file, "data"))))
		return err;
	if (bind(fd, (struct sockaddr *)&local, (socklen_t)s->local.size))
		return -errno;
	*ret_bound = true;
	return connect(fd, (struct sockaddr *)&remote, (socklen_t)s->remote.size) ? -errno : 0;
}

static void word_fault(const struct sock_state *s, int err, bool bound, struct fd_verdict *v)
{
	if (!bound)
		fd_verdict_obstacle(
		        v, "give this host the address (ip address add), or let the connection look reset with --tcp=reset",
		        "its connection to %s needs the address of %s, which cannot be had here: %s", s->remote_text,
		        s->local_text, strerror(-err));
	else if (err == -EADDRNOTAVAIL || err == -EADDRINUSE)
		fd_verdict_obstacle(v, "end who has it (the original?), or let it look reset with --tcp=reset",
		                    "there is a connection from %s to %s on this host already", s->local_text, s->remote_text);
	else
		fd_verdict_obstacle(v, "see to the route, or let the connection look reset with --tcp=reset",
		                    "its connection to %s cannot be made here: %s", s->remote_text, strerror(-err));
}

/* Tried on a socket of its own, which is gone without a word. */
int sock_repair_plan(struct fd_plan *plan, struct fd_file *file, struct fd_verdict *v)
{
	const struct sock_state *s = file->state;
	bool bound;

	if (!s->local.size || !s->remote.size || s->protocol != IPPROTO_TCP || !can_go_on(s->tcp.state) ||
	    s->tcp.unsent > bytes_of(file, "send"))
		return report_fail(plan->rep, -EBADMSG, "image: the record of TCP socket %u is damaged", file->r.id);
	fd_verdict_action(v, "its connection to %s goes on", s->remote_text);
	AUTO_CLOSE int probe = socket((int)s->domain, (int)s->type | SOCK_CLOEXEC, (int)s->protocol);
	if (probe < 0 || !sock_hold_allowed(probe)) {
		fd_verdict_obstacle(v, "run as root, or let the connection look reset with --tcp=reset",
		                    "its connection to %s goes on only with CAP_NET_ADMIN", s->remote_text);
		return 0;
	}
	sock_options_restore(plan, file, probe, true);
	int err = sock_hold_begin(probe);
	if (err)
		fd_verdict_obstacle(v, "use another kernel, or let the connection look reset with --tcp=reset",
		                    "TCP's repair mode: %s", strerror(-err));
	else if ((err = connect_held(file, probe, &bound)))
		word_fault(s, err, bound, v);
	return 0;
}

static int set_options(int fd, const struct sock_tcp *t)
{
	struct tcp_repair_opt options[4];
	unsigned n = 0;

	options[n++] = (struct tcp_repair_opt){ OPTION_MSS, t->mss };
	if (t->wscale)
		options[n++] = (struct tcp_repair_opt){ OPTION_WINDOW, t->snd_wscale | t->rcv_wscale << 16 };
	if (t->sack)
		options[n++] = (struct tcp_repair_opt){ OPTION_SACK, 0 };
	if (t->timestamps)
		options[n++] = (struct tcp_repair_opt){ OPTION_TIMESTAMP, 0 };
	if (setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_OPTIONS, options, n * sizeof(options[0])))
		return -errno;
	return t->timestamps && setsockopt(fd, IPPROTO_TCP, TCP_TIMESTAMP, &t->timestamp, sizeof(t->timestamp)) ? -errno : 0;
}

/* Writes bytes `from` to `to` of the items into the queue that was chosen; in repair mode a call may take less than it is
 * given. */
static int put_bytes(const struct fd_file *file, int fd, const char *what, size_t from, size_t to)
{
	const struct sock_item *items = file->items;
	size_t at = 0;

	for (size_t i = 0; i < file->n_items; i++) {
		if (strcmp(items[i].what, what))
			continue;
		size_t done = from > at ? from - at : 0, end = to - at < items[i].value.size ? to - at : items[i].value.size;
		while (done < end) {
			ssize_t n = send(fd, (const char *)items[i].value.data + done, end - done, MSG_DONTWAIT | MSG_NOSIGNAL);
			if (n < 0 && errno == EINTR)
				continue;
			if (n < 0)
				return errno == EAGAIN || errno == ENOMEM ? -ENOBUFS : -errno;
			done += (size_t)n;
		}
		at += items[i].value.size;
		if (at >= to)
			break;
	}
	return 0;
}

#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72
#endif

/* For the queues to fit, and what the other side may send; which of them the program had set itself is among the options, which
 * come later. */
static void make_room(const struct fd_file *file, int fd)
{
	const struct sock_state *s = file->state;
	size_t unread = bytes_of(file, "data"), written = bytes_of(file, "send");
	int unlocked = 0;

	sock_queue_enlarge(fd, SO_RCVBUF, SO_RCVBUFFORCE, 4 * unread + 2 * (size_t)s->tcp.rcv_wnd + 64 * 1024);
	if (written)
		sock_queue_enlarge(fd, SO_SNDBUF, SO_SNDBUFFORCE, 4 * written + 256 * 1024);
	setsockopt(fd, SOL_SOCKET, SO_BUF_LOCK, &unlocked, sizeof(unlocked));
}

static int fill_queues(const struct fd_file *file, int fd)
{
	const struct sock_state *s = file->state;
	const struct tcp_repair_window window = { .snd_wl1 = s->tcp.snd_wl1,
		                                  .snd_wnd = s->tcp.snd_wnd,
		                                  .max_window = s->tcp.max_window,
		                                  .rcv_wnd = s->tcp.rcv_wnd,
		                                  .rcv_wup = s->tcp.rcv_wup };
	int err;

	make_room(file, fd);
	if ((err = choose_queue(fd, TCP_RECV_QUEUE)) || (err = put_bytes(file, fd, "data", 0, bytes_of(file, "data"))) ||
	    (err = choose_queue(fd, TCP_SEND_QUEUE)) ||
	    (err = put_bytes(file, fd, "send", 0, bytes_of(file, "send") - s->tcp.unsent)) ||
	    (err = choose_queue(fd, TCP_NO_QUEUE)))
		return err;
	return setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, &window, sizeof(window)) ? -errno : 0;
}

int sock_repair_make(struct fd_plan *plan, struct fd_file *file)
{
	const struct sock_state *s = file->state;
	struct fd_verdict v = { 0 };
	bool bound = false;
	char name[256];
	int fd = sock_create(plan, file), err;

	if (fd < 0)
		return fd;
	/* Some options must be there before an address is taken. Repair mode comes after SO_REUSEADDR, which it overrides. */
	sock_options_restore(plan, file, fd, true);
	err = sock_hold_begin(fd);
	if (!err && (err = connect_held(file, fd, &bound)))
		word_fault(s, err, bound, &v);
	if (!err)
		err = set_options(fd, &s->tcp);
	if (!err)
		err = fill_queues(file, fd);
	if (err) {
		report_fail(plan->rep, err, "%s: %s; %s", fd_file_name(file, name, sizeof(name)),
		            v.obstacle ? v.obstacle : strerror(-err),
		            v.remedy ? v.remedy : "its connection cannot be made again; let it look reset with --tcp=reset");
		fd_verdict_clear(&v);
		close(fd);
		return err;
	}
	if ((file->fd = fd_plan_adopt(plan, fd)) < 0)
		return file->fd;
	sock_options_restore(plan, file, file->fd, false);
	return fd_set_status(plan, file, file->fd);
}

static int recorded_reuse(const struct fd_file *file)
{
	const struct sock_item *items = file->items;
	int reuse = 0;

	for (size_t i = 0; i < file->n_items; i++)
		if (!strcmp(items[i].what, "option") && items[i].level == SOL_SOCKET && items[i].name == SO_REUSEADDR &&
		    items[i].value.size == sizeof(reuse))
			memcpy(&reuse, items[i].value.data, sizeof(reuse));
	return reuse;
}

int sock_repair_live(struct fd_plan *plan, struct fd_file *file)
{
	const struct sock_state *s = file->state;
	size_t written = bytes_of(file, "send");
	char name[256];
	int err = sock_hold_end(file->fd, recorded_reuse(file), true);

	if (!err && s->tcp.unsent) {
		make_room(file, file->fd);
		err = put_bytes(file, file->fd, "send", written - s->tcp.unsent, written);
		sock_options_restore(plan, file, file->fd, true);
	}
	/* A connection that has been reset meanwhile is so for the program as well. */
	if (err == -ECONNRESET || err == -EPIPE)
		err = 0;
	if (err)
		return report_fail(plan->rep, err,
		                   "%s: its connection to %s cannot be let go on: %s; let it look reset with --tcp=reset",
		                   fd_file_name(file, name, sizeof(name)), s->remote_text, strerror(-err));
	if (s->tcp.state != BPF_TCP_ESTABLISHED)
		shutdown(file->fd, SHUT_WR);
	return 0;
}
