// SPDX-License-Identifier: LGPL-2.1-or-later
/* Whether an interface that is there will do for an old one, and whether one can be made. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tap.h"

/* Whether an open file of a process is attached to an interface of this name. */
static bool is_holder(const char *pid, const char *fd, const char *name)
{
	char path[600], link[64], line[128], want[IFNAMSIZ + 8];
	bool found = false;

	snprintf(path, sizeof(path), "/proc/%s/fd/%s", pid, fd);
	ssize_t n = readlink(path, link, sizeof(link) - 1);
	if (n < 0 || strncmp(link, "/dev/net/tun", 12))
		return false;
	snprintf(want, sizeof(want), "iff:\t%s\n", name);
	snprintf(path, sizeof(path), "/proc/%s/fdinfo/%s", pid, fd);
	FILE *f = fopen(path, "re");
	while (f && !found && fgets(line, sizeof(line), f))
		found = !strcmp(line, want);
	if (f)
		fclose(f);
	return found;
}

/* "process 123", or "another process" if it cannot be seen. */
static const char *holder(const char *name, char *buf, size_t size)
{
	DIR *procs = opendir("/proc");
	struct dirent *p, *e;
	char path[300];

	snprintf(buf, size, "another process");
	while (procs && (p = readdir(procs))) {
		snprintf(path, sizeof(path), "/proc/%s/fd", p->d_name);
		DIR *fds = *p->d_name >= '1' && *p->d_name <= '9' ? opendir(path) : NULL;
		while (fds && (e = readdir(fds)))
			if (is_holder(p->d_name, e->d_name, name))
				snprintf(buf, size, "process %.16s", p->d_name);
		if (fds)
			closedir(fds);
	}
	if (procs)
		closedir(procs);
	return buf;
}

static const char *mode_words(uint32_t flags)
{
	return flags & IFF_TUN ? "tun" : "tap";
}

/* 0, if an interface of the kind is there at all. */
static int check_kind(const struct tap_planned *p, const struct tap_link *l)
{
	bool is_tun = !strcmp(l->kind, "tun"), is_tap = !is_tun || l->is_tap;

	if (!is_tun && strcmp(l->kind, "macvtap") && strcmp(l->kind, "ipvtap")) {
		stasis_obstacle(p->s, p->fd, NULL, "name a tap with --map tap:OLD=NEW", "%s is no tap device", l->name);
		return -EINVAL;
	}
	if (is_tap != !(p->flags & IFF_TUN)) {
		stasis_obstacle(p->s, p->fd, NULL, "name another one with --map tap:OLD=NEW",
		                "%s is a %s device, and a %s device is needed", l->name, is_tap ? "tap" : "tun",
		                mode_words(p->flags));
		return -EINVAL;
	}
	p->place->macvtap = !is_tun;
	p->place->index = l->index;
	p->place->multi_queue = l->multi_queue;
	return 0;
}

static void check_use(const struct tap_planned *p, const struct tap_link *l)
{
	char who[64], remedy[192];

	if (l->queues)
		stasis_obstacle(p->s, p->fd, NULL, "end that process, or name another tap with --map tap:OLD=NEW",
		                "%s is in use by %s", l->name, holder(l->name, who, sizeof(who)));
	snprintf(remedy, sizeof(remedy),
	         "make it anew (ip tuntap add dev %s mode %s multi_queue), or another one with --map tap:%s=new:BRIDGE",
	         l->name, mode_words(p->flags), p->link->name);
	if ((p->queues > 1 || p->flags & IFF_MULTI_QUEUE) && !l->multi_queue)
		stasis_obstacle(p->s, p->fd, NULL, remedy, "%s has one queue, and a multi-queue tap (%u queues) is needed",
		                l->name, p->queues);
	snprintf(remedy, sizeof(remedy), "run as root, or make the tap for this user (ip tuntap add dev %s mode %s user %u)",
	         l->name, mode_words(p->flags), geteuid());
	if (!p->may_administer &&
	    ((l->owner >= 0 && l->owner != geteuid()) || (l->group >= 0 && l->owner < 0 && l->group != getegid())))
		stasis_obstacle(p->s, p->fd, NULL, remedy, "%s belongs to user %ld, group %ld: no permission", l->name,
		                (long)l->owner, (long)l->group);
}

/* /dev/tapN of a macvtap. */
static void check_node(const struct tap_planned *p, const struct tap_link *l)
{
	char path[32];

	snprintf(path, sizeof(path), "/dev/tap%u", l->index);
	if (access(path, R_OK | W_OK))
		stasis_obstacle(p->s, p->fd, NULL,
		                errno == ENOENT ? "make the node (its number is in /sys/class/net/NAME/tap*/dev)"
		                                : "run as root, or allow it",
		                "%s: %s: %s", l->name, path, strerror(errno));
	if (!p->link->macs.size || (l->address_size == 6 && !memcmp(l->address, p->link->macs.data, 6)))
		return;
	if (p->may_administer)
		p->place->set_address = true;
	else
		stasis_obstacle(p->s, p->fd, NULL, "set it (ip link set dev NAME address MAC), or run as root",
		                "%s has another hardware address than its guest, whose packets would not arrive", l->name);
}

