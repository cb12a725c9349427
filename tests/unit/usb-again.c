// SPDX-License-Identifier: LGPL-2.1-or-later
/* URBs in flight at a checkpoint, and submitted again at a restart: rest.c and late.c, with a target, a kernel and a core
 * that are played. The target's memory is the test's own. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include <cmocka.h>

#include "usb.h"

enum { FD = 20 };

/* ---- the kernel ---- */

#define URBS_MAX 16

static struct usbdevfs_urb *pending[URBS_MAX];
static int status_of[URBS_MAX], length_of[URBS_MAX]; /* 0 = in flight; status 1 stands for success */
static unsigned n_pending, n_cancelled;
static uint64_t cancelled[URBS_MAX];
static int64_t submit_result;

static int64_t kernel_submit(struct usbdevfs_urb *urb)
{
	if (submit_result && urb->type != USBDEVFS_URB_TYPE_CONTROL)
		return submit_result;
	pending[n_pending] = urb;
	length_of[n_pending] = 0;
	status_of[n_pending++] = 0;
	return 0;
}

static int64_t kernel_discard(struct usbdevfs_urb *urb)
{
	for (unsigned i = 0; i < n_pending; i++) {
		if (pending[i] != urb || status_of[i])
			continue;
		status_of[i] = -ENOENT;
		cancelled[n_cancelled++] = (uint64_t)urb;
		return 0;
	}
	return -EINVAL;
}

static int64_t kernel_reap(struct usbdevfs_urb **ret)
{
	for (unsigned i = 0; i < n_pending; i++) {
		if (!status_of[i])
			continue;
		*ret = pending[i];
		pending[i]->status = status_of[i] == 1 ? 0 : status_of[i];
		pending[i]->actual_length = length_of[i];
		n_pending--;
		memmove(pending + i, pending + i + 1, (n_pending - i) * sizeof(pending[0]));
		memmove(status_of + i, status_of + i + 1, (n_pending - i) * sizeof(status_of[0]));
		memmove(length_of + i, length_of + i + 1, (n_pending - i) * sizeof(length_of[0]));
		return 0;
	}
	return -EAGAIN;
}

/* ---- the core ---- */

#define CALLS_MAX 64

struct stasis_calls {
	size_t n;
	uint64_t request[CALLS_MAX], arg[CALLS_MAX];
	int64_t result[CALLS_MAX];
	uint8_t data[4096];
	size_t used;
};

static bool is_last;
static uint64_t undo_at, other_request;
static struct usb_journal journal;
static struct usb_handle handles[USB_HANDLES];
static struct usb_flight flights[USB_FLIGHTS];

int stasis_fail(struct stasis_session *s, int err, const char *fmt, ...)
{
	(void)s, (void)fmt;
	return err;
}

void stasis_warn(struct stasis_session *s, const char *fmt, ...)
{
	(void)s, (void)fmt;
}

void stasis_debug(struct stasis_session *s, const char *fmt, ...)
{
	(void)s, (void)fmt;
}

int stasis_fault(struct stasis_session *s, const char *point)
{
	(void)s, (void)point;
	return 0;
}

size_t stasis_descriptors(struct stasis_session *s, const struct stasis_descriptor **ret)
{
	static const struct stasis_descriptor one = { .fd = FD, .base = FD };

	(void)s;
	*ret = &one;
	return 1;
}

int stasis_read(struct stasis_session *s, uint64_t addr, void *buf, size_t size)
{
	(void)s;
	memcpy(buf, (const void *)addr, size);
	return 0;
}

int stasis_write(struct stasis_session *s, uint64_t addr, const void *buf, size_t size)
{
	(void)s;
	memcpy((void *)addr, buf, size);
	return 0;
}

int stasis_recorded(struct stasis_session *s, uint64_t *ret_addr, uint64_t *ret_size)
{
	(void)s;
	*ret_addr = (uint64_t)&journal;
	*ret_size = sizeof(journal);
	return 0;
}

int stasis_descriptor_copy(struct stasis_session *s, int fd)
{
	(void)s, (void)fd;
	return -EBADF; /* then it is asked */
}

int stasis_undo_ioctl_at(struct stasis_session *s, int fd, uint64_t request, uint64_t addr)
{
	(void)s;
	assert_int_equal(fd, FD);
	assert_int_equal((uint32_t)request, (uint32_t)USBDEVFS_SUBMITURB);
	assert_int_equal(n_cancelled, 0); /* to be said before the change */
	undo_at = addr;
	return 0;
}

bool stasis_is_last(const struct stasis_session *s)
{
	(void)s;
	return is_last;
}

