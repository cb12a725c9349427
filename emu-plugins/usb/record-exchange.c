// SPDX-License-Identifier: LGPL-2.1-or-later
/* Commands to disks. A command of mass storage (bulk only, the transport of nearly all sticks) is sent in one transfer, its
 * data go in others, and its status comes in a last one. A device that was unplugged in the middle of it knows nothing of it
 * any more, and the program would wait for its answer. So a checkpoint waits for the end of a command: new ones wait at the
 * closed gate, and while one is under way the gate stands open to all, as a guest's driver takes part in it. Nobody waits
 * here for long: a virtual CPU that submits a command from within an exit keeps others of the program waiting. Tests:
 * usb-journal, usb-stick. */
#include <errno.h>
#include <string.h>

#include "record-inside.h"

#define GATE_MS 100

/* Universal Serial Bus Mass Storage Class, Bulk-Only Transport 1.0: 5.1, 5.2, 3.1. */
#define COMMAND_SIZE 31
#define COMMAND_SIGNATURE "USBC"
#define STATUS_SIZE 13
#define STATUS_SIGNATURE "USBS"
#define RESET_TYPE 0x21u
#define RESET_REQUEST 0xffu

static bool is_command(const void *data, size_t size)
{
	return size == COMMAND_SIZE && !memcmp(data, COMMAND_SIGNATURE, 4);
}

static uint32_t tag_of(const void *data)
{
	uint32_t tag;

	memcpy(&tag, (const char *)data + 4, sizeof(tag));
	return tag;
}

void usb_exchange_gate(const struct usb_handle *h)
{
	if (!__atomic_load_n(&h->exchange, __ATOMIC_RELAXED) && recorder_gate_is_closed())
		while (recorder_gate_wait_briefly(GATE_MS) == -EINTR)
			;
}

void usb_exchange_end(struct usb_handle *h)
{
	if (!h->exchange)
		return;
	h->exchange = 0;
	recorder_unhold();
}

void usb_exchange_out(struct usb_handle *h, const void *data, size_t size)
{
	if (!is_command(data, size))
		return;
	h->tag = tag_of(data);
	if (h->exchange)
		return; /* the one before has been given up */
	h->exchange = 1;
	recorder_hold();
}

void usb_exchange_failed(struct usb_handle *h, const void *data, size_t size)
{
	if (is_command(data, size) && h->tag == tag_of(data))
		usb_exchange_end(h);
}

void usb_exchange_in(struct usb_handle *h, const void *data, size_t size)
{
	if (h->exchange && size == STATUS_SIZE && !memcmp(data, STATUS_SIGNATURE, 4) && h->tag == tag_of(data))
		usb_exchange_end(h);
}

void usb_exchange_control(struct usb_handle *h, unsigned type, unsigned request)
{
	if (type == RESET_TYPE && request == RESET_REQUEST)
		usb_exchange_end(h);
}
