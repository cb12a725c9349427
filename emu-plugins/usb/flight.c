// SPDX-License-Identifier: LGPL-2.1-or-later
/* What has become of a URB: in its own struct, as the kernel has left it. */
#include "flight.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

_Static_assert(sizeof(struct usbdevfs_urb) == USB_URB_WORDS * sizeof(uint64_t), "the journal has room for it");

enum usb_flight_state usb_flight_state(const struct usb_flight *f, const struct usbdevfs_urb *had)
{
	if (had->status == USB_UNREAPED)
		return USB_FLYING;
	return had->status == -ENOENT && !f->discarded ? USB_CANCELLED : USB_ARRIVED; /* USBDEVFS_DISCARDURB is usb_kill_urb */
}

uint64_t usb_flight_given(const struct usb_flight *f, uint64_t at)
{
	return f->done ? at + offsetof(struct usb_flight, again) : f->urb;
}

/* Only of these does a part count: a control transfer begins with its setup packet, an isochronous one has its packets. */
static uint32_t part_of(const struct usbdevfs_urb *had)
{
	if (had->type != USBDEVFS_URB_TYPE_BULK && had->type != USBDEVFS_URB_TYPE_INTERRUPT)
		return 0;
	return had->status != USB_UNREAPED && had->actual_length > 0 && had->actual_length <= had->buffer_length
	               ? (uint32_t)had->actual_length
	               : 0;
}

bool usb_flight_again(struct usb_flight *f, struct usbdevfs_urb *urb, const struct usbdevfs_urb *had)
{
	uint32_t done = f->done + part_of(had);

	if (done && done >= (uint32_t)urb->buffer_length) {
		f->done = 0;
		urb->status = 0;
		urb->actual_length = (int)done;
		urb->error_count = 0;
		return false;
	}
	f->done = done;
	if (!done) {
		urb->status = USB_UNREAPED;
		return true;
	}
	struct usbdevfs_urb again = *urb;
	again.buffer = (char *)urb->buffer + done;
	again.buffer_length = urb->buffer_length - (int)done;
	again.actual_length = 0;
	again.status = USB_UNREAPED;
	memcpy(f->again, &again, sizeof(again));
	return true;
}

void usb_flight_land(const struct usb_flight *f, struct usbdevfs_urb *urb, const struct usbdevfs_urb *had)
{
	if (!f->done)
		return;
	urb->status = had->status;
	urb->actual_length = (int)f->done + had->actual_length;
	urb->error_count = had->error_count;
}
