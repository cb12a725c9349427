/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Inside of the socket kinds: the two records that all of them share, and their helpers: addresses, options, unread data, diag.
 * A socket has one of five roles, found at capture; what is done at restart follows from the role alone. */
#ifndef STASIS_FD_SOCK_H
#define STASIS_FD_SOCK_H

#include <sys/socket.h>

#include "fd/kind.h"

enum sock_role {
	SOCK_ROLE_IDLE,      /* no connection: fresh or bound; datagram sockets also with a remote address */
	SOCK_ROLE_LISTENING,
	SOCK_ROLE_PAIR,      /* connected to another socket of the tree */
	SOCK_ROLE_CLOSED,    /* the other end has closed, or is outside and will be gone: unread data, then end of file */
	SOCK_ROLE_RESET,     /* TCP to outside: unread data, then ECONNRESET */
	SOCK_ROLE_KEPT,      /* TCP to outside, with all of its state: goes on (fd-sock-repair.c) */
	SOCK_ROLES,
};

/* What TCP's repair mode tells of a connection and takes again; numbers are those of the protocol. */
struct sock_tcp {
	uint32_t state;            /* 1 = established; 4, 5 = has sent its end (shutdown 2), FIN-WAIT-1 and 2 */
	uint32_t snd_seq, rcv_seq; /* behind the last byte written and received */
	uint32_t unsent;           /* bytes at the end of the send queue that the other side has not been sent yet */
	uint32_t mss;
	bool wscale, sack, timestamps; /* were agreed upon */
	uint32_t snd_wscale, rcv_wscale;
	uint32_t timestamp;                                       /* its clock */
	uint32_t snd_wl1, snd_wnd, max_window, rcv_wnd, rcv_wup; /* struct tcp_repair_window */
};

/* SOCK: what all socket kinds save. */
struct sock_state {
	uint32_t file;
	uint32_t domain, type, protocol; /* AF_*, SOCK_* without flags, IPPROTO_* or NETLINK_* */
	char *role;                      /* sock_role_name */
	char *local_text, *remote_text;  /* the two below, for people; absent when there is none */
	struct img_bytes local, remote;  /* as getsockname and getpeername give them; empty when unnamed or not connected */
	char *scope;                     /* interface of a link-local `local`; absent else */
	uint32_t backlog;                /* listening */
	uint32_t pending;                /* listening: clients not accepted, who will be dropped */
	uint32_t peer;                   /* id of the FILE it is connected to; 0 = none in the tree */
	uint32_t shutdown;               /* 1 = will not receive, 2 = will not send */
	bool outside;                    /* had a living peer outside of the tree */
	bool error;                      /* RESET: the error has not been read yet */
	char *dir;                       /* unix: the directory that a relative `local` starts from */
	bool unlinked;                   /* unix: no path leads to it any more */
	uint32_t mode, uid, gid;         /* unix: of its file; meaningful with a path that is not unlinked */

	struct sock_tcp tcp;             /* KEPT */

	/* Not in the image. */
	enum sock_role as;    /* `role`, parsed */
	uint64_t peer_ino;    /* capture: socket inode of the other end; 0 = has none */
	uint64_t netns;       /* capture: cookie of its network namespace; 0 = unknown */
	bool other_netns;     /* capture: it is not ours */
	uint64_t scm_fds;     /* capture: files in flight in its receive queue */
	bool bpf_filter;      /* capture: has a filter that cannot be read */
	const char *trouble;  /* capture: why it cannot be saved; a literal */
	const char *not_kept; /* capture, TCP to outside: why it cannot go on; a literal, NULL = it can */
	bool may_hold;        /* capture: we may use repair mode on it */
	bool late;            /* restore: made by install in the only process that holds it */
	struct sockaddr_storage anew; /* restore: whom to connect to anew (fd-sock-connect.c) */
	socklen_t anew_size;          /* 0 = nobody */
};

/* SKIT: an option that differs from that of a new socket, a piece of unread data, a joined group. */
struct sock_item {
	uint32_t file;
	char *what;  /* "option", "data", "group", "send": written, not acknowledged (KEPT) */
	char *label; /* for people */
	int32_t level, name; /* of the option; group: name is its number */
	struct img_bytes value; /* data: one message, or a piece of a stream */
};

extern const struct img_schema sock_state_schema, sock_item_schema;
extern const struct fd_kind fd_kind_unix, fd_kind_tcp, fd_kind_inet, fd_kind_netlink, fd_kind_socket;

const char *sock_role_name(enum sock_role role);

/* ---- capture ---- */

/* The domain, type and protocol of a socket; false if fd is none. */
bool sock_identify(int fd, uint32_t *ret_domain, uint32_t *ret_type, uint32_t *ret_protocol);

/* Fills what every socket has: identity, both addresses, namespace, options that differ from a new socket's. `prefix` of the
 * address texts: "unix", "tcp", "udp". */
int sock_inspect(struct fd_capture *cap, struct fd_file *file, const struct fd_look *look, const char *prefix);

/* Adds an item for every option of the copy that differs from that of `fresh` (a new socket of the same sort; -1 = compare with
 * nothing). Returns 0 or -ENOMEM. */
int sock_options_save(struct fd_file *file, int copy, int fresh);

/* The obstacles that every socket may have. */
void sock_check(struct fd_capture *cap, struct fd_file *file, struct fd_verdict *v);

/* Finds the socket of the tree with this socket inode; NULL if there is none. */
struct fd_file *sock_by_ino(struct fd_capture *cap, uint64_t ino);

/* Sets both `as` and `role`. */
int sock_set_role(struct fd_file *file, enum sock_role role);

