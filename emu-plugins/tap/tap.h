/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Inside of the tap plugin: what its files share. */
#ifndef STASIS_TAP_TAP_H
#define STASIS_TAP_TAP_H

#include <stdint.h>

#include "journal.h"
#include "net.h"
#include "records.h"
#include "requests.h"
#include "stasis/plugin.h"

#define TAP_MACS_MAX 256
#define TAP_ADDRESSES_MAX 64
#define TAP_LINKS_MAX 4096u

/* What becomes of an interface at a restart: place.c. */
enum tap_how {
	TAP_EXISTING, /* attach to one that is there */
	TAP_MAKE,     /* make it */
	TAP_NONE,     /* one whose cable is unplugged */
};

struct tap_place {
	enum tap_how how;
	bool mapped;         /* the user said so */
	char netns[1024];    /* name or path; "": where the restart is */
	char name[IFNAMSIZ]; /* TAP_MAKE: "" = a free one */
	char bridge[IFNAMSIZ];
	/* plan.c */
	bool macvtap; /* TAP_EXISTING: which of the two it is, and its index */
	unsigned index;
	unsigned set_mtu; /* TAP_EXISTING: to be set */
	bool set_up, set_address;
	bool multi_queue; /* it has to be attached to as such */
};

/* What `late` has changed on an interface that was there, as it was before: to be put back if the restart fails after that. */
struct tap_changed {
	bool changed, was_down;
	unsigned mtu;
	size_t address_size;
	uint8_t address[32];
};

/* The plugin's state in a checkpoint or restart: links and queues are as the records have them. */
struct tap_state {
	uint64_t journal; /* its address in the target; 0 = none */
	struct tap_rec_link *links;
	struct tap_rec_queue *queues;
	size_t n_links, n_queues;
	struct tap_place *places;    /* restart: one per link */
	struct tap_changed *changed; /* the same, in memory shared with the processes of a restart */
};

/* ---- checkpoint ---- */

/* survey.c: reads all queues and interfaces anew. */
int tap_survey(struct stasis_session *s, struct tap_state *t);
/* journal-read.c: the recorded settings of a link. What is refused: *ret_refused says what, else NULL. */
int tap_journal_read(struct stasis_session *s, struct tap_state *t, struct tap_rec_link *link, bool *ret_has_offload,
                     const char **ret_refused);
/* check.c */
int tap_check(struct stasis_session *s, void *state);
int tap_ready(struct stasis_session *s, void *state);
int tap_save(struct stasis_session *s, void *state);

/* ---- restart ---- */

/* load.c */
int tap_load(struct stasis_session *s, struct tap_state *t);
/* place.c: what the user said of a link, or what goes without saying. -EINVAL when that makes no sense (not worded). */
int tap_place_find(struct stasis_session *s, const struct tap_rec_link *link, struct tap_place *ret);
/* "tap7", "tap7 in network namespace other" */
const char *tap_place_words(const struct tap_place *p, char *buf, size_t size);
/* A descriptor of its network namespace, -1 for ours. */
int tap_place_netns(const struct tap_place *p, int *ret_ns);

/* plan.c; plan-link.c: one that is there, one that is to be made. */
int tap_plan(struct stasis_session *s, void *state);
struct tap_planned {
	struct stasis_session *s;
	const struct tap_rec_link *link;
	struct tap_place *place;
	struct tap_net *net;
	int fd; /* of the first queue */
	unsigned queues;
	uint32_t flags;      /* of all queues together */
	bool may_administer; /* CAP_NET_ADMIN */
};
void tap_plan_existing(const struct tap_planned *p);
void tap_plan_make(const struct tap_planned *p);
int tap_restore(struct stasis_session *s, void *state);
int tap_late(struct stasis_session *s, void *state);
int tap_abandon(struct stasis_session *s, void *state);

/* unplugged.c: fills in made[] with `n` queues of an interface of their own which nothing else can reach. */
int tap_unplugged_make(const char *name, const uint32_t *flags, size_t n, int *made);
/* announce.c: has the target say where its guest's addresses are now. */
int tap_announce(struct stasis_session *s, const struct tap_rec_link *link, const struct tap_rec_queue *queue);

#endif
