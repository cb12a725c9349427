// SPDX-License-Identifier: LGPL-2.1-or-later
/* USB devices (usbfs): takes them off a program's hands and gives it the same or others at a restart. README.md in this
 * folder lists all of their state, and the tests that prove it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>
#include <time.h>

#include "usb.h"

/* Also of a device that is unplugged, whose name is gone. */
static const char *usb_claim(const char *link, const struct stat *st)
{
	if (!strncmp(link, "/dev/bus/usb/", 13) || (S_ISCHR(st->st_mode) && major(st->st_rdev) == USB_DEVICE_MAJOR))
		return "USB device";
	return NULL;
}

uint64_t usb_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

const char *usb_node(unsigned bus, unsigned address, char *buf, size_t size)
{
	snprintf(buf, size, "/dev/bus/usb/%03u/%03u", bus, address);
	return buf;
}

static int usb_open(struct stasis_session *s, void **ret_state)
{
	struct usb_state *u = calloc(1, sizeof(*u));

	(void)s;
	*ret_state = u;
	return u ? 0 : -ENOMEM;
}

void usb_state_clear(struct usb_state *u)
{
	stasis_records_free(&usb_device_schema, u->devices, u->n_devices);
	stasis_records_free(&usb_handle_schema, u->handles, u->n_handles);
	free(u->slots);
	free(u->held);
	u->devices = NULL;
	u->handles = NULL;
	u->slots = NULL;
	u->held = NULL;
	u->n_devices = u->n_handles = 0;
}

static void usb_close(struct stasis_session *s, void *state)
{
	struct usb_state *u = state;

	(void)s;
	if (!u)
		return;
	if (u->taken)
		munmap(u->taken, (u->n_devices + 1) * sizeof(*u->taken));
	usb_state_clear(u);
	usb_host_finish(&u->host);
	free(u->places);
	free(u);
}

const struct stasis_plugin usb_plugin = {
	.api = STASIS_PLUGIN_API,
	.size = sizeof(struct stasis_plugin),
	.name = "usb",
	.schemas = usb_schemas,
	.claim = usb_claim,
	.open = usb_open,
	.close = usb_close,
	.check = usb_check,
	.ready = usb_ready,
	.rest = usb_rest,
	.save = usb_save,
	.plan = usb_plan,
	.restore = usb_restore,
	.late = usb_late,
	.abandon = usb_abandon,
};