/* Adds what lies unread in the receive queue to the items, by peeking: nothing is taken out. The target must be frozen. */
int sock_queue_save(struct fd_capture *cap, struct fd_file *file, int copy);

/* Adds data as items of this sort, in pieces. */
int sock_queue_add(struct fd_file *file, const char *what, const void *data, size_t size);

/* Judges whether a TCP connection could go on: sets not_kept and may_hold. Its options are known. */
struct tcp_info;
void sock_repair_judge(struct fd_file *file, int copy, const struct tcp_info *info);

/* Reads all of a connection, which from then on is held (fd/sock-hold.h). `ret_ended`: it is no longer one that can go on, is not
 * held and nothing was read. */
int sock_repair_save(struct fd_capture *cap, struct fd_file *file, bool *ret_ended);
/* Makes sure that a connection that was read dies without a word. */
int sock_repair_dying(struct fd_capture *cap, struct fd_file *file);

/* What UNIX_DIAG tells of one socket. */
struct sock_diag {
	uint8_t state;    /* TCP_ESTABLISHED, TCP_LISTEN, TCP_CLOSE */
	uint8_t shutdown; /* 1 = receive, 2 = send */
	bool has_vfs;
	uint32_t vfs_ino, vfs_dev; /* of its file: low half of the inode, kernel-internal dev */
	uint32_t peer_ino;         /* 0: no peer, or one that has no inode (closed, or not accepted) */
	uint32_t rqueue, wqueue;   /* listening: clients waiting, backlog; else bytes */
};

/* Asks in the network namespace of `pid`, or of the socket `copy` where that differs. Returns 0, -ENOENT when there is no such
 * socket (any more), -EOPNOTSUPP when this kernel has no UNIX_DIAG, -EPERM when that namespace cannot be entered, or another
 * errno; nothing is worded. */
int sock_diag_unix(pid_t pid, int copy, uint64_t ino, struct sock_diag *ret);

/* ---- restore ---- */

/* Checks a record from the image: enums in range, addresses well-formed. Returns 0 or -EBADMSG, worded. */
int sock_validate(struct fd_plan *plan, struct fd_file *file);

/* Puts the recorded options on fd. What cannot be set is warned about unless `quiet`. */
void sock_options_restore(struct fd_plan *plan, const struct fd_file *file, int fd, bool quiet);

/* Sends the recorded unread data of `file` from `writer`, the other end. `reader` is its own end: buffers of both are enlarged
 * where need be. Returns 0 or a negative errno, worded; -ENOBUFS (not worded) when not all of it fits. */
int sock_queue_put(struct fd_plan *plan, const struct fd_file *file, int writer, int reader);
size_t sock_queue_bytes(const struct fd_file *file);

/* Makes a buffer at least `want` bytes as the kernel counts; `name` and `force_name`: SO_RCVBUF and SO_RCVBUFFORCE, or likewise. */
void sock_queue_enlarge(int fd, int name, int force_name, size_t want);

/* A connection that goes on: whether it can be had here / made, but held / let go. */
int sock_repair_plan(struct fd_plan *plan, struct fd_file *file, struct fd_verdict *v);
int sock_repair_make(struct fd_plan *plan, struct fd_file *file);
int sock_repair_live(struct fd_plan *plan, struct fd_file *file);

/* A stream to outside: whether the user wants it connected anew, and to whom (`ret_anew`) / connects it. Returns 0 or a negative errno,
 * worded; an address that is none is an obstacle. */
int sock_connect_plan(struct fd_plan *plan, struct fd_file *file, const char *prefix, struct fd_verdict *v, bool *ret_anew);
int sock_connect_make(struct fd_plan *plan, struct fd_file *file);

/* Makes a socket like the recorded one. Returns it (owned) or a negative errno, worded. */
int sock_create(struct fd_plan *plan, const struct fd_file *file);

/* Whether all descriptors of a file belong to this one process. */
bool sock_held_by_one(const struct fd_plan *plan, const struct fd_file *file, uint32_t *ret_process);

/* ---- addresses ---- */

#define SOCK_ADDRESS_MAX sizeof(struct sockaddr_storage)

/* "tcp:127.0.0.1:80", "tcp:[::1]:80", "unix:/path", "unix:@abstract"; allocated; NULL without memory. `size` is at least 2. */
char *sock_address_text(const char *prefix, const void *address, size_t size);

/* Whether the bytes are a whole address of this family (AF_UNIX, AF_INET, AF_INET6, AF_NETLINK). */
bool sock_address_valid(const void *address, size_t size, uint32_t domain);

/* The port of an AF_INET or AF_INET6 address, and whether it is the wildcard address. */
uint16_t sock_address_port(const void *address);
bool sock_address_is_any(const void *address);

/* Whether a unix address is a path (not abstract); the path with a NUL into `path` of at least 109 bytes. */
bool sock_address_path(const void *address, size_t size, char *path);

/* "5910", "127.0.0.1:5910", "[::1]:5910", any of them after "PREFIX:", into an address whose family stays and whose host may stay. */
bool sock_address_parse(const char *text, const char *prefix, struct sockaddr_storage *address);

/* The local address of an internet socket as it is to be bound here: scope looked up again, --map socket:PREFIX:ADDRESS:PORT or
 * socket:PREFIX:PORT applied. Returns 0 or -EINVAL with the obstacle in `v` when NEW is no address. */
int sock_address_mapped(struct fd_plan *plan, const struct fd_file *file, const char *prefix, struct fd_verdict *v,
			struct sockaddr_storage *ret_address, socklen_t *ret_size);

#endif
