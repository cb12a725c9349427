/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Inside of usb-load: what its files share. */
#ifndef USB_LOAD_H
#define USB_LOAD_H

#include <linux/usbdevice_fs.h>
#include <stdbool.h>
#include <stdint.h>

struct device {
	int fd;
	unsigned interface;
	unsigned in, out; /* endpoints; 0: none */
	unsigned bulk_in; /* that of a serial line, whose first one is for interrupts */
	bool interrupt;   /* `in` is one */
	bool read_only; /* disk.c: writes nothing */
	bool blocking;    /* waits in USBDEVFS_REAPURB, not in poll */
};

void die(const char *what);
/* Says so and ends: the device was unplugged. */
void gone(const char *where);

/* The next URB that has come to its end. */
struct usbdevfs_urb *reap(struct device *d);
void submit(struct device *d, struct usbdevfs_urb *urb);

/* disk.c: reads and writes for ever, and compares. `linger_ms`: how long it rests in the midst of each command; `pause_ms`:
 * between two. */
void disk_run(struct device *d, unsigned linger_ms, unsigned pause_ms);
/* Makes the contents that it expects. */
void disk_fill(const char *path);

/* sound.c: plays to a sound card for ever. */
void sound_run(struct device *d);
/* serial.c: reads from a serial line to which nothing comes, for `ms` a time. */
void serial_run(struct device *d, unsigned ms);
/* settings.c: puts a device into a state of many settings and looks at it for ever. */
void settings_run(const char *node);

#endif
