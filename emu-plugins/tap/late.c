// SPDX-License-Identifier: LGPL-2.1-or-later
/* Stage 2: what is changed on interfaces that were there before, what needs the old memory, and the announcement.
 *
 * This is the last moment at which a restart may still fail, so that interfaces of others keep their settings if it fails
 * before. The packet filter is attached from the target's own memory where it still lies there: TUNGETFILTER gives that
 * address, and the kernel reads it once more for every further queue. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_bridge.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "tap.h"

#define FORWARDING_WAIT_MS 300

/* An ioctl made by the target; `data` comes back. */
static int target_ioctl(struct stasis_session *s, int fd, unsigned long request, void *data, size_t size)
{
	struct stasis_calls *c;
	int err = stasis_calls_create(s, 1, &c);

	if (err)
		return err;
	uint64_t at = stasis_calls_put(c, data, size);
	stasis_calls_add(c, 0, SYS_ioctl, (uint64_t)fd, request, at, 0);
	err = stasis_calls_run(c, NULL);
	if (!err)
		memcpy(data, stasis_calls_at(c, at), size);
	stasis_calls_destroy(c);
	return err;
}

static bool filter_is_there(struct stasis_session *s, const struct tap_rec_link *link)
{
	uint8_t now[512];

	for (size_t at = 0; at < link->filter.size; at += sizeof(now)) {
		size_t n = link->filter.size - at < sizeof(now) ? link->filter.size - at : sizeof(now);
		if (stasis_read(s, link->filter_addr + at, now, n) || memcmp(now, (const uint8_t *)link->filter.data + at, n))
			return false;
	}
	return true;
}

static int attach_filter(struct stasis_session *s, const struct tap_rec_link *link, int fd)
{
	struct sock_fprog prog = { .len = (unsigned short)(link->filter.size / sizeof(struct sock_filter)) };
	struct stasis_calls *c;
	int err = stasis_calls_create(s, 1, &c);

	if (err)
		return err;
	prog.filter =
	        (struct sock_filter *)(filter_is_there(s, link) ? link->filter_addr
	                                                        : stasis_calls_put(c, link->filter.data, link->filter.size));
	uint64_t at = stasis_calls_put(c, &prog, sizeof(prog));
	stasis_calls_add(c, 0, SYS_ioctl, (uint64_t)fd, TUNATTACHFILTER, at, 0);
	err = stasis_calls_run(c, NULL);
	stasis_calls_destroy(c);
	return err ? stasis_fail(s, err, "%s (fd %d): its packet filter cannot be attached: %s", link->name, fd, strerror(-err))
	           : 0;
}

/* ---- interfaces that were there ---- */

static int adapt(struct stasis_session *s, struct tap_net *net, const struct tap_link *l, const struct tap_rec_link *link,
                 const struct tap_place *p, struct tap_changed *before)
{
	struct tap_link_set set = { .mtu = p->set_mtu, .up = p->set_up };

	if (p->set_address) {
		set.address = link->macs.data;
		set.address_size = 6;
	}
	if (p->how != TAP_EXISTING || !(set.mtu || set.up || set.address_size))
		return 0;
	*before = (struct tap_changed){ .mtu = l->mtu,
		                        .was_down = !l->up,
		                        .address_size = set.address_size ? l->address_size : 0 };
	memcpy(before->address, l->address, l->address_size);
	before->changed = true;
	int err = tap_link_change(net, l->index, &set);
	return err ? stasis_fail(s, err, "%s cannot be set up (MTU %u): %s", l->name, link->mtu, strerror(-err)) : 0;
}

/* A port of a bridge takes a moment after the carrier is there; longer than we wait with the spanning tree protocol. */
static void wait_forwarding(struct stasis_session *s, struct tap_net *net, struct tap_link *l)
{
	char name[IFNAMSIZ];

	memcpy(name, l->name, sizeof(name));
	for (int i = 0; i < FORWARDING_WAIT_MS / 5 && l->master && l->port_state >= 0 && l->port_state != BR_STATE_FORWARDING;
	     i++) {
		nanosleep(&(struct timespec){ .tv_nsec = 5000000 }, NULL);
		if (tap_link_get(net, name, l))
			return;
	}
	if (l->port_state >= 0 && l->port_state != BR_STATE_FORWARDING)
		stasis_warn(
		        s,
		        "%s: its bridge does not forward yet, so the switch learns of the guest's new place by its next packet",
		        name);
}

static int link_late(struct stasis_session *s, const struct tap_rec_link *link, const struct tap_place *place,
                     const struct tap_rec_queue *q, struct tap_changed *before)
{
	struct ifreq ifr = { 0 };
	struct tap_link l;
	struct tap_net net;
	int ns = -1, err = link->filter.size && !place->macvtap ? attach_filter(s, link, q->fd) : 0;

	if (err || place->how == TAP_NONE || (err = stasis_fault(s, "late")))
		return err;
	if (!(err = target_ioctl(s, q->fd, TUNGETIFF, &ifr, sizeof(ifr))) && !(err = tap_place_netns(place, &ns)))
		err = tap_net_open(ns, &net);
	if (ns >= 0)
		close(ns);
	if (err)
		return stasis_fail(s, err, "%s (fd %d): the interface cannot be asked: %s", link->name, q->fd, strerror(-err));
	ifr.ifr_name[IFNAMSIZ - 1] = '\0';
	if ((err = tap_link_get(&net, ifr.ifr_name, &l)))
		stasis_fail(s, err, "%s: the interface %s cannot be asked: %s", link->name, ifr.ifr_name, strerror(-err));
	else if (!(err = adapt(s, &net, &l, link, place, before)) && link->macs.size && !link->carrier_off) {
		wait_forwarding(s, &net, &l);
		err = tap_announce(s, link, q);
	}
	tap_net_close(&net);
	return err;
}

int tap_late(struct stasis_session *s, void *state)
{
	const struct tap_state *t = state;
	int err = 0;

	for (size_t i = 0; i < t->n_links && !err; i++) {
		const struct tap_rec_queue *q = NULL;
		for (size_t k = 0; k < t->n_queues; k++)
			if (t->queues[k].link == t->links[i].id && (!q || q->flags & IFF_DETACH_QUEUE))
				q = &t->queues[k];
		err = link_late(s, &t->links[i], &t->places[i], q, &t->changed[i]);
	}
	return err;
}

int tap_abandon(struct stasis_session *s, void *state)
{
	const struct tap_state *t = state;

	for (size_t i = 0; i < t->n_links; i++) {
		const struct tap_changed *was = &t->changed[i];
		struct tap_link_set set = {
			.mtu = was->mtu, .down = was->was_down, .address = was->address, .address_size = was->address_size
		};
		struct tap_net net;
		int ns, err;
		if (!was->changed || (err = tap_place_netns(&t->places[i], &ns)))
			continue;
		if (!(err = tap_net_open(ns, &net))) {
			err = tap_link_change(&net, t->places[i].index, &set);
			tap_net_close(&net);
		}
		if (ns >= 0)
			close(ns);
		if (err)
			stasis_warn(s, "%s: its MTU cannot be set back to %u: %s", t->places[i].name, was->mtu, strerror(-err));
	}
	return 0;
}
