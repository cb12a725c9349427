// SPDX-License-Identifier: LGPL-2.1-or-later
/* Network devices of the host: what they are known by. */
#include "plugins.h"

const struct fd_claim tap_claims[] = {
	{ "/dev/net/tun", "tun/tap device", "tap devices cannot be checkpointed yet", "give the guest user-mode networking (QEMU: -nic user)" },
	{ "/dev/tap[0-9]*", "macvtap device", "macvtap devices cannot be checkpointed yet", "give the guest user-mode networking (QEMU: -nic user)" },
	{ "/dev/vhost-net", "vhost-net", "in-kernel network back ends cannot be checkpointed yet", "start the emulator without it (QEMU: vhost=off)" },
	{ "/dev/vhost-vsock", "vhost-vsock", "vsock devices cannot be checkpointed yet", "start the emulator without its vsock device" },
	{ "/dev/vhost-*", "vhost device", "in-kernel vhost back ends cannot be checkpointed yet", "start the emulator without it" },
	{ 0 },
};
