/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The USB devices of a host, as sysfs has them. Nothing here knows of checkpoints. */
#ifndef STASIS_RECONNECT_USB_HOST_H
#define STASIS_RECONNECT_USB_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define USB_SYSFS "/sys/bus/usb/devices"
#define USB_INTERFACES_MAX 32

struct usb_interface {
	unsigned number, alternate;
	char driver[32]; /* "usbfs": a program has it; "": none */
	char path[64];   /* its directory's name, "3-1.2:1.0" */
};

struct usb_device {
	char port[48]; /* "3-1.2": bus 3, port 1, port 2 of the hub there */
	unsigned bus, address;
	unsigned vendor, product, release, device_class;
	unsigned configuration;      /* 0: none */
	char serial[128], name[128]; /* "": it has none */
	uint8_t *descriptors;        /* of the device, and of all of its configurations */
	size_t size;
	struct usb_interface interfaces[USB_INTERFACES_MAX]; /* of the configuration */
	size_t n_interfaces;
};

struct usb_host {
	struct usb_device *devices;
	size_t n;
};

/* All devices but hubs under `root` (USB_SYSFS). Those that go away meanwhile are left out. Returns 0 or a negative errno. */
int usb_host_read(const char *root, struct usb_host *ret);
void usb_host_finish(struct usb_host *host);

/* One device: its directory, or a link to it. -ENOENT: it is gone. */
int usb_device_read(const char *dir, struct usb_device *ret);
void usb_device_finish(struct usb_device *device);

/* "1234:5678 Maker's Thing (3-1.2, serial number X)" */
const char *usb_device_words(const struct usb_device *device, char *buf, size_t size);

/* Where a file system on a disk behind an interface is mounted (or "swap"): true, and the place. `mounts` is the text of a
 * mountinfo, `root` as above. */
bool usb_interface_mounted(const char *root, const struct usb_interface *interface, const char *mounts, char *ret, size_t size);

#endif
