/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Socket addresses: as texts for people and for --map, checked when they come from an image, and mapped to new ones. */
#include "fd/fd-sock.h"

#include <arpa/inet.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

uint16_t sock_address_port(const void *address)
{
	const struct sockaddr_in *in = address;
	const struct sockaddr_in6 *in6 = address;

	return ntohs(in->sin_family == AF_INET ? in->sin_port : in6->sin6_port);
}

bool sock_address_is_any(const void *address)
{
	const struct sockaddr_in *in = address;
	const struct sockaddr_in6 *in6 = address;

	if (in->sin_family == AF_INET)
		return in->sin_addr.s_addr == htonl(INADDR_ANY);
	return IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr);
}

bool sock_address_path(const void *address, size_t size, char *path)
{
	const struct sockaddr_un *un = address;
	size_t n;

	if (size <= offsetof(struct sockaddr_un, sun_path) || un->sun_path[0] == '\0')
		return false;
	n = strnlen(un->sun_path, size - offsetof(struct sockaddr_un, sun_path));
	if (n > sizeof(un->sun_path))
		n = sizeof(un->sun_path);
	memcpy(path, un->sun_path, n);
	path[n] = '\0';
	return true;
}

/* An abstract name may hold any byte; what is not printable becomes \xNN. */
static char *unix_text(const char *prefix, const struct sockaddr_un *un, size_t size)
{
	size_t n = size - offsetof(struct sockaddr_un, sun_path);
	bool abstract = un->sun_path[0] == '\0';
	char *text = malloc(strlen(prefix) + 3 + 4 * n), *p = text;

	if (!text)
		return NULL;
	p += sprintf(p, "%s:%s", prefix, abstract ? "@" : "");
	if (!abstract)
		n = strnlen(un->sun_path, n);
	for (size_t i = abstract ? 1 : 0; i < n; i++) {
		unsigned char c = (unsigned char)un->sun_path[i];

		if (abstract && (c < 0x20 || c >= 0x7f || c == '\\'))
			p += sprintf(p, "\\x%02x", c);
		else
			*p++ = (char)c;
	}
	*p = '\0';
	return text;
}

char *sock_address_text(const char *prefix, const void *address, size_t size)
{
	const struct sockaddr_in *in = address;
	const struct sockaddr_in6 *in6 = address;
	const struct sockaddr_nl *nl = address;
	char host[INET6_ADDRSTRLEN], *text = NULL;
	int n = -1;

	switch (in->sin_family) {
	case AF_UNIX:
		return unix_text(prefix, address, size);
	case AF_INET:
		inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host));
		n = asprintf(&text, "%s:%s:%u", prefix, host, ntohs(in->sin_port));
		break;
	case AF_INET6:
		inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
		n = asprintf(&text, "%s:[%s]:%u", prefix, host, ntohs(in6->sin6_port));
		break;
	case AF_NETLINK:
		n = asprintf(&text, "%s:%u", prefix, nl->nl_pid);
		break;
	default:
		n = asprintf(&text, "%s", prefix);
	}
	return n < 0 ? NULL : text;
}

bool sock_address_valid(const void *address, size_t size, uint32_t domain)
{
	sa_family_t family;

	if (!address || size < sizeof(family) || size > SOCK_ADDRESS_MAX)
		return false;
	memcpy(&family, address, sizeof(family));
	if (family != domain)
		return false;
	switch (domain) {
	case AF_UNIX:
		return size > sizeof(family) && size <= sizeof(struct sockaddr_un) + 1;
	case AF_INET:
		return size >= sizeof(struct sockaddr_in);
	case AF_INET6:
		return size >= sizeof(struct sockaddr_in6);
	case AF_NETLINK:
		return size >= sizeof(struct sockaddr_nl);
	default:
		return true;
	}
}

static bool parse_port(const char *text, uint16_t *ret)
{
	char *end;
	unsigned long port = strtoul(text, &end, 10);

	if (end == text || *end || *text == '-' || *text == '+' || port > 65535)
		return false;
	*ret = (uint16_t)port;
	return true;
}

static void set_port(struct sockaddr_storage *address, uint16_t port)
{
	if (address->ss_family == AF_INET)
		((struct sockaddr_in *)address)->sin_port = htons(port);
	else
		((struct sockaddr_in6 *)address)->sin6_port = htons(port);
}

bool sock_address_parse(const char *text, const char *prefix, struct sockaddr_storage *address)
{
	struct sockaddr_in *in = (struct sockaddr_in *)address;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)address;
	char host[INET6_ADDRSTRLEN + 2];
	uint16_t port;

	if (!strncmp(text, prefix, strlen(prefix)) && text[strlen(prefix)] == ':')
		text += strlen(prefix) + 1;
	const char *colon = strrchr(text, ':');
	if (!parse_port(colon ? colon + 1 : text, &port))
		return false;
	set_port(address, port);
	if (!colon)
		return true;
	size_t n = (size_t)(colon - text);
	if (n >= sizeof(host))
		return false;
	memcpy(host, text, n);
	host[n] = '\0';
	if (address->ss_family == AF_INET)
		return inet_pton(AF_INET, host, &in->sin_addr) == 1;
	if (n < 2 || host[0] != '[' || host[n - 1] != ']')
		return false;
	host[n - 1] = '\0';
	return inet_pton(AF_INET6, host + 1, &in6->sin6_addr) == 1;
}

int sock_address_mapped(struct fd_plan *plan, const struct fd_file *file, const char *prefix, struct fd_verdict *v,
			struct sockaddr_storage *ret_address, socklen_t *ret_size)
{
	const struct sock_state *s = file->state;
	struct sockaddr_storage address = { 0 };
	char whole[128], port_only[32];
	const char *to = NULL;

	memcpy(&address, s->local.data, s->local.size);
	AUTO_FREE char *text = sock_address_text(prefix, &address, s->local.size);
	if (!text)
		return -ENOMEM;
	snprintf(whole, sizeof(whole), "%s", text);
	snprintf(port_only, sizeof(port_only), "%s:%u", prefix, sock_address_port(&address));
	if (plan->o.map && !(to = resource_map_ask(plan->o.map, "socket", whole)))
		to = resource_map_find(plan->o.map, "socket", port_only);
	if (to && !sock_address_parse(to, prefix, &address)) {
		fd_verdict_obstacle(v, "write --map socket:tcp:OLDPORT=NEWPORT or ...=ADDRESS:PORT of the same family",
				    "\"%s\" is no address that %s could be moved to", to, text);
		return -EINVAL;
	}
	if (s->scope)
		((struct sockaddr_in6 *)&address)->sin6_scope_id = if_nametoindex(s->scope);
	*ret_address = address;
	*ret_size = (socklen_t)s->local.size;
	return 0;
}
