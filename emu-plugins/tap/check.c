// SPDX-License-Identifier: LGPL-2.1-or-later
/* What will happen to tun/tap devices in a checkpoint, what stands in the way, and the records of it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tap.h"

static const struct tap_rec_link *link_by_id(const struct tap_state *t, uint32_t id)
{
	return id && id <= t->n_links ? &t->links[id - 1] : NULL;
}

static int first_queue(const struct tap_state *t, uint32_t id)
{
	for (size_t i = 0; i < t->n_queues; i++)
		if (t->queues[i].link == id)
			return t->queues[i].fd;
	return -1;
}

static bool has_filter(const struct tap_state *t, uint32_t id)
{
	for (size_t i = 0; i < t->n_queues; i++)
		if (t->queues[i].link == id && t->queues[i].has_filter)
			return true;
	return false;
}

#define RUN_REMEDY "start the emulator with `stasis run`"

static int check_link(struct stasis_session *s, struct tap_state *t, struct tap_rec_link *link)
{
	int fd = first_queue(t, link->id);
	bool has_offload;
	const char *refused;
	int err = tap_journal_read(s, t, link, &has_offload, &refused);

	if (err)
		return err;
	if (!link->known)
		stasis_obstacle(s, fd, NULL, "run as root", "%s is in a network namespace that this user may not enter",
		                link->name);
	if (refused)
		stasis_obstacle(s, fd, NULL, "start the emulator without it (QEMU: -device virtio-net,rss=off,hash=off)",
		                "%s: %s, which cannot be "
		                "restored",
		                link->name, refused);
	if (!link->macvtap && has_filter(t, link->id) && !link->filter.size)
		stasis_obstacle(s, fd, NULL, RUN_REMEDY,
		                "%s has a packet filter (TUNATTACHFILTER), which can only be recorded as it is set, and the "
		                "target runs without the recorder",
		                link->name);
	return 0;
}

static void check_queue(struct stasis_session *s, const struct tap_state *t, const struct tap_rec_queue *q)
{
	const struct tap_rec_link *link = link_by_id(t, q->link);

	if (!link)
		stasis_action(s, q->fd, "opened again; no interface is attached to it");
	else
		stasis_action(s, q->fd,
		              "%s%s%s: attached again at the restart, or elsewhere with --map tap:%s=NEW; packets that wait in "
		              "it are lost there"
		              "%s",
		              link->name, link->bridge ? " on bridge " : "", link->bridge ? link->bridge : "", link->name,
		              t->journal      ? ""
		              : link->macvtap ? "; offloads unknown without the recorder (stasis run): none"
		                              : "; offloads as ethtool shows them, as the target runs without the recorder");
}

int tap_check(struct stasis_session *s, void *state)
{
	struct tap_state *t = state;
	uint64_t size;
	int err = stasis_recorded(s, &t->journal, &size);

	if (err) /* unlike KVM, nearly all can be asked for */
		t->journal = 0;
	if ((err = tap_survey(s, t)))
		return err;
	for (size_t i = 0; i < t->n_links && !err; i++)
		err = check_link(s, t, &t->links[i]);
	for (size_t i = 0; i < t->n_queues; i++)
		check_queue(s, t, &t->queues[i]);
	return err;
}

int tap_ready(struct stasis_session *s, void *state)
{
	const struct tap_state *t = state;

	if (!t->journal || !stasis_recording(s))
		return 0;
	stasis_not_ready(s, "a setting of a tap device is not made");
	return -EAGAIN;
}

/* check has looked at the stopped process just now. */
int tap_save(struct stasis_session *s, void *state)
{
	const struct tap_state *t = state;
	int err = 0;

	for (size_t i = 0; i < t->n_links && !err; i++)
		err = stasis_record(s, &tap_link_schema, &t->links[i]);
	for (size_t i = 0; i < t->n_queues && !err; i++)
		err = stasis_record(s, &tap_queue_schema, &t->queues[i]);
	return err;
}
