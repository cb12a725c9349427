/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the recorder keeps of usbfs descriptors and of their requests (URBs) in flight, in the target's memory, read and
 * written by the plugin from outside. It is in every image with the rest of the memory, so the layout is for ever: the
 * version tells.
 *
 * Theory of operation. An URB is in flight from USBDEVFS_SUBMITURB until it is reaped; meanwhile its struct is the kernel's.
 * Before it is submitted its status becomes USB_UNREAPED, which the kernel overwrites when it is reaped, and never before.
 * So the memory itself tells what has happened to it, whoever reaped it: the controller does so for a target that stands
 * still, and may be killed at any moment without leaving the journal wrong. A URB that was reaped by somebody else is handed
 * to the program when it asks next; one that was cancelled by somebody else is submitted again, without the bytes that had
 * come. The program is woken for that by a URB of ours (`wake`), a GET_STATUS of the device, which the recorder reaps and
 * keeps to itself. Tests: usb-journal, usb-stick. */
#ifndef STASIS_USB_JOURNAL_H
#define STASIS_USB_JOURNAL_H

#include <stdint.h>

#define USB_JOURNAL_VERSION 1u
#define USB_HANDLES 256
#define USB_FLIGHTS 8192
#define USB_UNREAPED 0x53544153 /* no errno */
#define USB_URB_WORDS 7         /* struct usbdevfs_urb without its packets */

/* Bits of `set`. Values are for ever. */
enum usb_set {
	USB_SET_SIGNAL = 1 << 0,     /* USBDEVFS_DISCSIGNAL */
	USB_SET_SUSPEND = 1 << 1,    /* USBDEVFS_ALLOW_SUSPEND */
	USB_SET_PRIVILEGES = 1 << 2, /* USBDEVFS_DROP_PRIVILEGES */
};

/* A descriptor of /dev/bus/usb/BUS/ADDRESS. */
struct usb_handle {
	uint32_t live; /* 0: free */
	int32_t fd;
	uint64_t device;            /* its number */
	uint64_t claimed, detached; /* a bit per interface: claimed; its driver was taken away */
	uint32_t set, signal;
	uint64_t context;
	uint32_t privileges;
	uint32_t refused;  /* a request that was made and cannot be restored; 0: none */
	uint32_t gone;     /* a restart has left it without a device */
	uint32_t exchange; /* a command to a disk is under way (mass storage, bulk only): its tag is */
	uint32_t tag, unused;
	uint64_t wake[USB_URB_WORDS];
	uint8_t setup[16];
	uint64_t spare[4];
};

/* A URB in flight. */
struct usb_flight {
	uint32_t live;
	int32_t fd;
	uint64_t urb;       /* the program's */
	uint64_t number;    /* of its submission */
	uint32_t done;      /* bytes that had come before it was cancelled; if not 0, the kernel has `again` instead of `urb` */
	uint32_t discarded; /* by the program */
	uint64_t again[USB_URB_WORDS];
	uint64_t spare[2];
};

struct usb_journal {
	uint32_t version, size;
	uint32_t n_flights, unused; /* high-water mark */
	uint64_t number;            /* of the last submission */
	uint64_t handles;           /* address of struct usb_handle[USB_HANDLES] */
	uint64_t flights;           /* address of struct usb_flight[USB_FLIGHTS] */
};

#endif
