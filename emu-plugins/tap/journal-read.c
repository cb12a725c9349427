// SPDX-License-Identifier: LGPL-2.1-or-later
/* Reads the recorder's journal out of the target. It is the target's memory: nothing in it is trusted. */
#include <errno.h>
#include <linux/filter.h>
#include <stdlib.h>
#include <string.h>

#include "tap.h"

static int read_bytes(struct stasis_session *s, const struct tap_entry *e, struct img_bytes *ret)
{
	void *data = malloc(e->size + 1u);
	int err = data ? stasis_read(s, e->data, data, e->size) : -ENOMEM;

	if (err) {
		free(data);
		return err;
	}
	free(ret->data);
	*ret = (struct img_bytes){ data, e->size };
	return 0;
}

static void take_sndbuf(struct tap_state *t, uint32_t link, int32_t sndbuf)
{
	for (size_t i = 0; i < t->n_queues; i++)
		if (t->queues[i].link == link && !t->queues[i].sndbuf)
			t->queues[i].sndbuf = sndbuf;
}

static int take(struct stasis_session *s, struct tap_state *t, const struct tap_entry *e, struct tap_rec_link *link,
                bool *ret_has_offload, const char **ret_refused)
{
	switch (e->request) {
	case TUNSETOFFLOAD:
		link->offload = (uint32_t)e->value;
		*ret_has_offload = true;
		return 0;
	case TUNSETSNDBUF: /* where it could not be asked for */
		take_sndbuf(t, link->id, (int32_t)e->value);
		return 0;
	case TUNSETTXFILTER:
		return e->size >= sizeof(struct tun_filter) && e->size <= sizeof(struct tun_filter) + 65535 * 6
		               ? read_bytes(s, e, &link->txfilter)
		               : -EBADMSG;
	case TUNATTACHFILTER:
		link->filter_addr = e->addr;
		return e->size && e->size <= BPF_MAXINSNS * sizeof(struct sock_filter) ? read_bytes(s, e, &link->filter)
		                                                                       : -EBADMSG;
	case TUNSETSTEERINGEBPF:
		*ret_refused = "an eBPF program chooses its queues (TUNSETSTEERINGEBPF)";
		return 0;
	case TUNSETFILTEREBPF:
		*ret_refused = "an eBPF program filters its packets (TUNSETFILTEREBPF)";
		return 0;
	}
	return -EBADMSG;
}

int tap_journal_read(struct stasis_session *s, struct tap_state *t, struct tap_rec_link *link, bool *ret_has_offload,
                     const char **ret_refused)
{
	struct tap_journal head;
	struct tap_entry e;
	int err = 0;

	*ret_has_offload = false;
	*ret_refused = NULL;
	if (!t->journal)
		return 0;
	if (stasis_read(s, t->journal, &head, sizeof(head)) || head.version != TAP_JOURNAL_VERSION ||
	    head.n_entries > TAP_ENTRIES)
		return stasis_fail(
		        s, -EBADMSG,
		        "the recorder's journal of tap devices makes no sense; start the target anew with `stasis run`");
	for (uint32_t i = 0; i < head.n_entries && !err; i++) {
		err = stasis_read(s, head.entries + i * sizeof(e), &e, sizeof(e));
		if (!err && e.live && !strncmp(e.name, link->name, IFNAMSIZ))
			err = take(s, t, &e, link, ret_has_offload, ret_refused);
	}
	return err ? stasis_fail(s, err,
	                         "the recorder's journal of tap devices cannot be read: %s; start the target anew with `stasis "
	                         "run`",
	                         strerror(-err))
	           : 0;
}
