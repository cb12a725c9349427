// SPDX-License-Identifier: LGPL-2.1-or-later
/* What an image's tun/tap devices need of this host: where each goes, and everything that is missing there. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tap.h"

static bool may_administer(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { 0 } };

	return !syscall(SYS_capget, &head, data) && data[0].effective & 1u << CAP_NET_ADMIN;
}

#define MAP_REMEDY "--map tap:OLD=NEW, NEW being none or [netns:NETNS/] and then TAP or new:BRIDGE or new:BRIDGE:TAP"

static void plan_place(struct tap_planned *p)
{
	struct tap_net net;
	int ns, err = tap_place_netns(p->place, &ns);

	if (err == -ENOENT) {
		stasis_obstacle(p->s, p->fd, NULL,
		                "make it (ip netns add), or say with --map tap:OLD=netns:NAME/TAP where the tap is",
		                "%s: there is no network namespace %s", p->link->name, p->place->netns);
		return;
	}
	if (!err && (err = tap_net_open(ns, &net)) && ns >= 0)
		close(ns);
	if (err) {
		stasis_obstacle(p->s, p->fd, NULL,
		                err == -EPERM || err == -EACCES ? "run as root"
		                                                : "name another one with --map tap:OLD=netns:NAME/TAP",
		                "%s: network namespace %s cannot be entered: %s", p->link->name,
		                *p->place->netns ? p->place->netns : "of this shell", strerror(-err));
		return;
	}
	p->net = &net;
	if (p->place->how == TAP_EXISTING)
		tap_plan_existing(p);
	if (p->place->how == TAP_MAKE) /* also when that has found nothing */
		tap_plan_make(p);
	tap_net_close(&net);
	if (ns >= 0)
		close(ns);
}

static void plan_node(struct stasis_session *s, int fd)
{
	int node = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	if (node < 0)
		stasis_obstacle(s, fd, "/dev/net/tun",
		                errno == EACCES || errno == EPERM ? "run as root, or allow it (chmod a+rw /dev/net/tun)"
		                                                  : "load the kernel's module (modprobe tun)",
		                "/dev/net/tun cannot be opened: %s", strerror(errno));
	else
		close(node);
}

/* Two of the old ones cannot go to the same new one. */
static bool is_taken_twice(const struct tap_state *t, size_t index)
{
	const struct tap_place *p = &t->places[index];

	for (size_t i = 0; i < index; i++)
		if (p->how != TAP_NONE && t->places[i].how == p->how && *p->name && !strcmp(t->places[i].name, p->name) &&
		    !strcmp(t->places[i].netns, p->netns))
			return true;
	return false;
}

static void plan_link(struct stasis_session *s, struct tap_state *t, size_t index)
{
	struct tap_planned p = {
		.s = s, .link = &t->links[index], .place = &t->places[index], .fd = -1, .may_administer = may_administer()
	};

	for (size_t i = 0; i < t->n_queues; i++) {
		if (t->queues[i].link != p.link->id)
			continue;
		p.fd = p.fd < 0 ? t->queues[i].fd : p.fd;
		p.queues++;
		p.flags |= t->queues[i].flags;
	}
	if (tap_place_find(s, p.link, p.place))
		stasis_obstacle(s, p.fd, NULL, MAP_REMEDY, "%s: --map does not say where it shall go", p.link->name);
	else if (is_taken_twice(t, index))
		stasis_obstacle(s, p.fd, NULL, "give each its own with --map tap:OLD=NEW",
		                "%s and another one shall both be %s", p.link->name, p.place->name);
	else if (p.place->how != TAP_NONE)
		plan_place(&p);
}

static void plan_queue(struct stasis_session *s, const struct tap_state *t, const struct tap_rec_queue *q)
{
	char words[1200];

	if (!q->link)
		stasis_action(s, q->fd, "opened again; no interface is attached to it");
	else if (t->places[q->link - 1].how == TAP_NONE)
		stasis_action(s, q->fd, "%s: none, as if its cable were unplugged", t->links[q->link - 1].name);
	else
		stasis_action(s, q->fd, "%s: attached to %s", t->links[q->link - 1].name,
		              tap_place_words(&t->places[q->link - 1], words, sizeof(words)));
}

int tap_plan(struct stasis_session *s, void *state)
{
	struct tap_state *t = state;
	bool tun = false;
	int err = tap_load(s, t);

	if (err)
		return err;
	void *changed =
	        mmap(NULL, (t->n_links + 1) * sizeof(*t->changed), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	t->changed = changed == MAP_FAILED ? NULL : changed;
	t->places = calloc(t->n_links + 1, sizeof(*t->places));
	if (!t->changed || !t->places)
		return -ENOMEM;
	for (size_t i = 0; i < t->n_links; i++) {
		plan_link(s, t, i);
		tun = tun || !t->places[i].macvtap;
	}
	for (size_t i = 0; i < t->n_queues; i++) {
		tun = tun || !t->queues[i].link;
		plan_queue(s, t, &t->queues[i]);
	}
	if (tun)
		plan_node(s, t->queues[0].fd);
	return 0;
}
