/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Inside of the USB plugin: what its files share. */
#ifndef STASIS_USB_USB_H
#define STASIS_USB_USB_H

#include <stdint.h>

#include "flight.h"
#include "journal.h"
#include "records.h"
#include "stasis/plugin.h"
#include "usb/choose.h"
#include "usb/host.h"

#define USB_DEVICE_MAJOR 189 /* Documentation/admin-guide/devices.txt */

/* Where a device is to be had at a restart. */
struct usb_place {
	enum usb_choice choice;
	struct usb_device *now; /* of the host; USB_CHOSEN: the one */
	const char *said;       /* NEW of --map usb:OLD=NEW, NULL: nothing */
	uint64_t claimed;       /* by all of its descriptors together, or without a driver because of them */
	uint64_t detach;        /* interfaces whose drivers have to go */
	bool ready;             /* make.c: it has been brought to its configuration */
};

/* What a restart has taken from drivers of the host, to be given back if it fails. */
struct usb_taken {
	char node[32];
	uint64_t interfaces;
};

/* A flight of the target's journal, and copies of its structs. */
struct usb_flown {
	uint64_t at; /* its address in the target */
	struct usb_flight flight;
	struct usbdevfs_urb urb, had; /* the program's; what the kernel was given */
};

/* The plugin's state in a checkpoint or restart: devices and handles are as the records have them. */
struct usb_state {
	uint64_t journal; /* its address in the target; 0 = none */
	struct usb_rec_device *devices;
	struct usb_rec_handle *handles;
	size_t n_devices, n_handles;
	/* checkpoint */
	uint64_t *slots;        /* per handle: the address of its struct usb_handle, 0: none */
	uint64_t *held;         /* per device: interfaces that usbfs has */
	uint64_t waiting_since; /* ready: ms; 0: not yet */
	unsigned asked;         /* ready: how often */
	/* restart */
	struct usb_host host;
	struct usb_place *places; /* one per device */
	struct usb_taken *taken;  /* the same, in memory shared with the processes of a restart */
};

void usb_state_clear(struct usb_state *u);
uint64_t usb_now_ms(void);
/* "/dev/bus/usb/003/005" */
const char *usb_node(unsigned bus, unsigned address, char *buf, size_t size);

/* ---- checkpoint ---- */

/* survey.c: all descriptors and devices anew. Says what was recorded and cannot be restored. */
int usb_survey(struct stasis_session *s, struct usb_state *u);
/* journal-read.c: the journal of the target. Nothing in it is trusted. */
int usb_journal_handle(struct stasis_session *s, uint64_t journal, int fd, struct usb_handle *ret, uint64_t *ret_at);
/* The flights of a descriptor, in the order of their submission. To be freed. A negative errno is not worded. */
int usb_journal_flights(struct stasis_session *s, uint64_t journal, int fd, struct usb_flown **ret, size_t *ret_n);
/* check.c */
int usb_check(struct stasis_session *s, void *state);
int usb_ready(struct stasis_session *s, void *state);
int usb_save(struct stasis_session *s, void *state);
/* rest.c */
int usb_rest(struct stasis_session *s, void *state);

/* ---- restart ---- */

/* load.c */
int usb_load(struct stasis_session *s, struct usb_state *u);
/* plan.c */
int usb_plan(struct stasis_session *s, void *state);
/* plan-use.c: who has it now, and what stands in the way of taking it. */
void usb_plan_use(struct stasis_session *s, struct usb_state *u, size_t device, int fd);
/* Whether this user may use a node of usbfs. */
bool usb_may_use(const struct usb_device *d);
/* make.c */
int usb_restore(struct stasis_session *s, void *state);
int usb_abandon(struct stasis_session *s, void *state);
/* disk.c: disks behind these interfaces, which are claimed, have nothing to say of themselves any more. */
void usb_disk_calm(int fd, const struct usb_device *device, uint64_t interfaces);
/* late.c */
int usb_late(struct stasis_session *s, void *state);

#endif
