/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The records of sockets, and what is the same for every family: identity, addresses, network namespace, roles. */
#include "fd/fd-sock.h"

#include <netinet/in.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

static const struct img_field state_fields[] = {
	IMG_FIELD_REQUIRED(1, sock_state, file, IMG_U32, IMG_DEC),
	IMG_FIELD_REQUIRED(2, sock_state, domain, IMG_U32, IMG_DEC),
	IMG_FIELD_REQUIRED(3, sock_state, type, IMG_U32, IMG_DEC),
	IMG_FIELD_REQUIRED(4, sock_state, protocol, IMG_U32, IMG_DEC),
	IMG_FIELD_REQUIRED(5, sock_state, role, IMG_STR, IMG_DEC),
	IMG_FIELD(6, sock_state, local_text, IMG_STR, IMG_DEC),
	IMG_FIELD(7, sock_state, remote_text, IMG_STR, IMG_DEC),
	IMG_FIELD(8, sock_state, local, IMG_BYTES, IMG_HEX),
	IMG_FIELD(9, sock_state, remote, IMG_BYTES, IMG_HEX),
	IMG_FIELD(10, sock_state, scope, IMG_STR, IMG_DEC),
	IMG_FIELD(11, sock_state, backlog, IMG_U32, IMG_DEC),
	IMG_FIELD(12, sock_state, pending, IMG_U32, IMG_DEC),
	IMG_FIELD(13, sock_state, peer, IMG_U32, IMG_DEC),
	IMG_FIELD(14, sock_state, shutdown, IMG_U32, IMG_DEC),
	IMG_FIELD(15, sock_state, outside, IMG_BOOL, IMG_DEC),
	IMG_FIELD(16, sock_state, error, IMG_BOOL, IMG_DEC),
	IMG_FIELD(17, sock_state, dir, IMG_STR, IMG_DEC),
	IMG_FIELD(18, sock_state, unlinked, IMG_BOOL, IMG_DEC),
	IMG_FIELD(19, sock_state, mode, IMG_U32, IMG_OCT),
	IMG_FIELD(20, sock_state, uid, IMG_U32, IMG_DEC),
	IMG_FIELD(21, sock_state, gid, IMG_U32, IMG_DEC),
	IMG_FIELD(22, sock_state, tcp.state, IMG_U32, IMG_DEC),
	IMG_FIELD(23, sock_state, tcp.snd_seq, IMG_U32, IMG_DEC),
	IMG_FIELD(24, sock_state, tcp.rcv_seq, IMG_U32, IMG_DEC),
	IMG_FIELD(25, sock_state, tcp.unsent, IMG_U32, IMG_DEC),
	IMG_FIELD(26, sock_state, tcp.mss, IMG_U32, IMG_DEC),
	IMG_FIELD(27, sock_state, tcp.wscale, IMG_BOOL, IMG_DEC),
	IMG_FIELD(28, sock_state, tcp.sack, IMG_BOOL, IMG_DEC),
	IMG_FIELD(29, sock_state, tcp.timestamps, IMG_BOOL, IMG_DEC),
	IMG_FIELD(30, sock_state, tcp.snd_wscale, IMG_U32, IMG_DEC),
	IMG_FIELD(31, sock_state, tcp.rcv_wscale, IMG_U32, IMG_DEC),
	IMG_FIELD(32, sock_state, tcp.timestamp, IMG_U32, IMG_DEC),
	IMG_FIELD(33, sock_state, tcp.snd_wl1, IMG_U32, IMG_DEC),
	IMG_FIELD(34, sock_state, tcp.snd_wnd, IMG_U32, IMG_DEC),
	IMG_FIELD(35, sock_state, tcp.max_window, IMG_U32, IMG_DEC),
	IMG_FIELD(36, sock_state, tcp.rcv_wnd, IMG_U32, IMG_DEC),
	IMG_FIELD(37, sock_state, tcp.rcv_wup, IMG_U32, IMG_DEC),
};
const struct img_schema sock_state_schema = IMG_SCHEMA("SOCK", 1, IMG_MUST_UNDERSTAND, "socket", sock_state, state_fields);

