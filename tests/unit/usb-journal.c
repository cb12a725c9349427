// SPDX-License-Identifier: LGPL-2.1-or-later
/* The recorder's journal of USB devices, with a kernel that is played: what is in flight, what a controller has reaped or
 * cancelled behind the program's back, commands to disks, and whose a number is. */
#include <errno.h>
#include <fcntl.h>
#include <linux/usbdevice_fs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include <cmocka.h>

#include "usb/flight.h"
#include "usb/journal.h"
#include "usb/record.h"
#include "usb/requests.h"

/* ---- the kernel and the recorder's core, played ---- */

#define PENDING_MAX 64

struct recorder_root recorder_root;
static struct usbdevfs_urb *pending[PENDING_MAX]; /* in flight, or over: `over` tells */
static bool over[PENDING_MAX];
static int status_of[PENDING_MAX], length_of[PENDING_MAX];
static unsigned n_pending, n_gate;
static uint64_t device_now;
static long next_result;
static unsigned long asked; /* the last request, and what for */
static void *asked_arg;
static int busy_at_call; /* within a turn */
static struct usb_handle *gone_at_gate; /* whose device a restart takes away while the program waits */

static void take_out(unsigned i)
{
	n_pending--;
	memmove(pending + i, pending + i + 1, (n_pending - i) * sizeof(pending[0]));
	memmove(over + i, over + i + 1, (n_pending - i) * sizeof(over[0]));
	memmove(status_of + i, status_of + i + 1, (n_pending - i) * sizeof(status_of[0]));
	memmove(length_of + i, length_of + i + 1, (n_pending - i) * sizeof(length_of[0]));
}

static unsigned find(const struct usbdevfs_urb *urb)
{
	for (unsigned i = 0; i < n_pending; i++)
		if (pending[i] == urb)
			return i;
	return PENDING_MAX;
}

/* A URB comes to its end in the kernel. */
static void complete(const struct usbdevfs_urb *urb, int status, int length)
{
	unsigned i = find(urb);

	assert_true(i < PENDING_MAX && !over[i]);
	over[i] = true;
	status_of[i] = status;
	length_of[i] = length;
}

static long kernel_reap(struct usbdevfs_urb **ret)
{
	for (unsigned i = 0; i < n_pending; i++) {
		if (!over[i])
			continue;
		pending[i]->status = status_of[i];
		pending[i]->actual_length = length_of[i];
		*ret = pending[i];
		take_out(i);
		return 0;
	}
	return -EAGAIN;
}

long recorder_next_ioctl(int fd, unsigned long request, void *arg)
{
	(void)fd;
	asked = request;
	asked_arg = arg;
	busy_at_call = (int)recorder_root.busy;
	if ((uint32_t)request == (uint32_t)USBDEVFS_SUBMITURB && !next_result) {
		pending[n_pending] = arg;
		over[n_pending++] = false;
	} else if ((uint32_t)request == (uint32_t)USBDEVFS_DISCARDURB && !next_result) {
		if (find(arg) == PENDING_MAX || over[find(arg)])
			return -EINVAL;
		complete(arg, -ENOENT, 0);
	} else if ((uint32_t)request == (uint32_t)USBDEVFS_REAPURBNDELAY) {
		return kernel_reap(arg);
	}
	return next_result;
}

long recorder_call(long nr, long a0, long a1, long a2, long a3, long a4, long a5)
{
	struct stat *st = (struct stat *)a1;

	(void)a0, (void)a2, (void)a3, (void)a4, (void)a5;
	assert_int_equal(nr, SYS_fstat);
	*st = (struct stat){ .st_mode = S_IFCHR, .st_rdev = device_now };
	return 0;
}

void recorder_begin(struct recorder_turn *turn)
{
	(void)turn;
	assert_int_equal(recorder_root.busy, 0);
	recorder_root.busy++;
}

void recorder_end(struct recorder_turn *turn)
{
	(void)turn;
	recorder_root.busy--;
}

void *recorder_memory(size_t size)
{
	void *p = calloc(1, size); /* kept for good, as the real one's */

	assert_non_null(p);
	return p;
}

void recorder_break(void)
{
	recorder_root.broken = 1;
}

void recorder_claim(int fd, const struct recorder_kind *kind)
{
	(void)fd, (void)kind;
}

