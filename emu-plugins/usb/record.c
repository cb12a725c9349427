// SPDX-License-Identifier: LGPL-2.1-or-later
/* The recorder's part for USB devices: interfaces claimed, settings, URBs in flight, per descriptor of usbfs, from its first
 * call until it is closed. The memory that usbfs would let a program map for its transfers is refused: the device writes
 * there while the program stands still. Programs then use their own (libusb_dev_mem_alloc may always fail). */
#include "record.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "record-inside.h"
#include "requests.h"

#define USB_DEVICE_MAJOR 189 /* Documentation/admin-guide/devices.txt */

struct usb_journal usb_journal = { .version = USB_JOURNAL_VERSION, .size = sizeof(usb_journal) };

static void journal_init(struct recorder_section *section)
{
	void *handles = recorder_memory(sizeof(struct usb_handle) * USB_HANDLES);
	void *flights = handles ? recorder_memory(sizeof(struct usb_flight) * USB_FLIGHTS) : NULL;

	if (!flights)
		return;
	usb_journal.handles = (uint64_t)handles;
	usb_journal.flights = (uint64_t)flights;
	*section = (struct recorder_section){ .name = "usb", .addr = (uint64_t)&usb_journal, .size = sizeof(usb_journal) };
}

/* ---- descriptors ---- */

static struct usb_handle *handles(void)
{
	return (struct usb_handle *)usb_journal.handles;
}

static struct usb_handle *handle_find(int fd)
{
	for (uint32_t i = 0; i < USB_HANDLES && usb_journal.handles; i++)
		if (handles()[i].live && handles()[i].fd == fd)
			return &handles()[i];
	return NULL;
}

static void handle_forget(struct usb_handle *h)
{
	usb_exchange_end(h);
	usb_record_forget(h);
	h->live = 0;
}

/* A GET_STATUS of the device, which every one must answer (Universal Serial Bus 2.0: 9.4.5). */
static void make_wake(struct usb_handle *h)
{
	static const uint8_t get_status[8] = { 0x80, 0, 0, 0, 0, 0, 2, 0 };
	struct usbdevfs_urb wake = { .type = USBDEVFS_URB_TYPE_CONTROL,
		                     .buffer = h->setup,
		                     .buffer_length = sizeof(get_status) + 2 };

	memcpy(h->setup, get_status, sizeof(get_status));
	memcpy(h->wake, &wake, sizeof(wake));
}

/* The device behind a descriptor; 0: it is none of usbfs. */
static uint64_t device_of(int fd)
{
	struct stat st;

	if (recorder_call(SYS_fstat, fd, (long)&st, 0, 0, 0, 0) || !S_ISCHR(st.st_mode) ||
	    major(st.st_rdev) != USB_DEVICE_MAJOR)
		return 0;
	return st.st_rdev;
}

static struct usb_handle *handle_new(int fd, uint64_t device)
{
	for (uint32_t i = 0; i < USB_HANDLES; i++) {
		struct usb_handle *h = &handles()[i];
		if (h->live)
			continue;
		*h = (struct usb_handle){ .fd = fd, .device = device };
		make_wake(h);
		h->live = 1;
		recorder_claim(fd, &usb_recorder_kind);
		return h;
	}
	recorder_break();
	return NULL;
}

/* NULL: it is no device of usbfs. In a turn. */
static struct usb_handle *handle_of(int fd)
{
	struct usb_handle *h = handle_find(fd);
	uint64_t device = h || !usb_journal.handles ? 0 : device_of(fd);

	return device ? handle_new(fd, device) : h;
}

static void closing(int fd)
{
	struct recorder_turn turn;

	if (!handle_find(fd))
		return;
	recorder_begin(&turn);
	struct usb_handle *h = handle_find(fd);
	if (h)
		handle_forget(h);
	recorder_end(&turn);
}

static int mapping(int fd)
{
	return handle_find(fd) ? -ENOMEM : 0;
}

/* ---- settings ---- */

static void set_bit(uint64_t *bits, unsigned i, bool on)
{
	if (i < 64)
		*bits = on ? *bits | 1ull << i : *bits & ~(1ull << i);
}

