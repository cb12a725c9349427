// SPDX-License-Identifier: LGPL-2.1-or-later
/* Reads everything that can be known of the target's queues and interfaces, by copies of its descriptors and by rtnetlink in
 * the network namespace that each interface is in. Nothing is changed by it. */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tap.h"

/* One link while it is surveyed. */
struct found {
	dev_t dev; /* of its network namespace */
	ino_t ino;
	int ns; /* its descriptor; -1: ours */
};

struct survey {
	struct stasis_session *s;
	struct tap_state *t;
	struct found *found; /* one per link */
};

/* A macvtap does not tell (drivers/net/tap.c): it is where an interface of its name and index is. */
static int macvtap_namespace(struct stasis_session *s, const char *name, unsigned index)
{
	struct tap_link link;
	struct tap_net net;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)stasis_pid(s));
	const char *const places[] = { "/proc/thread-self/ns/net", path };
	for (size_t i = 0; i < 2; i++) {
		int ns = open(places[i], O_RDONLY | O_CLOEXEC);
		if (ns < 0)
			continue;
		bool here = false;
		if (!tap_net_open(i ? ns : -1, &net)) {
			here = !tap_link_get(&net, name, &link) && link.index == index;
			tap_net_close(&net);
		}
		if (here)
			return ns;
		close(ns);
	}
	return -ENODEV;
}

/* A descriptor of the interface's namespace, or a negative errno. */
static int namespace_of(struct stasis_session *s, int fd, const char *link, const char *name)
{
	char path[64];

	if (!strncmp(link, "/dev/tap", 8))
		return macvtap_namespace(s, name, (unsigned)strtoul(link + 8, NULL, 10));
	int ns = ioctl(fd, TUNGETDEVNETNS);
	if (ns >= 0)
		return ns;
	/* Only root of that namespace is told. Mostly it is the target's own. */
	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)stasis_pid(s));
	ns = open(path, O_RDONLY | O_CLOEXEC);
	return ns < 0 ? -errno : ns;
}

/* What the record says of the place. True: it is our own namespace. */
static bool where_is(struct stasis_session *s, const struct stat *ns, struct tap_rec_link *link)
{
	struct stat ours, its;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)stasis_pid(s));
	link->where = TAP_HERE;
	if (!stat("/proc/thread-self/ns/net", &ours) && ours.st_dev == ns->st_dev && ours.st_ino == ns->st_ino)
		return true;
	if ((link->netns = tap_netns_name(ns->st_dev, ns->st_ino)))
		link->where = TAP_NAMED;
	else if (stat(path, &its) || its.st_dev != ns->st_dev || its.st_ino != ns->st_ino)
		link->where = TAP_PRIVATE;
	return false;
}

static int add_link(struct survey *v, const struct stat *st, int ns, const char *name)
{
	struct tap_state *t = v->t;
	struct tap_rec_link *links = reallocarray(t->links, t->n_links + 1, sizeof(*links));

	if (links)
		t->links = links;
	struct found *found = reallocarray(v->found, t->n_links + 1, sizeof(*found));
	if (found)
		v->found = found;
	if (!links || !found) {
		close(ns);
		return -ENOMEM;
	}
	struct tap_rec_link *link = &links[t->n_links];
	*link = (struct tap_rec_link){ .id = (uint32_t)t->n_links + 1, .name = strdup(name), .owner = -1, .group = -1 };
	v->found[t->n_links] = (struct found){ .dev = st->st_dev, .ino = st->st_ino, .ns = ns };
	if (where_is(v->s, st, link)) {
		close(ns);
		v->found[t->n_links].ns = -1;
	}
	t->n_links++;
	return link->name ? 0 : -ENOMEM;
}

static int link_of(struct survey *v, int fd, const char *path, const char *name, uint32_t *ret_id)
{
	int ns = namespace_of(v->s, fd, path, name), err;
	struct stat st = { 0 };

	if (ns < 0 || fstat(ns, &st) < 0) {
		if (ns >= 0)
			close(ns);
		return stasis_fail(v->s, -EPERM, "%s (%s): its network namespace cannot be found; run as root", path, name);
	}
	for (size_t i = 0; i < v->t->n_links; i++) {
		if (v->found[i].dev == st.st_dev && v->found[i].ino == st.st_ino && !strcmp(v->t->links[i].name, name)) {
			close(ns);
			*ret_id = v->t->links[i].id;
			return 0;
		}
	}
	if ((err = add_link(v, &st, ns, name)))
		return err;
	v->t->links[v->t->n_links - 1].macvtap = !strncmp(path, "/dev/tap", 8);
	*ret_id = v->t->links[v->t->n_links - 1].id;
	return 0;
}