static void check_settings(const struct tap_planned *p, const struct tap_link *l)
{
	char remedy[96];

	if (l->mtu != p->link->mtu && p->may_administer) {
		p->place->set_mtu = p->link->mtu;
	} else if (l->mtu < p->link->mtu) {
		snprintf(remedy, sizeof(remedy), "set it (ip link set dev %s mtu %u), or run as root", l->name, p->link->mtu);
		stasis_obstacle(p->s, p->fd, NULL, remedy, "the MTU of %s is %u, it was %u: large packets would be lost",
		                l->name, l->mtu, p->link->mtu);
	} else if (l->mtu > p->link->mtu) {
		stasis_warn(p->s, "the MTU of %s is %u, it was %u", l->name, l->mtu, p->link->mtu);
	}
	if (p->link->up && !l->up && p->may_administer) {
		p->place->set_up = true;
	} else if (p->link->up && !l->up) {
		snprintf(remedy, sizeof(remedy), "set it up (ip link set dev %s up), or run as root", l->name);
		stasis_obstacle(p->s, p->fd, NULL, remedy, "%s is down", l->name);
	}
	if (p->link->bridge && !l->master)
		stasis_warn(p->s, "%s was on bridge %s, and %s is on none", p->link->name, p->link->bridge, l->name);
}

static void refuse_missing(const struct tap_planned *p)
{
	char words[1200], remedy[300];

	if (p->link->macvtap)
		snprintf(remedy, sizeof(remedy),
		         "make it (ip link add link INTERFACE name %s type macvtap), or name another one with --map tap:%s=NEW",
		         p->place->name, p->link->name);
	else
		snprintf(remedy, sizeof(remedy),
		         "make it (ip tuntap add dev %s mode %s%s), or --map tap:%s=NEW, =new:BRIDGE or =none", p->place->name,
		         mode_words(p->flags), p->flags & IFF_MULTI_QUEUE ? " multi_queue" : "", p->link->name);
	stasis_obstacle(p->s, p->fd, NULL, remedy, "there is no tap %s", tap_place_words(p->place, words, sizeof(words)));
}

void tap_plan_existing(const struct tap_planned *p)
{
	struct tap_link l;
	int err = tap_link_get(p->net, p->place->name, &l);

	if (err && err != -ENODEV) {
		stasis_obstacle(p->s, p->fd, NULL, "name another tap with --map tap:OLD=NEW", "%s cannot be asked for: %s",
		                p->place->name, strerror(-err));
	} else if (err && (p->place->mapped || p->link->persist || p->link->macvtap)) {
		refuse_missing(p);
	} else if (err) { /* it went with its last descriptor: made anew as it was */
		p->place->how = TAP_MAKE;
		if (p->link->bridge)
			snprintf(p->place->bridge, sizeof(p->place->bridge), "%s", p->link->bridge);
	} else if (!check_kind(p, &l)) {
		check_use(p, &l);
		check_settings(p, &l);
		if (p->place->macvtap)
			check_node(p, &l);
	}
}

void tap_plan_make(const struct tap_planned *p)
{
	const struct tap_place *place = p->place;
	struct tap_link l;
	char remedy[200];

	if (*place->bridge && (tap_link_get(p->net, place->bridge, &l) || strcmp(l.kind, "bridge")))
		stasis_obstacle(p->s, p->fd, NULL,
		                "make it (ip link add NAME type bridge), or name another one with --map tap:OLD=new:BRIDGE",
		                "%s: there is no bridge %s%s%s", p->link->name, place->bridge,
		                *place->netns ? " in network namespace " : "", place->netns);
	if (*place->name && !tap_link_get(p->net, place->name, &l))
		stasis_obstacle(p->s, p->fd, NULL, "name another one with --map tap:OLD=new:BRIDGE:NAME",
		                "an interface %s is there already", place->name);
	snprintf(remedy, sizeof(remedy),
	         "run as root, or have a tap made for this user (ip tuntap add dev %s mode %s%s user %u)",
	         *place->name ? place->name : p->link->name, mode_words(p->flags),
	         p->flags & IFF_MULTI_QUEUE ? " multi_queue" : "", geteuid());
	if (!p->may_administer)
		stasis_obstacle(p->s, p->fd, NULL, remedy, "%s: no permission to make a tap device", p->link->name);
}