static const struct img_field item_fields[] = {
	IMG_FIELD_REQUIRED(1, sock_item, file, IMG_U32, IMG_DEC),
	IMG_FIELD_REQUIRED(2, sock_item, what, IMG_STR, IMG_DEC),
	IMG_FIELD(3, sock_item, label, IMG_STR, IMG_DEC),
	IMG_FIELD(4, sock_item, level, IMG_I32, IMG_DEC),
	IMG_FIELD(5, sock_item, name, IMG_I32, IMG_DEC),
	IMG_FIELD(6, sock_item, value, IMG_BYTES, IMG_HEX),
};
const struct img_schema sock_item_schema =
	IMG_SCHEMA("SKIT", 1, IMG_MUST_UNDERSTAND, "socket option or unread data", sock_item, item_fields);

static const char *const role_names[SOCK_ROLES] = { "idle", "listening", "pair", "closed", "reset", "kept" };

const char *sock_role_name(enum sock_role role)
{
	return role_names[role];
}

int sock_set_role(struct fd_file *file, enum sock_role role)
{
	struct sock_state *s = file->state;
	char *name = strdup(role_names[role]);

	if (!name)
		return -ENOMEM;
	free(s->role);
	s->role = name;
	s->as = role;
	return 0;
}

static bool get_u32(int fd, int name, uint32_t *ret)
{
	int value = 0;
	socklen_t size = sizeof(value);

	if (getsockopt(fd, SOL_SOCKET, name, &value, &size) || size != sizeof(value))
		return false;
	*ret = (uint32_t)value;
	return true;
}

bool sock_identify(int fd, uint32_t *ret_domain, uint32_t *ret_type, uint32_t *ret_protocol)
{
	return get_u32(fd, SO_DOMAIN, ret_domain) && get_u32(fd, SO_TYPE, ret_type) && get_u32(fd, SO_PROTOCOL, ret_protocol);
}

/* Keeps the address that `get` gives unless it says nothing (a unix socket without a name, not connected). */
static int keep_address(int fd, int (*get)(int, struct sockaddr *, socklen_t *), const char *prefix, struct img_bytes *ret,
			char **ret_text)
{
	struct sockaddr_storage address = { 0 };
	socklen_t size = sizeof(address);

	if (get(fd, (struct sockaddr *)&address, &size) || size <= sizeof(sa_family_t) || size > sizeof(address))
		return 0;
	if ((address.ss_family == AF_INET || address.ss_family == AF_INET6) && !sock_address_port(&address) &&
	    sock_address_is_any(&address))
		return 0;
	char *text = sock_address_text(prefix, &address, size), *bytes = malloc(size);
	if (!text || !bytes) {
		free(text);
		free(bytes);
		return -ENOMEM;
	}
	memcpy(bytes, &address, size);
	ret->data = bytes;
	ret->size = size;
	*ret_text = text;
	return 0;
}

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

static uint64_t netns_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t size = sizeof(cookie);

	return getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) ? 0 : cookie;
}

static int keep_scope(struct sock_state *s)
{
	const struct sockaddr_in6 *in6 = s->local.data;
	char name[IF_NAMESIZE];

	if (s->domain != AF_INET6 || s->local.size < sizeof(*in6) || !in6->sin6_scope_id ||
	    !if_indextoname(in6->sin6_scope_id, name))
		return 0;
	s->scope = strdup(name);
	return s->scope ? 0 : -ENOMEM;
}