void recorder_hold(void)
{
	recorder_root.held++;
}

void recorder_unhold(void)
{
	recorder_root.held--;
}

int recorder_gate_wait_briefly(unsigned ms)
{
	(void)ms;
	n_gate++;
	if (gone_at_gate) { /* restarted without it, on something that has no such calls */
		gone_at_gate->gone = 1;
		gone_at_gate = NULL;
		next_result = -ENOTTY;
	}
	return 0;
}

/* ---- what the program does ---- */

enum { FD = 20, OTHER = 21 };

static struct usbdevfs_urb urbs[8];
static char buffers[8][1024];

static struct usb_journal *journal(void)
{
	return (struct usb_journal *)recorder_root.sections[0].addr;
}

static struct usb_handle *handle(int fd)
{
	struct usb_handle *all = (struct usb_handle *)journal()->handles;

	for (int i = 0; i < USB_HANDLES; i++)
		if (all[i].live && all[i].fd == fd)
			return &all[i];
	return NULL;
}

static unsigned count(int fd)
{
	struct usb_flight *all = (struct usb_flight *)journal()->flights;
	unsigned n = 0;

	for (uint32_t i = 0; i < journal()->n_flights; i++)
		n += all[i].live && all[i].fd == fd;
	return n;
}

static long call(int fd, unsigned long request, void *arg)
{
	return usb_recorder_kind.ioctl(fd, request, arg);
}

static struct usbdevfs_urb *submit(int i, unsigned char type, unsigned char endpoint, int length)
{
	urbs[i] = (struct usbdevfs_urb){ .type = type, .endpoint = endpoint, .buffer = buffers[i], .buffer_length = length };
	assert_int_equal(call(FD, USBDEVFS_SUBMITURB, &urbs[i]), 0);
	return &urbs[i];
}

static struct usbdevfs_urb *bulk_in(int i)
{
	return submit(i, USBDEVFS_URB_TYPE_BULK, 0x81, 1024);
}

static struct usbdevfs_urb *reap(void)
{
	struct usbdevfs_urb *urb = NULL;
	long result = call(FD, USBDEVFS_REAPURBNDELAY, &urb);

	assert_true(result == 0 || result == -EAGAIN);
	return result ? NULL : urb;
}

/* What a controller does: cancels all, reaps all, and asks for the program to be woken. */
static void rest(bool cancel)
{
	struct usbdevfs_urb *urb;

	for (unsigned i = n_pending; i > 0 && cancel; i--)
		if (!over[i - 1])
			complete(pending[i - 1], -ENOENT, i == 1 ? length_of[0] : 0);
	while (!kernel_reap(&urb))
		;
	pending[n_pending] = (struct usbdevfs_urb *)handle(FD)->wake;
	status_of[n_pending] = 0;
	length_of[n_pending] = 10;
	over[n_pending++] = true;
}

static int setup(void **state)
{
	(void)state;
	if (!recorder_root.sections[0].addr)
		usb_recorder_kind.init(&recorder_root.sections[0]);
	next_result = 0;
	usb_recorder_kind.closing(FD);
	usb_recorder_kind.closing(OTHER);
	memset(length_of, 0, sizeof(length_of));
	n_pending = n_gate = 0;
	device_now = makedev(189, 5);
	recorder_root.broken = recorder_root.closed = recorder_root.held = 0;
	call(FD, USBDEVFS_GET_CAPABILITIES, &(uint32_t){ 0 });
	return 0;
}

/* ---- flights ---- */

static void a_request_is_in_flight_until_it_is_reaped(void **state)
{
	(void)state;
	bulk_in(0);
	assert_int_equal(count(FD), 1);
	assert_int_equal(urbs[0].status, USB_UNREAPED);
	assert_null(reap());
	complete(&urbs[0], 0, 700);
	assert_ptr_equal(reap(), &urbs[0]);
	assert_int_equal(urbs[0].actual_length, 700);
	assert_int_equal(count(FD), 0);
}

static void a_request_that_was_refused_leaves_nothing(void **state)
{
	(void)state;
	urbs[0] = (struct usbdevfs_urb){ .type = USBDEVFS_URB_TYPE_BULK, .endpoint = 0x81, .status = -5 };
	next_result = -ENOENT;
	assert_int_equal(call(FD, USBDEVFS_SUBMITURB, &urbs[0]), -ENOENT);
	assert_int_equal(count(FD), 0);
	assert_int_equal(urbs[0].status, -5);
}