static void note_ioctl(struct usb_handle *h, const struct usbdevfs_ioctl *call)
{
	if (call->ifno >= 0 && ((uint32_t)call->ioctl_code == (uint32_t)USBDEVFS_DISCONNECT ||
	                        (uint32_t)call->ioctl_code == (uint32_t)USBDEVFS_CONNECT))
		set_bit(&h->detached, (unsigned)call->ifno, (uint32_t)call->ioctl_code == (uint32_t)USBDEVFS_DISCONNECT);
}

static void note(struct usb_handle *h, uint32_t request, void *arg)
{
	const struct usbdevfs_disconnect_claim *both = arg;
	const struct usbdevfs_disconnectsignal *signal = arg;

	if (request == (uint32_t)USBDEVFS_CLAIMINTERFACE || request == (uint32_t)USBDEVFS_RELEASEINTERFACE) {
		set_bit(&h->claimed, *(const unsigned *)arg, request == (uint32_t)USBDEVFS_CLAIMINTERFACE);
	} else if (request == (uint32_t)USBDEVFS_DISCONNECT_CLAIM) {
		set_bit(&h->claimed, both->interface, true);
		set_bit(&h->detached, both->interface, true);
	} else if (request == (uint32_t)USBDEVFS_IOCTL) {
		note_ioctl(h, arg);
	} else if (request == (uint32_t)USBDEVFS_SETCONFIGURATION) {
		usb_exchange_end(h);
		h->detached = 0;
	} else if (request == (uint32_t)USBDEVFS_DISCSIGNAL) {
		h->set = signal->signr ? h->set | USB_SET_SIGNAL : h->set & ~(uint32_t)USB_SET_SIGNAL;
		h->signal = signal->signr;
		h->context = (uint64_t)signal->context;
	} else if (request == (uint32_t)USBDEVFS_DROP_PRIVILEGES) {
		h->set |= USB_SET_PRIVILEGES;
		h->privileges = *(const uint32_t *)arg;
	} else if (request == (uint32_t)USBDEVFS_ALLOW_SUSPEND) {
		h->set |= USB_SET_SUSPEND;
	} else if (request == (uint32_t)USBDEVFS_FORBID_SUSPEND || request == (uint32_t)USBDEVFS_WAIT_FOR_RESUME) {
		h->set &= ~(uint32_t)USB_SET_SUSPEND;
	} else if (request == (uint32_t)USBDEVFS_GET_CAPABILITIES) {
		*(uint32_t *)arg &= ~(uint32_t)USBDEVFS_CAP_MMAP;
	}
}

/* ---- the calls ---- */

/* A whole transfer: nothing is noted of it but what it means for a command. The kernel lets nothing interrupt it. */
static long talk(struct usb_handle *h, unsigned long request, void *arg)
{
	const struct usbdevfs_bulktransfer *bulk = (uint32_t)request == (uint32_t)USBDEVFS_BULK ? arg : NULL;
	const struct usbdevfs_ctrltransfer *control = (uint32_t)request == (uint32_t)USBDEVFS_CONTROL ? arg : NULL;
	bool out = bulk && !(bulk->ep & 0x80);
	struct recorder_turn turn;

	usb_exchange_gate(h);
	recorder_begin(&turn);
	if (out)
		usb_exchange_out(h, bulk->data, bulk->len);
	recorder_end(&turn);
	long result = recorder_next_ioctl(h->fd, request, arg);
	recorder_begin(&turn);
	if (out && result < 0)
		usb_exchange_failed(h, bulk->data, bulk->len);
	else if (bulk && !out && result > 0)
		usb_exchange_in(h, bulk->data, (size_t)result);
	else if (control)
		usb_exchange_control(h, control->bRequestType, control->bRequest);
	else if (!bulk) /* USBDEVFS_RESET */
		usb_exchange_end(h);
	recorder_end(&turn);
	return result;
}

static bool is_new_work(const struct usbdevfs_urb *urb)
{
	return urb->type == USBDEVFS_URB_TYPE_CONTROL || (urb->type == USBDEVFS_URB_TYPE_BULK && !(urb->endpoint & 0x80));
}

