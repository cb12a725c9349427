// SPDX-License-Identifier: LGPL-2.1-or-later
/* Devices of USB that are used in another way than by usbfs, and cannot be taken along: what they are known by. */
#include "plugins.h"

const struct fd_claim usb_claims[] = {
	{ "/dev/hidraw*", "HID device", "raw HID devices of the host cannot be checkpointed yet",
	  "close it before the checkpoint" },
	{ 0 },
};