static void what_was_reaped_for_the_program_is_handed_over_in_order(void **state)
{
	(void)state;
	bulk_in(0);
	bulk_in(1);
	bulk_in(2);
	complete(&urbs[0], 0, 10);
	complete(&urbs[1], -EPIPE, 0);
	rest(false);
	complete(&urbs[2], 0, 30);
	assert_ptr_equal(reap(), &urbs[0]);
	assert_ptr_equal(reap(), &urbs[1]);
	assert_int_equal(urbs[1].status, -EPIPE);
	assert_ptr_equal(reap(), &urbs[2]);
	assert_null(reap());
	assert_int_equal(n_pending, 0); /* and the one that woke it is gone */
	assert_int_equal(count(FD), 0);
}

static void the_wake_up_call_is_nobody_elses(void **state)
{
	(void)state;
	bulk_in(0);
	rest(false);
	assert_null(reap());
	assert_int_equal(n_pending, 1);
}

static void what_was_cancelled_is_submitted_again_in_order(void **state)
{
	(void)state;
	bulk_in(0);
	bulk_in(1);
	rest(true);
	assert_int_equal(n_pending, 1);
	assert_null(reap());
	assert_int_equal(n_pending, 2);
	assert_ptr_equal(pending[0], &urbs[0]);
	assert_ptr_equal(pending[1], &urbs[1]);
	complete(&urbs[0], 0, 5);
	assert_ptr_equal(reap(), &urbs[0]);
}

static void one_that_was_cancelled_and_not_reaped_as_well(void **state)
{
	(void)state;
	bulk_in(0);
	bulk_in(1);
	bulk_in(2);
	complete(&urbs[2], -ENOENT, 0); /* the last one first, then the controller is killed */
	complete(&urbs[1], -ENOENT, 0);
	assert_null(reap());
	assert_int_equal(n_pending, 3);
	for (unsigned i = 0; i < 3; i++)
		assert_ptr_equal(pending[i], &urbs[i]);
}

static void what_had_come_is_not_asked_for_again(void **state)
{
	(void)state;
	bulk_in(0);
	length_of[0] = 512;
	rest(true);
	assert_null(reap());
	assert_int_equal(n_pending, 1);
	struct usbdevfs_urb *again = pending[0];
	assert_ptr_not_equal(again, &urbs[0]);
	assert_ptr_equal(again->buffer, buffers[0] + 512);
	assert_int_equal(again->buffer_length, 512);
	/* once more */
	length_of[0] = 100;
	rest(true);
	assert_null(reap());
	again = pending[0];
	assert_ptr_equal(again->buffer, buffers[0] + 612);
	complete(again, 0, 50);
	assert_ptr_equal(reap(), &urbs[0]);
	assert_int_equal(urbs[0].actual_length, 662);
	assert_int_equal(urbs[0].status, 0);
}

static void one_that_had_all_is_over(void **state)
{
	(void)state;
	bulk_in(0);
	length_of[0] = 1024;
	rest(true);
	assert_ptr_equal(reap(), &urbs[0]);
	assert_int_equal(urbs[0].status, 0);
	assert_int_equal(urbs[0].actual_length, 1024);
}

static void control_transfers_begin_anew(void **state)
{
	(void)state;
	submit(0, USBDEVFS_URB_TYPE_CONTROL, 0, 64);
	length_of[0] = 20;
	rest(true);
	assert_null(reap());
	assert_ptr_equal(pending[0], &urbs[0]);
}

static void what_the_program_discards_stays_so(void **state)
{
	(void)state;
	bulk_in(0);
	assert_int_equal(call(FD, USBDEVFS_DISCARDURB, &urbs[0]), 0);
	rest(true);
	assert_ptr_equal(reap(), &urbs[0]);
	assert_int_equal(urbs[0].status, -ENOENT);
	assert_int_equal(call(FD, USBDEVFS_DISCARDURB, &urbs[0]), -EINVAL);
	assert_null(reap());
	/* one that flies under another address */
	bulk_in(1);
	length_of[0] = 512;
	rest(true);
	assert_int_equal(call(FD, USBDEVFS_DISCARDURB, &urbs[1]), 0);
	assert_ptr_equal(reap(), &urbs[1]);
	assert_int_equal(urbs[1].status, -ENOENT);
	assert_int_equal(urbs[1].actual_length, 512);
}

