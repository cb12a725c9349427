// SPDX-License-Identifier: LGPL-2.1-or-later
/* Where an interface goes at a restart: what the user said with --map tap:OLD=NEW, or what goes without saying.
 *
 *	NEW	= none | [netns:NETNS/] ( NAME | new[:BRIDGE[:NAME]] )
 *	NETNS	= a name in /run/netns, or a path */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tap.h"

static int copy_name(const char *from, size_t size, char to[IFNAMSIZ])
{
	if (size >= IFNAMSIZ || memchr(from, '/', size))
		return -EINVAL;
	memcpy(to, from, size);
	to[size] = '\0';
	return 0;
}

static int parse_new(const char *text, struct tap_place *p)
{
	const char *name = strchr(text, ':');

	p->how = TAP_MAKE;
	if (name && !name[1])
		return -EINVAL;
	int err = copy_name(text, name ? (size_t)(name - text) : strlen(text), p->bridge);
	return err || !name ? err : copy_name(name + 1, strlen(name + 1), p->name);
}

static int parse(const char *text, struct tap_place *p)
{
	if (!strcmp(text, "none")) {
		p->how = TAP_NONE;
		return 0;
	}
	if (!strncmp(text, "netns:", 6)) {
		const char *slash = strrchr(text, '/');
		size_t size = slash ? (size_t)(slash - text) - 6 : 0;
		if (!size || size >= sizeof(p->netns))
			return -EINVAL;
		memcpy(p->netns, text + 6, size);
		text = slash + 1;
	}
	if (!strcmp(text, "new"))
		return parse_new("", p);
	if (!strncmp(text, "new:", 4))
		return parse_new(text + 4, p);
	return *text ? copy_name(text, strlen(text), p->name) : -EINVAL;
}

int tap_place_find(struct stasis_session *s, const struct tap_rec_link *link, struct tap_place *ret)
{
	struct tap_place p = { .how = TAP_EXISTING };
	char full[sizeof(p.netns) + IFNAMSIZ + 8];
	const char *text = NULL;
	int err;

	if (link->netns) { /* when two have the same name */
		snprintf(full, sizeof(full), "netns:%s/%s", link->netns, link->name);
		text = stasis_mapped(s, "tap", full);
	}
	if (!text)
		text = stasis_mapped(s, "tap", link->name);
	if (text) {
		if ((err = parse(text, &p)))
			return err;
		/* Its own name, here: as it was, but not in the namespace that it was in. */
		p.mapped = p.how != TAP_EXISTING || *p.netns || strcmp(p.name, link->name);
	} else if (link->where == TAP_PRIVATE) {
		p.how = TAP_NONE;
	} else {
		if ((err = copy_name(link->name, strlen(link->name), p.name)))
			return err;
		if (link->netns)
			snprintf(p.netns, sizeof(p.netns), "%s", link->netns);
	}
	*ret = p;
	return 0;
}

const char *tap_place_words(const struct tap_place *p, char *buf, size_t size)
{
	const char *where = *p->netns ? " in network namespace " : "";

	if (p->how == TAP_NONE)
		snprintf(buf, size, "none");
	else if (p->how == TAP_MAKE)
		snprintf(buf, size, "a new one%s%s%s%s%s%s", *p->name ? " called " : "", p->name,
		         *p->bridge ? " on bridge " : "", p->bridge, where, p->netns);
	else
		snprintf(buf, size, "%s%s%s", p->name, where, p->netns);
	return buf;
}

int tap_place_netns(const struct tap_place *p, int *ret_ns)
{
	int fd = *p->netns ? tap_netns_open(p->netns) : -1;

	if (fd < 0 && *p->netns)
		return fd;
	*ret_ns = fd;
	return 0;
}
