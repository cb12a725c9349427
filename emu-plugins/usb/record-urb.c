// SPDX-License-Identifier: LGPL-2.1-or-later
/* URBs in flight: noted when they are submitted, put right when somebody else has reaped or cancelled them, handed to the
 * program. See journal.h. */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>

#include "record-inside.h"

static struct usb_flight *flights(void)
{
	return (struct usb_flight *)usb_journal.flights;
}

static struct usbdevfs_urb *urb_of(const struct usb_flight *f)
{
	return (struct usbdevfs_urb *)f->urb;
}

/* What the kernel was given. */
static struct usbdevfs_urb *had_by(const struct usb_flight *f)
{
	return (struct usbdevfs_urb *)usb_flight_given(f, (uint64_t)f);
}

static struct usb_flight *flight_new(void)
{
	for (uint32_t i = 0; i < usb_journal.n_flights; i++)
		if (!flights()[i].live)
			return &flights()[i];
	if (usb_journal.n_flights == USB_FLIGHTS) {
		recorder_break();
		return NULL;
	}
	return &flights()[usb_journal.n_flights++];
}

/* The first one submitted that is in this state. */
static struct usb_flight *first(int fd, enum usb_flight_state state)
{
	struct usb_flight *found = NULL;

	for (uint32_t i = 0; i < usb_journal.n_flights; i++) {
		struct usb_flight *f = &flights()[i];
		if (f->live && f->fd == fd && (!found || f->number < found->number) && usb_flight_state(f, had_by(f)) == state)
			found = f;
	}
	return found;
}

static long give_up(struct usb_flight *f, int status)
{
	urb_of(f)->status = status;
	urb_of(f)->actual_length = (int)f->done;
	f->done = 0;
	return 0;
}

/* Those that were cancelled behind the program's back are submitted again, in their old order. */
static void settle(const struct usb_handle *h)
{
	struct usb_flight *f;

	while (!h->gone && (f = first(h->fd, USB_CANCELLED))) {
		struct usbdevfs_urb had = *had_by(f);
		if (!usb_flight_again(f, urb_of(f), &had))
			continue;
		if (recorder_next_ioctl(h->fd, USBDEVFS_SUBMITURB, had_by(f)) < 0)
			give_up(f, -ESHUTDOWN);
	}
}

static void *data_of(const struct usbdevfs_urb *urb)
{
	return urb->buffer;
}

static bool is_out(const struct usbdevfs_urb *urb)
{
	return urb->type == USBDEVFS_URB_TYPE_BULK && !(urb->endpoint & 0x80);
}

static void begins(struct usb_handle *h, const struct usbdevfs_urb *urb)
{
	const unsigned char *setup = data_of(urb);

	if (is_out(urb) && urb->buffer_length > 0)
		usb_exchange_out(h, data_of(urb), (size_t)urb->buffer_length);
	else if (urb->type == USBDEVFS_URB_TYPE_CONTROL && urb->buffer_length >= 8)
		usb_exchange_control(h, setup[0], setup[1]);
}

static void ends(struct usb_handle *h, const struct usbdevfs_urb *urb)
{
	if (is_out(urb) && urb->status && urb->buffer_length > 0)
		usb_exchange_failed(h, data_of(urb), (size_t)urb->buffer_length);
	else if (urb->type == USBDEVFS_URB_TYPE_BULK && !is_out(urb) && urb->actual_length > 0)
		usb_exchange_in(h, data_of(urb), (size_t)urb->actual_length);
}

/* To the program. */
static long deliver(struct usb_handle *h, struct usb_flight *f, struct usbdevfs_urb **ret)
{
	usb_flight_land(f, urb_of(f), had_by(f));
	*ret = urb_of(f);
	f->live = 0;
	ends(h, *ret);
	return 0;
}

