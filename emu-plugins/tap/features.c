// SPDX-License-Identifier: LGPL-2.1-or-later
/* The offloads of a tun device, which TUNSETOFFLOAD sets and no TUNGET* tells: they are its features, as ethtool sees them
 * (drivers/net/tun.c, set_offload and tun_net_fix_features). One that the host has switched off since is not among them. */
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "net.h"
#include "requests.h"

#define FEATURES_MAX 512

static const struct {
	const char *name; /* net/ethtool/common.c, netdev_features_strings */
	uint32_t offload;
} features[] = {
	{ "tx-checksum-ip-generic", TUN_F_CSUM },
	{ "tx-tcp-segmentation", TUN_F_TSO4 },
	{ "tx-tcp6-segmentation", TUN_F_TSO6 },
	{ "tx-tcp-ecn-segmentation", TUN_F_TSO_ECN },
	{ "tx-udp-segmentation", TAP_F_USO4 | TAP_F_USO6 },
};

static int ethtool(struct tap_net *net, const char *name, void *data)
{
	struct ifreq ifr = { .ifr_data = data };

	strncpy(ifr.ifr_name, name, IFNAMSIZ - 1);
	return ioctl(net->sock, SIOCETHTOOL, &ifr) < 0 ? -errno : 0;
}

static uint32_t offload_of(const struct ethtool_gstrings *names, const struct ethtool_gfeatures *state)
{
	uint32_t offload = 0;

	for (uint32_t bit = 0; bit < names->len; bit++)
		for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++)
			if (!strncmp((const char *)names->data + bit * ETH_GSTRING_LEN, features[i].name, ETH_GSTRING_LEN) &&
			    bit / 32 < state->size && state->features[bit / 32].active & 1u << bit % 32)
				offload |= features[i].offload;
	return offload;
}

int tap_link_offload(struct tap_net *net, const char *name, uint32_t *ret)
{
	struct ethtool_gstrings *names = calloc(1, sizeof(*names) + FEATURES_MAX * ETH_GSTRING_LEN);
	struct ethtool_gfeatures *state = calloc(1, sizeof(*state) + FEATURES_MAX / 32 * sizeof(state->features[0]));
	struct {
		struct ethtool_sset_info head;
		uint32_t size;
	} info = { .head = { .cmd = ETHTOOL_GSSET_INFO, .sset_mask = 1ull << ETH_SS_FEATURES } };
	int err = names && state ? ethtool(net, name, &info) : -ENOMEM;

	if (!err && (!info.head.sset_mask || info.size > FEATURES_MAX))
		err = -EOVERFLOW;
	if (!err) {
		names->cmd = ETHTOOL_GSTRINGS;
		names->string_set = ETH_SS_FEATURES;
		names->len = info.size;
		state->cmd = ETHTOOL_GFEATURES;
		state->size = FEATURES_MAX / 32;
		if (!(err = ethtool(net, name, names)) && !(err = ethtool(net, name, state)))
			*ret = offload_of(names, state);
	}
	free(names);
	free(state);
	return err;
}