static void without_a_device_all_comes_back_and_nothing_goes_out(void **state)
{
	struct usbdevfs_urb *urb;

	(void)state;
	bulk_in(0);
	bulk_in(1);
	handle(FD)->gone = 1;
	assert_int_equal(call(FD, USBDEVFS_SUBMITURB, &urbs[2]), -ENODEV);
	assert_int_equal(call(FD, USBDEVFS_CLAIMINTERFACE, &(unsigned){ 0 }), -ENODEV);
	assert_int_equal(call(FD, USBDEVFS_DISCARDURB, &urbs[1]), 0);
	assert_ptr_equal(reap(), &urbs[1]);
	assert_int_equal(urbs[1].status, -ENOENT);
	assert_ptr_equal(reap(), &urbs[0]);
	assert_int_equal(urbs[0].status, -ESHUTDOWN);
	assert_int_equal(call(FD, USBDEVFS_REAPURBNDELAY, &urb), -ENODEV);
	assert_int_equal(call(FD, USBDEVFS_REAPURB, &urb), -ENODEV);
}

/* ---- settings ---- */

static void claims_and_settings_are_kept(void **state)
{
	struct usbdevfs_ioctl detach = { .ifno = 3, .ioctl_code = USBDEVFS_DISCONNECT };
	struct usbdevfs_disconnect_claim both = { .interface = 1 };
	struct usbdevfs_disconnectsignal signal = { .signr = 10, .context = &signal };
	uint32_t caps = USBDEVFS_CAP_MMAP | USBDEVFS_CAP_REAP_AFTER_DISCONNECT;

	(void)state;
	call(FD, USBDEVFS_CLAIMINTERFACE, &(unsigned){ 0 });
	call(FD, USBDEVFS_CLAIMINTERFACE, &(unsigned){ 2 });
	call(FD, USBDEVFS_RELEASEINTERFACE, &(unsigned){ 0 });
	call(FD, USBDEVFS_DISCONNECT_CLAIM, &both);
	call(FD, USBDEVFS_IOCTL, &detach);
	assert_int_equal(handle(FD)->claimed, 1 << 1 | 1 << 2);
	assert_int_equal(handle(FD)->detached, 1 << 1 | 1 << 3);
	detach.ioctl_code = USBDEVFS_CONNECT;
	call(FD, USBDEVFS_IOCTL, &detach);
	assert_int_equal(handle(FD)->detached, 1 << 1);
	call(FD, USBDEVFS_DISCSIGNAL, &signal);
	call(FD, USBDEVFS_ALLOW_SUSPEND, NULL);
	assert_int_equal(handle(FD)->set, USB_SET_SIGNAL | USB_SET_SUSPEND);
	assert_int_equal(handle(FD)->context, (uint64_t)&signal);
	call(FD, USBDEVFS_FORBID_SUSPEND, NULL);
	assert_int_equal(handle(FD)->set, USB_SET_SIGNAL);
	call(FD, USBDEVFS_GET_CAPABILITIES, &caps);
	assert_int_equal(caps, USBDEVFS_CAP_REAP_AFTER_DISCONNECT);
	assert_int_equal(usb_recorder_kind.mapping(FD), -ENOMEM);
}

static void what_shows_in_the_device_or_nowhere_is_passed_on(void **state)
{
	static const unsigned long requests[] = {
		USBDEVFS_RESETEP,      USBDEVFS_CLEAR_HALT,   USBDEVFS_SETINTERFACE, USBDEVFS_GETDRIVER, USBDEVFS_CONNECTINFO,
		USBDEVFS_HUB_PORTINFO, USBDEVFS_RELEASE_PORT, USBDEVFS_FREE_STREAMS, USBDEVFS_GET_SPEED, USBDEVFS_CONNINFO_EX(24),
	};
	struct usb_handle before = *handle(FD);
	char arg[256];

	(void)state;
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		next_result = 3 + (long)i;
		assert_int_equal(call(FD, requests[i], arg), next_result);
		next_result = -ENODEV;
		assert_int_equal(call(FD, requests[i], arg), -ENODEV);
		assert_int_equal(asked, requests[i]);
		assert_ptr_equal(asked_arg, arg);
		assert_memory_equal(handle(FD), &before, sizeof(before));
	}
}

