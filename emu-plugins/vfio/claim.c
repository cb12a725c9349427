// SPDX-License-Identifier: LGPL-2.1-or-later
/* Devices handed to a guest whole: what they are known by. */
#include "plugins.h"

#define REMEDY "unplug the device from the guest first (QEMU: device_del), plug it in again after the restart"

const struct fd_claim vfio_claims[] = {
	{ "/dev/vfio/*", "VFIO", "assigned devices have state that nobody can read", REMEDY },
	{ "anon_inode:\\[vfio-*", "VFIO device", "assigned devices have state that nobody can read", REMEDY },
	{ "/dev/dri/*", "GPU", "GPU contexts have state that nobody can read", "start the emulator without GPU acceleration (QEMU: no gl=on)" },
	{ "/dev/nvidia*", "GPU", "GPU contexts have state that nobody can read", "start the emulator without GPU acceleration" },
	{ 0 },
};
