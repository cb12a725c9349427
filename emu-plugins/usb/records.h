/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an image says of USB devices, and of the descriptors of usbfs that were open on them. URBs in flight are in the
 * journal, in memory. */
#ifndef STASIS_USB_RECORDS_H
#define STASIS_USB_RECORDS_H

#include <stdint.h>

#include "schema.h"

/* A device. */
struct usb_rec_device {
	uint32_t id; /* from 1 */
	bool gone;   /* it had been unplugged, or a restart had left it out: all that follows is 0 */
	char *port;  /* "3-1.2" */
	char *serial, *name;
	uint32_t bus, address, vendor, product, release, configuration;
	struct img_bytes descriptors;
	struct img_bytes alternates; /* two bytes each: interface, alternate setting */
};

/* A descriptor of /dev/bus/usb/BUS/ADDRESS. */
struct usb_rec_handle {
	int32_t fd;
	uint32_t device; /* id */
	uint32_t flags;  /* O_ACCMODE */
	uint64_t offset, claimed, detached;
	uint32_t set, signal;
	uint64_t context;
	uint32_t privileges;
	uint32_t flights; /* URBs in flight */
	bool exchange;    /* a command to a disk was under way */
};

extern const struct img_schema usb_device_schema, usb_handle_schema;
extern const struct img_schema *const usb_schemas[];

#endif
