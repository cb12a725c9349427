/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an image says of tun/tap devices: the interfaces, and the descriptors (queues) that were open on them. */
#ifndef STASIS_TAP_RECORDS_H
#define STASIS_TAP_RECORDS_H

#include <stdint.h>

#include "schema.h"

/* Where an interface was, seen from the checkpoint. Values are for ever. */
enum tap_where {
	TAP_HERE,    /* in the network namespace of whoever took the checkpoint, or in the target's own one without a name */
	TAP_NAMED,   /* in one that has a name in /run/netns */
	TAP_PRIVATE, /* in one that nobody can enter: a restart with --map tap:OLD=none made it */
};

/* A network interface. */
struct tap_rec_link {
	uint32_t id; /* from 1 */
	char *name;
	uint32_t where;
	char *netns; /* TAP_NAMED: its name */
	bool known;  /* it could be asked; if not, all that follows is 0 */
	bool macvtap;
	uint32_t ifindex, mtu, link_type; /* ARPHRD_* */
	struct img_bytes address;
	bool up, carrier_off, persist;
	int64_t owner, group;       /* -1: none */
	char *bridge;               /* that it is a port of */
	uint32_t offload;           /* TUN_F_* */
	struct img_bytes txfilter;  /* struct tun_filter, if one was recorded */
	struct img_bytes filter;    /* struct sock_filter[] */
	uint64_t filter_addr;       /* where the target had them */
	struct img_bytes addresses; /* struct tap_address[]: the host's, on a tap that goes with the target */
	struct img_bytes macs;      /* six bytes each: what the bridge had learned behind it */
};

/* A descriptor of /dev/net/tun or /dev/tapN. */
struct tap_rec_queue {
	int32_t fd;
	uint32_t link;  /* id; 0: no interface is attached */
	uint32_t flags; /* IFF_*, as TUNGETIFF has them */
	int32_t header_size, sndbuf;
	bool little_endian, big_endian;
	bool has_filter; /* one was attached, and perhaps still is */
};

extern const struct img_schema tap_link_schema, tap_queue_schema;
extern const struct img_schema *const tap_schemas[];

#endif
