/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A network namespace from outside: its interfaces asked and set by rtnetlink. Nothing here knows of checkpoints. Functions
 * return 0 or a negative errno, not worded. */
#ifndef STASIS_TAP_NET_H
#define STASIS_TAP_NET_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct mnl_socket;

struct tap_net {
	struct mnl_socket *nl;
	int sock; /* for interface ioctls */
};

/* ---- netns.c ---- */

/* A descriptor of the namespace called NAME (in /run/netns) or at a path with a slash in it. */
int tap_netns_open(const char *name);
/* This thread goes into the namespace (ns -1: stays where it is) and comes back. */
int tap_netns_enter(int ns, int *ret_home);
int tap_netns_leave(int home);
/* The name of a namespace in /run/netns; NULL: none. Allocated. */
char *tap_netns_name(dev_t dev, ino_t ino);

/* ---- link.c ---- */

int tap_net_open(int ns, struct tap_net *ret); /* ns -1: ours */
void tap_net_close(struct tap_net *net);

struct tap_link {
	char name[IFNAMSIZ];
	char kind[16]; /* "tun", "macvtap", "bridge"; "" if it has none */
	unsigned index, mtu, type, master;
	uint8_t address[32];
	size_t address_size;
	bool up, carrier;
	int port_state; /* in a bridge: BR_STATE_*; else -1 */
	/* kind "tun" */
	bool is_tap, persist, multi_queue, pi;
	int64_t owner, group; /* -1: none */
	unsigned queues;      /* attached and detached ones */
};

int tap_link_get(struct tap_net *net, const char *name, struct tap_link *ret); /* -ENODEV */
int tap_link_by_index(struct tap_net *net, unsigned index, struct tap_link *ret);

/* What is to be set; 0 or NULL: as it is. */
struct tap_link_set {
	unsigned mtu, master;
	const void *address;
	size_t address_size;
	bool up, down;
};
int tap_link_change(struct tap_net *net, unsigned index, const struct tap_link_set *set);

/* The hardware addresses that a bridge has learned behind its port: six bytes each, at most `max` of them. Returns how many. */
int tap_link_learned(struct tap_net *net, unsigned port, uint8_t (*ret)[6], size_t max);

/* Sends a request and has every answer looked at (an mnl_cb_t). */
struct nlmsghdr;
int tap_net_talk(struct tap_net *net, struct nlmsghdr *req, int (*cb)(const struct nlmsghdr *nlh, void *data), void *data);

/* ---- address.c ---- */

/* An IP address of the host's. It is in images as it is. */
struct tap_address {
	uint8_t family, prefix, scope, unused;
	uint8_t local[16], peer[16], broadcast[16];
};

int tap_address_list(struct tap_net *net, unsigned index, struct tap_address *ret, size_t max); /* how many */
int tap_address_add(struct tap_net *net, unsigned index, const struct tap_address *address);

/* features.c: the offloads (TUN_F_*) that a tun device gives now. */
int tap_link_offload(struct tap_net *net, const char *name, uint32_t *ret);

#endif