static void who_has_waited_for_the_resume_keeps_the_device_awake(void **state)
{
	(void)state;
	call(FD, USBDEVFS_ALLOW_SUSPEND, NULL);
	next_result = -EINTR;
	assert_int_equal(call(FD, USBDEVFS_WAIT_FOR_RESUME, NULL), -EINTR);
	assert_int_equal(handle(FD)->set, USB_SET_SUSPEND);
	next_result = 0;
	busy_at_call = -1;
	assert_int_equal(call(FD, USBDEVFS_WAIT_FOR_RESUME, NULL), 0);
	assert_int_equal(busy_at_call, 0);
	assert_int_equal(handle(FD)->set, 0);
}

static void a_number_may_go_to_another_device(void **state)
{
	(void)state;
	call(FD, USBDEVFS_CLAIMINTERFACE, &(unsigned){ 0 });
	bulk_in(0);
	usb_recorder_kind.closing(FD);
	assert_null(handle(FD));
	assert_int_equal(count(FD), 0);
	call(FD, USBDEVFS_CLAIMINTERFACE, &(unsigned){ 1 });
	assert_int_equal(handle(FD)->claimed, 1 << 1);
	device_now = makedev(189, 6); /* a close that was not seen */
	call(FD, USBDEVFS_GET_CAPABILITIES, &(uint32_t){ 0 });
	assert_int_equal(handle(FD)->claimed, 0);
}

static void what_cannot_be_restored_is_kept_to_be_refused(void **state)
{
	(void)state;
	call(FD, USBDEVFS_ALLOC_STREAMS, NULL);
	assert_int_equal(handle(FD)->refused, (uint32_t)USBDEVFS_ALLOC_STREAMS);
	call(FD, USBDEVFS_CLAIM_PORT, &(unsigned){ 1 });
	assert_int_equal(handle(FD)->refused, (uint32_t)USBDEVFS_CLAIM_PORT);
	call(FD, _IO('U', 99), NULL);
	assert_int_equal(handle(FD)->refused, (uint32_t)_IO('U', 99));
	assert_non_null(usb_request_find(USBDEVFS_CONNINFO_EX(24)));
}

static void other_drivers_requests_are_left_alone(void **state)
{
	(void)state;
	call(OTHER, _IOR('U', 0x01, char[100]), NULL); /* that of a sound card */
	assert_null(handle(OTHER));
	device_now = makedev(116, 1);
	call(OTHER, USBDEVFS_CLAIMINTERFACE, &(unsigned){ 0 });
	assert_null(handle(OTHER));
}

/* ---- commands to disks ---- */

static struct usbdevfs_urb *command(int i, uint32_t tag)
{
	memset(buffers[i], 0, 31);
	memcpy(buffers[i], "USBC", 4);
	memcpy(buffers[i] + 4, &tag, 4);
	return submit(i, USBDEVFS_URB_TYPE_BULK, 0x02, 31);
}

static void answer(int i, uint32_t tag)
{
	bulk_in(i);
	memcpy(buffers[i], "USBS", 4);
	memcpy(buffers[i] + 4, &tag, 4);
	complete(&urbs[i], 0, 13);
	assert_ptr_equal(reap(), &urbs[i]);
}

static void a_command_lasts_until_its_status_is_read(void **state)
{
	(void)state;
	command(0, 7);
	assert_int_equal(recorder_root.held, 1);
	complete(&urbs[0], 0, 31);
	reap();
	answer(1, 6); /* that of another one */
	assert_int_equal(handle(FD)->exchange, 1);
	answer(1, 7);
	assert_int_equal(handle(FD)->exchange, 0);
	assert_int_equal(recorder_root.held, 0);
}

static void new_commands_wait_at_the_gate_and_what_belongs_to_one_does_not(void **state)
{
	(void)state;
	recorder_root.closed = 1;
	bulk_in(2);
	assert_int_equal(n_gate, 0);
	command(0, 7);
	assert_int_equal(n_gate, 1);
	submit(1, USBDEVFS_URB_TYPE_BULK, 0x02, 512);
	assert_int_equal(n_gate, 1);
	usb_recorder_kind.closing(FD);
	assert_int_equal(recorder_root.held, 0);
}

