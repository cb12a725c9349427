// SPDX-License-Identifier: LGPL-2.1-or-later
/* Stage 1: attaches queues to interfaces, in the process that is to have them, and makes interfaces that are to be made.
 *
 * Order. A descriptor belongs to the network namespace that it was opened in, so that is all that happens there. An interface
 * is made by its first queue and configured before anything can pass through it. A new one is never persistent: whatever fails
 * after this, it goes with its descriptors, and what was there before is not touched until `late`. Queues that were detached
 * are detached once all are set up. Test: tap-faults. */
#include <errno.h>
#include <fcntl.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tap.h"

struct maker {
	struct stasis_session *s;
	const struct tap_rec_link *link;
	const struct tap_place *place;
	const struct tap_rec_queue **queues;
	int *fds;
	size_t n;
	int ns;
	char name[IFNAMSIZ]; /* of what they are attached to */
};

static int open_node(struct maker *m)
{
	char path[32] = "/dev/net/tun";
	int home, fd, err = tap_netns_enter(m->ns, &home);

	if (err)
		return stasis_fail(m->s, err, "%s: network namespace %s cannot be entered: %s", m->link->name, m->place->netns,
		                   strerror(-err));
	if (m->place->macvtap)
		snprintf(path, sizeof(path), "/dev/tap%u", m->place->index);
	fd = open(path, O_RDWR | O_CLOEXEC);
	err = fd < 0 ? -errno : 0;
	int back = tap_netns_leave(home);
	if (back && fd >= 0)
		close(fd);
	if (err || back)
		return stasis_fail(m->s, err ? err : back, "%s: %s cannot be opened: %s", m->link->name, path,
		                   strerror(err ? -err : -back));
	return fd;
}

static short flags_for(const struct maker *m, const struct tap_rec_queue *q, bool first)
{
	uint32_t flags = q->flags & (m->place->macvtap ? TAP_IFF_MACVTAP : TAP_IFF_SETTABLE);

	if (m->place->macvtap)
		return (short)flags;
	if (m->place->multi_queue)
		flags |= IFF_MULTI_QUEUE;
	return (short)(flags | (first && m->place->how == TAP_MAKE ? IFF_TUN_EXCL : 0));
}

static int attach_one(struct maker *m, int fd, const struct tap_rec_queue *q, bool first, struct ifreq *ifr)
{
	*ifr = (struct ifreq){ .ifr_flags = flags_for(m, q, first) };
	snprintf(ifr->ifr_name, sizeof(ifr->ifr_name), "%s", *m->name ? m->name : q->flags & IFF_TUN ? "tun%d" : "tap%d");
	/* A program may know its interface by the index; it gets that again if it is free. */
	if (first && m->place->how == TAP_MAKE && !m->place->mapped && ioctl(fd, TUNSETIFINDEX, &m->link->ifindex) < 0)
		stasis_debug(m->s, "%s: its index %u is not set: %s", m->name, m->link->ifindex, strerror(errno));
	return ioctl(fd, TUNSETIFF, ifr) < 0 ? -errno : 0;
}

/* A filter that somebody else has left on a tap that stays: the kernel would read it from our memory at the next TUNSETIFF
 * without IFF_NOFILTER, which is the same bit as IFF_NO_PI (drivers/net/tun.c, tun_attach). */
static int drop_filter(struct maker *m)
{
	struct ifreq ifr = { .ifr_flags = (short)((uint16_t)flags_for(m, m->queues[0], true) | IFF_NOFILTER) };
	int fd = open_node(m), err = 0;

	if (fd < 0)
		return fd;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", m->name);
	if (ioctl(fd, TUNSETIFF, &ifr) < 0 || ioctl(fd, TUNDETACHFILTER) < 0)
		err = -errno;
	close(fd);
	return err;
}

static int refuse(struct maker *m, int err)
{
	char words[1200];

	return stasis_fail(m->s, err, "%s: cannot be attached to %s: %s%s", m->link->name,
	                   tap_place_words(m->place, words, sizeof(words)), strerror(-err),
	                   err == -EBUSY && m->place->how == TAP_EXISTING ? "; another process has it"
	                   : err == -EBUSY                                ? "; an interface of that name is there"
	                   : err == -EPERM  ? "; run as root, or let this user have it (ip tuntap add ... user)"
	                   : err == -EINVAL ? "; it is of another kind (multi_queue, tun or tap)"
	                                    : "");
}

