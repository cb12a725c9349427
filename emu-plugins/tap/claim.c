// SPDX-License-Identifier: LGPL-2.1-or-later
/* In-kernel network back ends, which the tap plugin does not take along yet: what they are known by. */
#include "plugins.h"

const struct fd_claim tap_claims[] = {
	{ "/dev/vhost-net", "vhost-net", "in-kernel network back ends cannot be checkpointed yet",
	  "start the emulator without it (QEMU: vhost=off)" },
	{ "/dev/vhost-vsock", "vhost-vsock", "vsock devices cannot be checkpointed yet",
	  "start the emulator without its vsock device" },
	{ "/dev/vhost-*", "vhost device", "in-kernel vhost back ends cannot be checkpointed yet",
	  "start the emulator without it" },
	{ 0 },
};