/* Without a turn while it waits: the answer may depend on another thread. */
static long reap_waiting(struct usb_handle *h, struct usbdevfs_urb **ret)
{
	struct pollfd p = { .fd = h->fd, .events = POLLOUT };
	struct recorder_turn turn;

	for (;;) {
		recorder_begin(&turn);
		long result = usb_record_reap(h, ret);
		recorder_end(&turn);
		if (result != -EAGAIN)
			return result;
		if (recorder_call(SYS_ppoll, (long)&p, 1, 0, 0, 0, 0) < 0)
			return -EINTR;
	}
}

static long urb_call(struct usb_handle *h, uint32_t request, void *arg)
{
	struct recorder_turn turn;
	long result;

	if (request == (uint32_t)USBDEVFS_REAPURB)
		return reap_waiting(h, arg);
	if (request == (uint32_t)USBDEVFS_SUBMITURB && h->gone)
		return -ENODEV;
	if (request == (uint32_t)USBDEVFS_SUBMITURB && is_new_work(arg))
		usb_exchange_gate(h);
	recorder_begin(&turn);
	if (request == (uint32_t)USBDEVFS_SUBMITURB)
		result = usb_record_submit(h, arg);
	else if (request == (uint32_t)USBDEVFS_DISCARDURB)
		result = usb_record_discard(h, arg);
	else
		result = usb_record_reap(h, arg);
	recorder_end(&turn);
	return result;
}

/* libusb's first call on a descriptor. One that comes again is of a new one with the old number, if its device is another. */
static struct usb_handle *look_again(struct usb_handle *h, uint32_t request)
{
	if (!h || h->gone || request != (uint32_t)USBDEVFS_GET_CAPABILITIES || device_of(h->fd) == h->device)
		return h;
	int fd = h->fd;
	handle_forget(h);
	return handle_of(fd);
}

static long usb_call(int fd, unsigned long request, void *arg)
{
	const struct usb_request *r = usb_request_find(request);
	enum usb_request_class class = r ? r->class : USB_REQUEST_REFUSE;
	struct usb_handle *h = handle_find(fd);
	struct recorder_turn turn;

	if (!h && (!r || class == USB_REQUEST_PLAIN)) /* other drivers have requests of this type, too */
		return recorder_next_ioctl(fd, request, arg);
	recorder_begin(&turn);
	h = look_again(handle_of(fd), (uint32_t)request);
	recorder_end(&turn);
	if (!h)
		return recorder_next_ioctl(fd, request, arg);
	if (class == USB_REQUEST_URB)
		return urb_call(h, (uint32_t)request, arg);
	if (h->gone)
		return -ENODEV;
	if (class == USB_REQUEST_TALK)
		return talk(h, request, arg);
	if (class == USB_REQUEST_PLAIN)
		return recorder_next_ioctl(fd, request, arg);
	bool waits = class == USB_REQUEST_WAIT; /* without a turn */
	long result = waits ? recorder_next_ioctl(fd, request, arg) : 0;
	recorder_begin(&turn);
	if (!waits)
		result = recorder_next_ioctl(fd, request, arg);
	if (result >= 0 && class == USB_REQUEST_REFUSE)
		h->refused = (uint32_t)request;
	else if (result >= 0)
		note(h, (uint32_t)request, arg);
	recorder_end(&turn);
	return result;
}

/* A call that had begun, at the gate perhaps, when a checkpoint was made finds no device behind a descriptor that a restart has left
 * without one. Tests: usb-device-away, usb-journal. */
static long usb_ioctl(int fd, unsigned long request, void *arg)
{
	long result = usb_call(fd, request, arg);
	const struct usb_handle *h = result == -ENOTTY ? handle_find(fd) : NULL;

	return h && h->gone ? -ENODEV : result;
}

const struct recorder_kind usb_recorder_kind = {
	.name = "usb",
	.ioctl_type = 'U',
	.ioctl = usb_ioctl,
	.init = journal_init,
	.closing = closing,
	.mapping = mapping,
};
