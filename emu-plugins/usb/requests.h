/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every ioctl of usbfs that there is, and what it means for a checkpoint. Used by the recorder and by the plugin. */
#ifndef STASIS_USB_REQUESTS_H
#define STASIS_USB_REQUESTS_H

#include <linux/usbdevice_fs.h>
#include <stdint.h>
#include <sys/ioctl.h>

enum usb_request_class {
	USB_REQUEST_PLAIN,  /* asks, or acts in a way that shows in state that can be read */
	USB_REQUEST_TALK,   /* a whole transfer, over when it returns */
	USB_REQUEST_URB,    /* of URBs */
	USB_REQUEST_KEPT,   /* noted */
	USB_REQUEST_WAIT,   /* waits, and is noted after it */
	USB_REQUEST_REFUSE, /* its effect cannot be restored */
};

struct usb_request {
	uint32_t request;
	enum usb_request_class class;
	const char *name;
	const char *why; /* USB_REQUEST_REFUSE */
};

/* NULL when it is not in the table: refused as well. */
const struct usb_request *usb_request_find(uint64_t request);

#endif
