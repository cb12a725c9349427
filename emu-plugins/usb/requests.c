// SPDX-License-Identifier: LGPL-2.1-or-later
/* The table of usbfs's ioctls (include/uapi/linux/usbdevice_fs.h). What is not in it is refused by name, so that a new one
 * is noticed before it is lost. */
#include "requests.h"

#include <stddef.h>

#define PLAIN(r)                                       \
	{                                              \
		(uint32_t) r, USB_REQUEST_PLAIN, #r, 0 \
	}
#define TALK(r)                                       \
	{                                             \
		(uint32_t) r, USB_REQUEST_TALK, #r, 0 \
	}
#define URB(r)                                       \
	{                                            \
		(uint32_t) r, USB_REQUEST_URB, #r, 0 \
	}
#define KEPT(r)                                       \
	{                                             \
		(uint32_t) r, USB_REQUEST_KEPT, #r, 0 \
	}
#define WAIT(r)                                       \
	{                                             \
		(uint32_t) r, USB_REQUEST_WAIT, #r, 0 \
	}
#define REFUSE(r, why)                                    \
	{                                                 \
		(uint32_t) r, USB_REQUEST_REFUSE, #r, why \
	}

static const struct usb_request requests[] = {
	TALK(USBDEVFS_CONTROL),
	TALK(USBDEVFS_BULK),
	PLAIN(USBDEVFS_RESETEP),
	PLAIN(USBDEVFS_SETINTERFACE),
	KEPT(USBDEVFS_SETCONFIGURATION),
	PLAIN(USBDEVFS_GETDRIVER),
	URB(USBDEVFS_SUBMITURB),
	URB(USBDEVFS_DISCARDURB),
	URB(USBDEVFS_REAPURB),
	URB(USBDEVFS_REAPURBNDELAY),
	KEPT(USBDEVFS_DISCSIGNAL),
	KEPT(USBDEVFS_CLAIMINTERFACE),
	KEPT(USBDEVFS_RELEASEINTERFACE),
	PLAIN(USBDEVFS_CONNECTINFO),
	KEPT(USBDEVFS_IOCTL),
	PLAIN(USBDEVFS_HUB_PORTINFO),
	TALK(USBDEVFS_RESET),
	PLAIN(USBDEVFS_CLEAR_HALT),
	REFUSE(USBDEVFS_CLAIM_PORT, "a port of a hub was claimed"),
	PLAIN(USBDEVFS_RELEASE_PORT),
	KEPT(USBDEVFS_GET_CAPABILITIES),
	KEPT(USBDEVFS_DISCONNECT_CLAIM),
	REFUSE(USBDEVFS_ALLOC_STREAMS, "bulk streams were set up"),
	PLAIN(USBDEVFS_FREE_STREAMS),
	KEPT(USBDEVFS_DROP_PRIVILEGES),
	PLAIN(USBDEVFS_GET_SPEED),
	KEPT(USBDEVFS_FORBID_SUSPEND),
	KEPT(USBDEVFS_ALLOW_SUSPEND),
	WAIT(USBDEVFS_WAIT_FOR_RESUME),
};

/* The size of what is asked for is part of the request. */
static int is_conninfo(uint32_t request)
{
	return (request & ~(_IOC_SIZEMASK << _IOC_SIZESHIFT)) == (uint32_t)USBDEVFS_CONNINFO_EX(0);
}

const struct usb_request *usb_request_find(uint64_t request)
{
	static const struct usb_request conninfo = { (uint32_t)USBDEVFS_CONNINFO_EX(0), USB_REQUEST_PLAIN,
		                                     "USBDEVFS_CONNINFO_EX", NULL };

	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
		if (requests[i].request == (uint32_t)request)
			return &requests[i];
	return is_conninfo((uint32_t)request) ? &conninfo : NULL;
}
