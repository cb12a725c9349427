/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Which of a host's USB devices shall be the one that a program had: what the user said, or what goes without saying. */
#ifndef STASIS_RECONNECT_USB_CHOOSE_H
#define STASIS_RECONNECT_USB_CHOOSE_H

#include "host.h"

enum usb_choice {
	USB_CHOSEN,
	USB_NONE,         /* the program goes on without it */
	USB_MISSING,      /* none that would do is there */
	USB_OTHER_SERIAL, /* one of the same kind is there: `*ret_index` */
	USB_SEVERAL,      /* more than one would do: the first, in `*ret_index` */
	USB_DIFFERS,      /* the one that was asked for is of another kind: `*ret_index`; usb_differs says how */
	USB_NO_WORDS,     /* what the user said makes no sense */
};

/* `old`: as it was. `text`: what the user said (NEW of --map usb:OLD=NEW), or NULL:
 *
 *	NEW = none | PORT | VENDOR:PRODUCT [:SERIAL]	PORT as in sysfs, 3-1.2; hexadecimal numbers
 *
 * Without a word it is the one of the same kind with the same serial number, wherever it is; of a kind that has no serial
 * numbers the one in the same port, else the only one. */
enum usb_choice usb_choose(const struct usb_host *host, const struct usb_device *old, const char *text, size_t *ret_index);

/* Whether a program that had `old` would notice `now` by its descriptors: NULL, or what differs. Numbers of strings, and the
 * release, do not count. */
const char *usb_differs(const struct usb_device *old, const struct usb_device *now);

#endif