static void a_command_that_waited_while_its_device_went_away_finds_none(void **state)
{
	struct usbdevfs_urb urb = { .type = USBDEVFS_URB_TYPE_BULK, .endpoint = 0x02, .buffer = buffers[0], .buffer_length = 31 };

	(void)state;
	memset(buffers[0], 0, 31);
	memcpy(buffers[0], "USBC", 4);
	recorder_root.closed = 1;
	gone_at_gate = handle(FD);
	assert_int_equal(call(FD, USBDEVFS_SUBMITURB, &urb), -ENODEV);
	assert_int_equal(n_gate, 1);
	assert_int_equal(count(FD), 0);
	assert_int_equal(recorder_root.held, 0);
}

static void a_reset_ends_a_command(void **state)
{
	struct usbdevfs_ctrltransfer reset = { .bRequestType = 0x21, .bRequest = 0xff };

	(void)state;
	command(0, 7);
	call(FD, USBDEVFS_CONTROL, &reset);
	assert_int_equal(handle(FD)->exchange, 0);
	complete(&urbs[0], 0, 31);
	reap();
	command(0, 8);
	call(FD, USBDEVFS_RESET, NULL);
	assert_int_equal(handle(FD)->exchange, 0);
	complete(&urbs[0], -EPROTO, 0);
	reap();
	command(0, 9);
	complete(&urbs[0], -EPROTO, 0); /* it never got there */
	reap();
	assert_int_equal(handle(FD)->exchange, 0);
	assert_int_equal(recorder_root.held, 0);
}

static void whole_transfers_are_commands_too(void **state)
{
	struct usbdevfs_bulktransfer bulk = { .ep = 0x02, .len = 31, .data = buffers[0] };

	(void)state;
	memset(buffers[0], 0, 31);
	memcpy(buffers[0], "USBC\1\0\0\0", 8);
	next_result = 31;
	call(FD, USBDEVFS_BULK, &bulk);
	assert_int_equal(handle(FD)->exchange, 1);
	memcpy(buffers[0], "USBS\1\0\0\0", 8);
	bulk.ep = 0x81;
	next_result = 13;
	call(FD, USBDEVFS_BULK, &bulk);
	assert_int_equal(handle(FD)->exchange, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_request_is_in_flight_until_it_is_reaped, setup),
		cmocka_unit_test_setup(a_request_that_was_refused_leaves_nothing, setup),
		cmocka_unit_test_setup(what_was_reaped_for_the_program_is_handed_over_in_order, setup),
		cmocka_unit_test_setup(the_wake_up_call_is_nobody_elses, setup),
		cmocka_unit_test_setup(what_was_cancelled_is_submitted_again_in_order, setup),
		cmocka_unit_test_setup(one_that_was_cancelled_and_not_reaped_as_well, setup),
		cmocka_unit_test_setup(what_had_come_is_not_asked_for_again, setup),
		cmocka_unit_test_setup(one_that_had_all_is_over, setup),
		cmocka_unit_test_setup(control_transfers_begin_anew, setup),
		cmocka_unit_test_setup(what_the_program_discards_stays_so, setup),
		cmocka_unit_test_setup(without_a_device_all_comes_back_and_nothing_goes_out, setup),
		cmocka_unit_test_setup(claims_and_settings_are_kept, setup),
		cmocka_unit_test_setup(what_shows_in_the_device_or_nowhere_is_passed_on, setup),
		cmocka_unit_test_setup(who_has_waited_for_the_resume_keeps_the_device_awake, setup),
		cmocka_unit_test_setup(a_number_may_go_to_another_device, setup),
		cmocka_unit_test_setup(what_cannot_be_restored_is_kept_to_be_refused, setup),
		cmocka_unit_test_setup(other_drivers_requests_are_left_alone, setup),
		cmocka_unit_test_setup(a_command_lasts_until_its_status_is_read, setup),
		cmocka_unit_test_setup(new_commands_wait_at_the_gate_and_what_belongs_to_one_does_not, setup),
		cmocka_unit_test_setup(a_command_that_waited_while_its_device_went_away_finds_none, setup),
		cmocka_unit_test_setup(a_reset_ends_a_command, setup),
		cmocka_unit_test_setup(whole_transfers_are_commands_too, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