static int attach(struct maker *m, size_t i)
{
	struct ifreq ifr;
	int fd = open_node(m);

	if (fd < 0)
		return fd;
	m->fds[i] = fd;
	int err = attach_one(m, fd, m->queues[i], i == 0, &ifr);
	if (err == -EBUSY && i == 0 && m->place->how == TAP_MAKE && !m->place->mapped) { /* perhaps only the index is taken */
		close(fd);
		if ((fd = m->fds[i] = open_node(m)) < 0)
			return fd;
		struct maker other = *m;
		struct tap_place place = *m->place;
		place.mapped = true;
		other.place = &place;
		err = attach_one(&other, fd, m->queues[i], true, &ifr);
	}
	if ((err == -EFAULT || err == -EINVAL) && i == 0 && m->place->how == TAP_EXISTING && !m->place->macvtap &&
	    !drop_filter(m))
		err = attach_one(m, fd, m->queues[i], true, &ifr);
	if (err)
		return refuse(m, err);
	if (ioctl(fd, TUNGETIFF, &ifr) < 0)
		return refuse(m, -errno);
	memcpy(m->name, ifr.ifr_name, IFNAMSIZ);
	/* It was there a moment ago, and held by nobody: only a persistent one is. */
	if (m->place->how == TAP_EXISTING && !m->place->macvtap && !(ifr.ifr_flags & IFF_PERSIST))
		return stasis_fail(m->s, -ENODEV, "%s went away meanwhile; make it anew", m->name);
	return 0;
}

/* ---- settings ---- */

static int set(struct maker *m, size_t i, unsigned long request, const void *arg, const char *what)
{
	if (ioctl(m->fds[i], request, arg) >= 0)
		return 0;
	return stasis_fail(m->s, -errno, "%s (fd %d): %s cannot be set: %s; use a kernel like the one it came from", m->name,
	                   m->queues[i]->fd, what, strerror(errno));
}

/* Less than there was does no harm: the kernel then does the work before the guest gets the packet. Newer offloads are left out
 * for older kernels. */
static int set_offload(struct maker *m, size_t i)
{
	const uint32_t want = m->link->offload,
	               all[] = { want, want & ~(TAP_F_USO4 | TAP_F_USO6), want & ~(TAP_F_USO4 | TAP_F_USO6 | TUN_F_UFO) };

	for (size_t k = 0; k < sizeof(all) / sizeof(all[0]); k++)
		if (ioctl(m->fds[i], TUNSETOFFLOAD, (unsigned long)all[k]) >= 0)
			return 0;
	return stasis_fail(m->s, -errno, "%s (fd %d): offloads %#x cannot be set: %s; use a kernel like the one it came from",
	                   m->name, m->queues[i]->fd, want, strerror(errno));
}

static int set_queue(struct maker *m, size_t i)
{
	const struct tap_rec_queue *q = m->queues[i];
	int one = 1, zero = 0, err = 0;

	if (q->header_size && (q->flags & IFF_VNET_HDR || !m->place->macvtap))
		err = set(m, i, TUNSETVNETHDRSZ, &q->header_size, "the size of its vnet header");
	if (!err && q->sndbuf > 0)
		err = set(m, i, TUNSETSNDBUF, &q->sndbuf, "its send buffer");
	if (!err)
		err = set(m, i, TUNSETVNETLE, q->little_endian ? &one : &zero, "the byte order of its vnet header");
	if (!err && q->big_endian)
		err = set(m, i, TUNSETVNETBE, &one, "the byte order of its vnet header");
	return err ? err : set_offload(m, i);
}

/* What holds for the interface and is set through a queue. */
static int set_link(struct maker *m)
{
	static const struct tun_filter none = { 0 };
	int zero = 0, err = 0;

	if (m->place->macvtap)
		return 0;
	if (m->queues[0]->flags & IFF_TAP)
		err = set(m, 0, TUNSETTXFILTER, m->link->txfilter.size ? m->link->txfilter.data : &none, "its address filter");
	if (!err && m->queues[0]->flags & IFF_TAP) /* what an earlier holder may have left; ours is attached in `late` */
		err = set(m, 0, TUNDETACHFILTER, NULL, "its packet filter");
	if (!err && m->link->carrier_off)
		err = set(m, 0, TUNSETCARRIER, &zero, "its carrier");
	return err;
}

static int give_owner(struct maker *m)
{
	int err = 0;

	if (m->link->owner >= 0 && ioctl(m->fds[0], TUNSETOWNER, (unsigned long)m->link->owner) < 0)
		err = -errno;
	if (!err && m->link->group >= 0 && ioctl(m->fds[0], TUNSETGROUP, (unsigned long)m->link->group) < 0)
		err = -errno;
	if (!err && m->link->link_type && m->link->link_type != (m->queues[0]->flags & IFF_TUN ? ARPHRD_NONE : ARPHRD_ETHER) &&
	    ioctl(m->fds[0], TUNSETLINK, (unsigned long)m->link->link_type) < 0)
		err = -errno;
	return err;
}