static int read_queue(struct survey *v, const struct stasis_descriptor *d)
{
	struct tap_rec_queue *q = &v->t->queues[v->t->n_queues];
	int fd = stasis_descriptor_copy(v->s, d->fd), value, err = 0;
	struct ifreq ifr = { 0 };
	struct sock_fprog prog = { 0 };

	if (fd < 0)
		return stasis_fail(v->s, fd, "fd %d (%s): cannot be looked at: %s", d->fd, d->link, strerror(-fd));
	*q = (struct tap_rec_queue){ .fd = d->fd };
	if (ioctl(fd, TUNGETIFF, &ifr) < 0) {
		if (errno != EBADFD) /* what it says when no interface is attached */
			err = stasis_fail(v->s, -errno, "fd %d (%s): TUNGETIFF: %s", d->fd, d->link, strerror(errno));
	} else {
		q->flags = (uint16_t)ifr.ifr_flags;
		/* What was ever attached: the kernel does not tell whether it is still (IFF_NOFILTER is the same bit as
		 * IFF_NO_PI). */
		q->has_filter = ioctl(fd, TUNGETFILTER, &prog) >= 0 && prog.len;
		q->header_size = ioctl(fd, TUNGETVNETHDRSZ, &value) < 0 ? 0 : value;
		q->sndbuf = ioctl(fd, TUNGETSNDBUF, &value) < 0 ? 0 : value;
		q->little_endian = ioctl(fd, TUNGETVNETLE, &value) >= 0 && value;
		q->big_endian = ioctl(fd, TUNGETVNETBE, &value) >= 0 && value;
		err = link_of(v, fd, d->link, ifr.ifr_name, &q->link);
	}
	close(fd);
	v->t->n_queues += !err;
	return err;
}

static int copy_bytes(const void *data, size_t size, struct img_bytes *ret)
{
	void *copy = size ? malloc(size) : NULL;

	if (!size)
		return 0;
	if (!copy)
		return -ENOMEM;
	memcpy(copy, data, size);
	*ret = (struct img_bytes){ copy, size };
	return 0;
}

/* The bridge that it is a port of, and what that has learned behind it. A macvtap has its guest's own address. */
static int read_neighbours(struct tap_net *net, const struct tap_link *l, struct tap_rec_link *ret)
{
	uint8_t macs[TAP_MACS_MAX][6];
	struct tap_link master;

	if (ret->macvtap)
		return copy_bytes(l->address, l->address_size == 6 ? 6 : 0, &ret->macs);
	if (!l->master || tap_link_by_index(net, l->master, &master) || strcmp(master.kind, "bridge"))
		return 0;
	int n = tap_link_learned(net, l->index, macs, TAP_MACS_MAX);
	int err = n < 0 ? n : copy_bytes(macs, (size_t)n * 6, &ret->macs);
	return err ? err : (ret->bridge = strdup(master.name)) ? 0 : -ENOMEM;
}

static int read_addresses(struct tap_net *net, const struct tap_link *l, struct tap_rec_link *ret)
{
	struct tap_address all[TAP_ADDRESSES_MAX] = { 0 };
	int n = l->persist || ret->macvtap ? 0 : tap_address_list(net, l->index, all, TAP_ADDRESSES_MAX);

	return n < 0 ? n : copy_bytes(all, (size_t)n * sizeof(all[0]), &ret->addresses);
}

static int read_link(struct survey *v, struct found *f, struct tap_rec_link *ret)
{
	struct tap_link l;
	struct tap_net net;
	unsigned attached = 0;
	int err = tap_net_open(f->ns, &net);

	if (err == -EPERM)
		return 0; /* `known` stays false; check says what that means */
	if (!err && (err = tap_link_get(&net, ret->name, &l)))
		tap_net_close(&net);
	if (err)
		return stasis_fail(v->s, err, "%s: the interface cannot be asked: %s", ret->name, strerror(-err));
	for (size_t i = 0; i < v->t->n_queues; i++) {
		struct tap_rec_queue *q = &v->t->queues[i];
		if (q->link != ret->id)
			continue;
		attached += !(q->flags & IFF_DETACH_QUEUE);
		if (!ret->macvtap) /* the bit that TUNGETIFF gives may as well be IFF_NOFILTER */
			q->flags = (q->flags & ~(uint32_t)IFF_NO_PI) | (l.pi ? 0 : IFF_NO_PI);
	}
	ret->known = true;
	ret->ifindex = l.index;
	ret->mtu = l.mtu;
	ret->link_type = l.type;
	ret->up = l.up;
	ret->carrier_off = !ret->macvtap && attached && !l.carrier;
	ret->persist = l.persist;
	ret->owner = l.owner;
	ret->group = l.group;
	if (!(err = copy_bytes(l.address, l.address_size, &ret->address)) && !(err = read_neighbours(&net, &l, ret)) &&
	    !(err = read_addresses(&net, &l, ret)) && !ret->macvtap)
		tap_link_offload(&net, ret->name, &ret->offload); /* else none, which is safe */
	tap_net_close(&net);
	return err ? stasis_fail(v->s, err, "%s: its bridge or its addresses cannot be asked for: %s", ret->name,
	                         strerror(-err))
	           : 0;
}

int tap_survey(struct stasis_session *s, struct tap_state *t)
{
	const struct stasis_descriptor *d;
	size_t n = stasis_descriptors(s, &d);
	struct survey v = { .s = s, .t = t };
	int err = 0;

	stasis_records_free(&tap_link_schema, t->links, t->n_links);
	free(t->queues);
	t->links = NULL;
	t->n_links = t->n_queues = 0;
	if (!(t->queues = calloc(n + 1, sizeof(*t->queues))))
		return -ENOMEM;
	for (size_t i = 0; i < n && !err; i++)
		if (d[i].fd == d[i].base)
			err = read_queue(&v, &d[i]);
	for (size_t i = 0; i < t->n_links && !err; i++)
		err = read_link(&v, &v.found[i], &t->links[i]);
	for (size_t i = 0; i < t->n_links; i++)
		if (v.found[i].ns >= 0)
			close(v.found[i].ns);
	free(v.found);
	return err;
}
