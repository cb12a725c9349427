/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Inside of the recorder's part for USB devices: what its files share. Only record.c calls from outside of a turn. */
#ifndef STASIS_USB_RECORD_INSIDE_H
#define STASIS_USB_RECORD_INSIDE_H

#include <stdbool.h>

#include "flight.h"
#include "journal.h"
#include "recorder/recorder.h"

extern struct usb_journal usb_journal __attribute__((visibility("hidden")));

/* ---- record-urb.c ---- */

/* SUBMITURB, DISCARDURB, REAPURBNDELAY as the program sees them. Return the result or a negative errno. */
long usb_record_submit(struct usb_handle *h, struct usbdevfs_urb *urb);
long usb_record_discard(struct usb_handle *h, struct usbdevfs_urb *urb);
long usb_record_reap(struct usb_handle *h, struct usbdevfs_urb **ret);
/* The descriptor is closed: all of its URBs are gone. */
void usb_record_forget(const struct usb_handle *h);

/* ---- record-exchange.c: commands of mass storage, which must not be cut in two ---- */

/* Waits at the closed gate, unless a command is under way, of which this may be a part. Outside of a turn. */
void usb_exchange_gate(const struct usb_handle *h);
/* A bulk or interrupt transfer out of `size` bytes is about to begin / has failed or a transfer in has come. */
void usb_exchange_out(struct usb_handle *h, const void *data, size_t size);
void usb_exchange_failed(struct usb_handle *h, const void *data, size_t size);
void usb_exchange_in(struct usb_handle *h, const void *data, size_t size);
void usb_exchange_end(struct usb_handle *h);
/* A control transfer may be the reset of a mass storage device. */
void usb_exchange_control(struct usb_handle *h, unsigned type, unsigned request);

#endif