int stasis_calls_create(struct stasis_session *s, size_t max_calls, struct stasis_calls **ret)
{
	(void)s;
	assert_true(max_calls <= CALLS_MAX);
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

void stasis_calls_destroy(struct stasis_calls *c)
{
	free(c);
}

void stasis_calls_reset(struct stasis_calls *c)
{
	c->n = c->used = 0;
}

uint64_t stasis_calls_put(struct stasis_calls *c, const void *data, size_t size)
{
	uint64_t at = (uint64_t)(c->data + c->used);

	assert_true(c->used + size <= sizeof(c->data));
	memcpy((void *)at, data, size);
	c->used += (size + 15) & ~15ul;
	return at;
}

size_t stasis_calls_add(struct stasis_calls *c, unsigned flags, long nr, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3)
{
	(void)flags, (void)a3;
	assert_int_equal(nr, SYS_ioctl);
	assert_int_equal(a0, FD);
	c->request[c->n] = a1;
	c->arg[c->n] = a2;
	return c->n++;
}

static int64_t play(uint64_t request, uint64_t arg)
{
	switch ((uint32_t)request) {
	case (uint32_t)USBDEVFS_SUBMITURB:
		return kernel_submit((struct usbdevfs_urb *)arg);
	case (uint32_t)USBDEVFS_DISCARDURB:
		return kernel_discard((struct usbdevfs_urb *)arg);
	case (uint32_t)USBDEVFS_REAPURBNDELAY:
		return kernel_reap((struct usbdevfs_urb **)arg);
	}
	other_request = request;
	return 0;
}

int stasis_calls_run(struct stasis_calls *c, size_t *ret_failed)
{
	(void)ret_failed;
	for (size_t i = 0; i < c->n; i++)
		c->result[i] = play(c->request[i], c->arg[i]);
	return 0;
}

int64_t stasis_calls_result(const struct stasis_calls *c, size_t index)
{
	return c->result[index];
}

const char *usb_node(unsigned bus, unsigned address, char *buf, size_t size)
{
	snprintf(buf, size, "/dev/null");
	(void)bus, (void)address;
	return buf;
}

/* ---- the target ---- */

static struct usbdevfs_urb urbs[4];
static char buffers[4][1024];
static struct usb_rec_device device;
static struct usb_rec_handle handle;
static struct usb_device now;
static struct usb_place place;
static uint64_t slot;
static struct usb_state state = {
	.devices = &device, .handles = &handle, .n_devices = 1, .n_handles = 1, .slots = &slot, .places = &place
};

static int setup(void **unused)
{
	(void)unused;
	memset(handles, 0, sizeof(handles));
	memset(flights, 0, sizeof(flights));
	journal = (struct usb_journal){ .version = USB_JOURNAL_VERSION,
		                        .handles = (uint64_t)handles,
		                        .flights = (uint64_t)flights };
	handles[3] = (struct usb_handle){ .live = 1, .fd = FD };
	struct usbdevfs_urb wake = { .type = USBDEVFS_URB_TYPE_CONTROL };
	memcpy(handles[3].wake, &wake, sizeof(wake));
	slot = (uint64_t)&handles[3];
	device = (struct usb_rec_device){ .id = 1, .port = (char *)"3-1" };
	handle = (struct usb_rec_handle){ .fd = FD, .device = 1, .flags = O_RDWR };
	place = (struct usb_place){ .choice = USB_CHOSEN, .now = &now };
	state.journal = (uint64_t)&journal;
	n_pending = n_cancelled = 0;
	undo_at = other_request = 0;
	submit_result = 0;
	is_last = true;
	return 0;
}

/* Four bulk requests in, in flight. */
static void fly(void)
{
	for (unsigned i = 0; i < 4; i++) {
		urbs[i] = (struct usbdevfs_urb){ .type = USBDEVFS_URB_TYPE_BULK,
			                         .endpoint = 0x81,
			                         .buffer = buffers[i],
			                         .buffer_length = 1024,
			                         .status = USB_UNREAPED };
		/* the journal's places are not in the order of submission */
		flights[3 - i] = (struct usb_flight){ .live = 1, .fd = FD, .urb = (uint64_t)&urbs[i], .number = i + 1 };
		kernel_submit(&urbs[i]);
	}
	journal.n_flights = 4;
}

static int run(int (*what)(struct stasis_session *, void *))
{
	return what(NULL, &state);
}

static void the_last_is_cancelled_first(void **unused)
{
	(void)unused;
	fly();
	assert_int_equal(run(usb_rest), 0);
	assert_int_equal(n_cancelled, 4);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(cancelled[i], (uint64_t)&urbs[3 - i]);
	assert_int_equal(n_pending, 0);
	assert_int_equal(undo_at, (uint64_t)handles[3].wake);
}

static void a_target_that_goes_on_keeps_what_is_in_flight(void **unused)
{
	(void)unused;
	is_last = false;
	fly();
	status_of[0] = 1;
	length_of[0] = 700;
	assert_int_equal(run(usb_rest), 0);
	assert_int_equal(n_cancelled, 0);
	assert_int_equal(n_pending, 3);
	assert_int_equal(urbs[0].status, 0);
	assert_int_equal(urbs[1].status, USB_UNREAPED);
	assert_int_equal(undo_at, (uint64_t)handles[3].wake);
}

static void all_are_submitted_again_in_their_order(void **unused)
{
	(void)unused;
	fly();
	run(usb_rest);
	assert_int_equal(run(usb_late), 0);
	assert_int_equal(n_pending, 4);
	for (unsigned i = 0; i < 4; i++) {
		assert_ptr_equal(pending[i], &urbs[i]);
		assert_int_equal(urbs[i].status, USB_UNREAPED);
	}
}

static void those_of_a_target_that_went_on_as_well(void **unused)
{
	(void)unused;
	is_last = false;
	fly();
	run(usb_rest);
	n_pending = 0; /* another process, another kernel */
	assert_int_equal(run(usb_late), 0);
	assert_int_equal(n_pending, 4);
	assert_ptr_equal(pending[0], &urbs[0]);
}

static void what_had_come_is_handed_over_and_the_rest_is_asked_for(void **unused)
{
	(void)unused;
	fly();
	status_of[0] = 1; /* whole */
	length_of[0] = 1024;
	length_of[1] = 512; /* a part */
	run(usb_rest);
	assert_int_equal(run(usb_late), 0);
	assert_int_equal(n_pending, 4);
	assert_ptr_equal(pending[0]->buffer, buffers[1] + 512);
	assert_int_equal(pending[0]->buffer_length, 512);
	assert_int_equal(flights[2].done, 512);
	assert_ptr_equal(pending[0], flights[2].again);
	assert_ptr_equal(pending[1], &urbs[2]);
	assert_ptr_equal(pending[2], &urbs[3]);
	assert_ptr_equal(pending[3], handles[3].wake); /* for the one that is whole */
	assert_int_equal(urbs[0].status, 0);
	assert_int_equal(urbs[0].actual_length, 1024);
}

static void parts_add_up_over_generations(void **unused)
{
	(void)unused;
	fly();
	length_of[0] = 512;
	run(usb_rest);
	run(usb_late);
	n_cancelled = 0;
	length_of[0] = 128;
	assert_int_equal(run(usb_rest), 0);
	assert_int_equal(n_pending, 0);
	assert_int_equal(run(usb_late), 0);
	assert_ptr_equal(pending[0]->buffer, buffers[0] + 640);
	assert_int_equal(pending[0]->buffer_length, 384);
	assert_int_equal(flights[3].done, 640);
}

static void one_that_is_refused_went_wrong_for_the_program(void **unused)
{
	(void)unused;
	fly();
	run(usb_rest);
	submit_result = -EINVAL;
	assert_int_equal(run(usb_late), 0);
	assert_int_equal(urbs[0].status, -EPROTO);
	assert_int_equal(n_pending, 1);
	assert_ptr_equal(pending[0], handles[3].wake);
}

static void a_device_that_goes_away_meanwhile_fails_the_restart(void **unused)
{
	(void)unused;
	fly();
	run(usb_rest);
	submit_result = -ENODEV;
	assert_int_equal(run(usb_late), -ENODEV);
}

static void without_a_device_the_journal_is_told(void **unused)
{
	(void)unused;
	fly();
	run(usb_rest);
	place.choice = USB_NONE;
	assert_int_equal(run(usb_late), 0);
	assert_int_equal(n_pending, 0);
	assert_int_equal(handles[3].gone, 1);
}

static void settings_are_made_again(void **unused)
{
	(void)unused;
	handle.set = USB_SET_SIGNAL;
	run(usb_late);
	assert_int_equal((uint32_t)other_request, (uint32_t)USBDEVFS_DISCSIGNAL);
	handle.set = USB_SET_SUSPEND;
	run(usb_late);
	assert_int_equal((uint32_t)other_request, (uint32_t)USBDEVFS_ALLOW_SUSPEND);
	handle.set = USB_SET_SUSPEND | USB_SET_PRIVILEGES;
	run(usb_late);
	assert_int_equal((uint32_t)other_request, (uint32_t)USBDEVFS_DROP_PRIVILEGES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_last_is_cancelled_first, setup),
		cmocka_unit_test_setup(a_target_that_goes_on_keeps_what_is_in_flight, setup),
		cmocka_unit_test_setup(all_are_submitted_again_in_their_order, setup),
		cmocka_unit_test_setup(those_of_a_target_that_went_on_as_well, setup),
		cmocka_unit_test_setup(what_had_come_is_handed_over_and_the_rest_is_asked_for, setup),
		cmocka_unit_test_setup(parts_add_up_over_generations, setup),
		cmocka_unit_test_setup(one_that_is_refused_went_wrong_for_the_program, setup),
		cmocka_unit_test_setup(a_device_that_goes_away_meanwhile_fails_the_restart, setup),
		cmocka_unit_test_setup(without_a_device_the_journal_is_told, setup),
		cmocka_unit_test_setup(settings_are_made_again, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