/* A new interface gets what the old one had. */
static int configure(struct maker *m)
{
	struct tap_link_set set = { .mtu = m->link->mtu, .up = m->link->up || m->place->mapped };
	struct tap_link self, bridge;
	struct tap_net net;
	int err = tap_net_open(m->ns, &net);

	if (err)
		return stasis_fail(m->s, err, "%s: rtnetlink cannot be had: %s", m->name, strerror(-err));
	if (!m->place->mapped && !(m->queues[0]->flags & IFF_TUN)) {
		set.address = m->link->address.data;
		set.address_size = m->link->address.size;
	}
	err = give_owner(m);
	if (!err)
		err = tap_link_get(&net, m->name, &self);
	if (!err && *m->place->bridge && !(err = tap_link_get(&net, m->place->bridge, &bridge)))
		set.master = bridge.index;
	if (!err)
		err = tap_link_change(&net, self.index, &set);
	const struct tap_address *addresses = m->link->addresses.data;
	for (size_t i = 0; !m->place->mapped && i < m->link->addresses.size / sizeof(*addresses) && !err; i++)
		err = tap_address_add(&net, self.index, &addresses[i]);
	tap_net_close(&net);
	if (err)
		return stasis_fail(m->s, err, "%s: the new interface cannot be configured (MTU %u%s%s): %s", m->name,
		                   m->link->mtu, *m->place->bridge ? ", bridge " : "", m->place->bridge, strerror(-err));
	return stasis_fault(m->s, "configured");
}

static int detach_some(struct maker *m)
{
	struct ifreq ifr = { .ifr_flags = IFF_DETACH_QUEUE };
	int err = 0;

	for (size_t i = 0; i < m->n && !err; i++)
		if (m->queues[i]->flags & IFF_DETACH_QUEUE)
			err = set(m, i, TUNSETQUEUE, &ifr, "that it is detached");
	return err;
}

static int make_queues(struct maker *m)
{
	int err = 0;

	snprintf(m->name, sizeof(m->name), "%s", m->place->name);
	for (size_t i = 0; i < m->n && !err; i++) {
		err = attach(m, i);
		if (!err && i == 0 && m->place->how == TAP_MAKE)
			err = configure(m);
	}
	return err;
}

static int make_unplugged(struct maker *m)
{
	uint32_t *flags = calloc(m->n + 1, sizeof(*flags));
	int err = flags ? 0 : -ENOMEM;

	for (size_t i = 0; i < m->n && !err; i++)
		flags[i] = m->queues[i]->flags;
	if (!err && (err = tap_unplugged_make(m->link->name, flags, m->n, m->fds))) {
		for (size_t i = 0; i < m->n; i++)
			m->fds[i] = -1;
		stasis_fail(m->s, err,
		            "%s: an interface of its own, without a cable, cannot be made: %s; allow user namespaces, or run "
		            "as root",
		            m->link->name, strerror(-err));
	}
	snprintf(m->name, sizeof(m->name), "%s", m->link->name);
	free(flags);
	return err;
}

static int make_link(struct maker *m)
{
	int err = 0;

	if (m->place->how == TAP_NONE)
		err = make_unplugged(m);
	else if ((err = tap_place_netns(m->place, &m->ns)))
		return stasis_fail(m->s, err, "%s: network namespace %s: %s", m->link->name, m->place->netns, strerror(-err));
	else
		err = make_queues(m);
	for (size_t i = 0; i < m->n && !err; i++)
		err = set_queue(m, i);
	if (!err && !(err = set_link(m)) && !(err = detach_some(m)))
		err = stasis_fault(m->s, "attached");
	for (size_t i = 0; i < m->n && !err; i++) {
		err = stasis_give(m->s, m->queues[i]->fd, m->fds[i]);
		m->fds[i] = -1;
	}
	if (m->ns >= 0)
		close(m->ns);
	return err;
}

static int make_one(struct stasis_session *s, const struct tap_state *t, size_t index)
{
	struct maker m = { .s = s, .link = &t->links[index], .place = &t->places[index], .ns = -1 };
	int err = -ENOMEM;

	m.queues = calloc(t->n_queues, sizeof(*m.queues));
	m.fds = calloc(t->n_queues, sizeof(*m.fds));
	for (size_t i = 0; m.queues && m.fds && i < t->n_queues; i++) {
		if (t->queues[i].link != m.link->id)
			continue;
		m.fds[m.n] = -1;
		m.queues[m.n++] = &t->queues[i];
	}
	if (m.queues && m.fds)
		err = make_link(&m);
	for (size_t i = 0; i < m.n; i++)
		if (m.fds[i] >= 0)
			close(m.fds[i]);
	free(m.queues);
	free(m.fds);
	return err;
}

int tap_restore(struct stasis_session *s, void *state)
{
	const struct tap_state *t = state;
	int err = 0;

	for (size_t i = 0; i < t->n_links && !err; i++)
		err = make_one(s, t, i);
	for (size_t i = 0; i < t->n_queues && !err; i++) {
		if (t->queues[i].link)
			continue;
		int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
		err = fd < 0 ? stasis_fail(s, -errno, "fd %d: /dev/net/tun: %s", t->queues[i].fd, strerror(errno))
		             : stasis_give(s, t->queues[i].fd, fd);
	}
	return err;
}
