/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What has become of a URB, and how it is submitted again. Used by the recorder, on the memory itself, and by the plugin, on
 * copies. */
#ifndef STASIS_USB_FLIGHT_H
#define STASIS_USB_FLIGHT_H

#include <linux/usbdevice_fs.h>
#include <stdbool.h>

#include "journal.h"

enum usb_flight_state {
	USB_FLYING,    /* the kernel has it */
	USB_ARRIVED,   /* it was reaped, and the program does not know */
	USB_CANCELLED, /* so it was, but nobody had asked for it: to be submitted again */
};

/* `had`: the struct that the kernel was given, see usb_flight_given. */
enum usb_flight_state usb_flight_state(const struct usb_flight *f, const struct usbdevfs_urb *had);

/* The address of the struct that the kernel was given, when the flight itself is at `at`. */
uint64_t usb_flight_given(const struct usb_flight *f, uint64_t at);

/* Makes one that does not fly any more ready to be submitted again, at usb_flight_given(). `urb` is the program's, `had`
 * what the kernel was given, perhaps the same; both are changed. False: nothing is left to be transferred, it has arrived. */
bool usb_flight_again(struct usb_flight *f, struct usbdevfs_urb *urb, const struct usbdevfs_urb *had);

/* Puts the result together in the program's struct: what had come before, and after. */
void usb_flight_land(const struct usb_flight *f, struct usbdevfs_urb *urb, const struct usbdevfs_urb *had);

#endif
