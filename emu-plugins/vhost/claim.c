// SPDX-License-Identifier: LGPL-2.1-or-later
/* In-kernel back ends other than the network's, which nothing can take along yet: what they are known by. */
#include "plugins.h"

const struct fd_claim vhost_claims[] = {
	{ "/dev/vhost-vsock", "vhost-vsock", "vsock devices cannot be checkpointed: the kernel will not tell of their connections",
	  "start the emulator without its vsock device" },
	{ "/dev/vhost-scsi", "vhost-scsi", "in-kernel SCSI targets cannot be checkpointed: the kernel will not tell of their requests in flight",
	  "start the emulator with virtio-scsi instead" },
	{ "/dev/vhost-vdpa*", "vhost-vdpa", "vDPA devices cannot be checkpointed: the state of the hardware cannot be read",
	  "start the emulator with a tap instead" },
	{ "/dev/vhost-*", "vhost device", "in-kernel vhost back ends cannot be checkpointed, but for vhost-net",
	  "start the emulator without it" },
	{ 0 },
};
