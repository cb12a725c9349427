// SPDX-License-Identifier: LGPL-2.1-or-later
/* USB devices of the host: what they are known by. */
#include "plugins.h"

const struct fd_claim usb_claims[] = {
	{ "/dev/bus/usb/*", "USB device", "USB devices of the host cannot be checkpointed yet",
	  "unplug it from the guest first (QEMU: device_del), plug it in again after the restart" },
	{ "/dev/hidraw*", "HID device", "raw HID devices of the host cannot be checkpointed yet", "close it before the checkpoint" },
	{ 0 },
};
