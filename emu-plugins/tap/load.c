// SPDX-License-Identifier: LGPL-2.1-or-later
/* Loads the records of tun/tap devices of an image and refuses what makes no sense, so that nobody after this has to doubt
 * them. */
#include <linux/filter.h>
#include <string.h>

#include "tap.h"

static bool is_name(const char *name)
{
	return name && *name && strlen(name) < IFNAMSIZ && !strchr(name, '/') && !strchr(name, '%');
}

static bool link_makes_sense(const struct tap_rec_link *l, size_t index)
{
	struct tun_filter head;

	if (l->id != index + 1 || !is_name(l->name) || (l->bridge && !is_name(l->bridge)) || l->where > TAP_PRIVATE ||
	    l->address.size > 32 || l->macs.size % 6 || l->macs.size > TAP_MACS_MAX * 6 ||
	    l->filter.size % sizeof(struct sock_filter) || l->filter.size > BPF_MAXINSNS * sizeof(struct sock_filter) ||
	    (l->netns && (strchr(l->netns, '/') || strlen(l->netns) > 255)))
		return false;
	if (l->addresses.size % sizeof(struct tap_address) ||
	    l->addresses.size > TAP_ADDRESSES_MAX * sizeof(struct tap_address))
		return false;
	if (!l->txfilter.size)
		return true;
	if (l->txfilter.size < sizeof(head))
		return false;
	memcpy(&head, l->txfilter.data, sizeof(head));
	return l->txfilter.size == sizeof(head) + head.count * 6ul;
}

static const struct tap_rec_queue *queue_of(const struct tap_state *t, int fd)
{
	for (size_t i = 0; i < t->n_queues; i++)
		if (t->queues[i].fd == fd)
			return &t->queues[i];
	return NULL;
}

static bool link_has_queue(const struct tap_state *t, uint32_t id)
{
	for (size_t i = 0; i < t->n_queues; i++)
		if (t->queues[i].link == id)
			return true;
	return false;
}

int tap_load(struct stasis_session *s, struct tap_state *t)
{
	const struct stasis_descriptor *d;
	size_t n = stasis_descriptors(s, &d);
	int err;

	if ((err = stasis_records(s, &tap_link_schema, &t->links, &t->n_links)) ||
	    (err = stasis_records(s, &tap_queue_schema, &t->queues, &t->n_queues)))
		return err;
	for (size_t i = 0; i < t->n_links; i++)
		if (t->n_links > TAP_LINKS_MAX || !link_makes_sense(&t->links[i], i) || !link_has_queue(t, t->links[i].id))
			return stasis_damaged(s, "an interface makes no sense");
	for (size_t i = 0; i < t->n_queues; i++)
		if (t->queues[i].link > t->n_links || queue_of(t, t->queues[i].fd) != &t->queues[i])
			return stasis_damaged(s, "a queue makes no sense");
	for (size_t i = 0; i < n; i++)
		if (d[i].fd == d[i].base && !queue_of(t, d[i].fd))
			return stasis_damaged(s, "a descriptor's is missing");
	return 0;
}