long usb_record_submit(struct usb_handle *h, struct usbdevfs_urb *urb)
{
	settle(h);
	struct usb_flight *f = flight_new();
	int was = urb->status;

	if (!f)
		return recorder_next_ioctl(h->fd, USBDEVFS_SUBMITURB, urb);
	*f = (struct usb_flight){ .fd = h->fd, .urb = (uint64_t)urb, .number = ++usb_journal.number };
	urb->status = USB_UNREAPED;
	begins(h, urb);
	long result = recorder_next_ioctl(h->fd, USBDEVFS_SUBMITURB, urb);
	if (result < 0) {
		urb->status = was;
		if (is_out(urb) && urb->buffer_length > 0)
			usb_exchange_failed(h, data_of(urb), (size_t)urb->buffer_length);
	} else {
		f->live = 1;
	}
	return result;
}

long usb_record_discard(struct usb_handle *h, struct usbdevfs_urb *urb)
{
	struct usb_flight *f = NULL;

	settle(h);
	for (uint32_t i = 0; i < usb_journal.n_flights && !f; i++)
		if (flights()[i].live && flights()[i].fd == h->fd && flights()[i].urb == (uint64_t)urb)
			f = &flights()[i];
	if (!f)
		return h->gone ? -ENODEV : recorder_next_ioctl(h->fd, USBDEVFS_DISCARDURB, urb);
	if (usb_flight_state(f, had_by(f)) == USB_ARRIVED)
		return -EINVAL;
	if (h->gone) {
		f->discarded = 1;
		return give_up(f, -ENOENT);
	}
	long result = recorder_next_ioctl(h->fd, USBDEVFS_DISCARDURB, had_by(f));
	if (result >= 0)
		f->discarded = 1;
	return result;
}

/* Without a device: all that was in flight comes back, as if it had been unplugged just now. */
static long reap_gone(struct usb_handle *h, struct usbdevfs_urb **ret)
{
	struct usb_flight *f = first(h->fd, USB_ARRIVED);

	if (!f && !(f = first(h->fd, USB_FLYING)))
		f = first(h->fd, USB_CANCELLED);
	usb_exchange_end(h);
	if (!f)
		return -ENODEV;
	if (usb_flight_state(f, had_by(f)) != USB_ARRIVED)
		give_up(f, -ESHUTDOWN);
	return deliver(h, f, ret);
}

static struct usb_flight *flight_given(const struct usb_handle *h, const void *urb)
{
	for (uint32_t i = 0; i < usb_journal.n_flights; i++)
		if (flights()[i].live && flights()[i].fd == h->fd && (void *)had_by(&flights()[i]) == urb)
			return &flights()[i];
	return NULL;
}

/* One of the kernel's, -EAGAIN when there is none. Those of ours are swallowed; those that a controller has cancelled, but
 * not reaped, are submitted again: once all are back, as the last was cancelled first. */
static long reap_kernel(struct usb_handle *h, struct usbdevfs_urb **ret)
{
	struct usbdevfs_urb *urb = NULL;
	long result;

	while ((result = recorder_next_ioctl(h->fd, USBDEVFS_REAPURBNDELAY, &urb)) >= 0) {
		struct usb_flight *f = flight_given(h, urb);
		if ((void *)urb == (void *)h->wake || (f && usb_flight_state(f, urb) == USB_CANCELLED))
			continue;
		if (f)
			return deliver(h, f, ret);
		*ret = urb;
		return 0;
	}
	settle(h);
	return result;
}

long usb_record_reap(struct usb_handle *h, struct usbdevfs_urb **ret)
{
	struct usb_flight *f;

	if (h->gone)
		return reap_gone(h, ret);
	settle(h);
	f = first(h->fd, USB_ARRIVED);
	return f ? deliver(h, f, ret) : reap_kernel(h, ret);
}

void usb_record_forget(const struct usb_handle *h)
{
	for (uint32_t i = 0; i < usb_journal.n_flights; i++)
		if (flights()[i].fd == h->fd)
			flights()[i].live = 0;
}