int sock_inspect(struct fd_capture *cap, struct fd_file *file, const struct fd_look *look, const char *prefix)
{
	struct sock_state *s = file->state;

	(void)cap;
	if (!sock_identify(look->copy, &s->domain, &s->type, &s->protocol))
		return -EBADF;
	AUTO_CLOSE int fresh = socket((int)s->domain, (int)s->type | SOCK_CLOEXEC, (int)s->protocol);
	int err = keep_address(look->copy, getsockname, prefix, &s->local, &s->local_text);
	if (!err)
		err = keep_address(look->copy, getpeername, prefix, &s->remote, &s->remote_text);
	if (!err)
		err = keep_scope(s);
	if (!err)
		err = sock_options_save(file, look->copy, fresh);
	if (!err)
		err = sock_set_role(file, SOCK_ROLE_IDLE);
	s->netns = netns_of(look->copy);
	s->other_netns = fresh >= 0 && netns_of(fresh) != s->netns;
	s->scm_fds = look->info->has_scm_fds ? look->info->scm_fds : 0;
	return err;
}

void sock_check(struct fd_capture *cap, struct fd_file *file, struct fd_verdict *v)
{
	const struct sock_state *s = file->state;

	(void)cap;
	if (s->trouble)
		fd_verdict_obstacle(v, "have the program close it, or use a kernel that can tell", "%s", s->trouble);
	if (s->scm_fds && s->as != SOCK_ROLE_LISTENING)
		fd_verdict_obstacle(v, "try again once the program has received them",
				    "%llu descriptors sent over it (SCM_RIGHTS) have not been received yet",
				    (unsigned long long)s->scm_fds);
	if (s->bpf_filter)
		fd_verdict_obstacle(v, "have the program detach the filter, or close the socket",
				    "it has an eBPF filter, which cannot be read");
}

struct fd_file *sock_by_ino(struct fd_capture *cap, uint64_t ino)
{
	vec_each(&cap->files, file)
		if ((*file)->st.st_ino == ino && S_ISSOCK((*file)->st.st_mode) &&
		    (*file)->kind->state_schema == &sock_state_schema)
			return *file;
	return NULL;
}

/* ---- restore ---- */

static bool role_known(struct sock_state *s)
{
	for (int i = 0; i < SOCK_ROLES; i++)
		if (!strcmp(s->role, role_names[i])) {
			s->as = (enum sock_role)i;
			return true;
		}
	return false;
}

static bool items_known(const struct fd_file *file)
{
	const struct sock_item *items = file->items;

	for (size_t i = 0; i < file->n_items; i++)
		if (strcmp(items[i].what, "option") && strcmp(items[i].what, "data") && strcmp(items[i].what, "group") &&
		    strcmp(items[i].what, "send"))
			return false;
	return true;
}

int sock_validate(struct fd_plan *plan, struct fd_file *file)
{
	struct sock_state *s = file->state;

	if (!s || !role_known(s) || !items_known(file) || s->type == 0 || s->type > SOCK_PACKET ||
	    (s->local.size && (!s->local_text || !sock_address_valid(s->local.data, s->local.size, s->domain))) ||
	    (s->remote.size && (!s->remote_text || !sock_address_valid(s->remote.data, s->remote.size, s->domain))) ||
	    s->shutdown > 3)
		return report_fail(plan->rep, -EBADMSG, "image: the record of socket %u is damaged", file->r.id);
	return 0;
}

int sock_create(struct fd_plan *plan, const struct fd_file *file)
{
	const struct sock_state *s = file->state;
	char name[256];
	int fd = socket((int)s->domain, (int)s->type | SOCK_CLOEXEC, (int)s->protocol);

	if (fd < 0) {
		int err = -errno;
		return report_fail(plan->rep, err, "%s: a socket of family %u, type %u, protocol %u cannot be made: %s",
				   fd_file_name(file, name, sizeof(name)), s->domain, s->type, s->protocol, strerror(-err));
	}
	return fd;
}

bool sock_held_by_one(const struct fd_plan *plan, const struct fd_file *file, uint32_t *ret_process)
{
	bool any = false;

	vec_each(&plan->slots, slot) {
		if (slot->file != file)
			continue;
		if (any && slot->r.process != *ret_process)
			return false;
		*ret_process = slot->r.process;
		any = true;
	}
	return any;
}
