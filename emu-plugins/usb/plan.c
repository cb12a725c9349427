// SPDX-License-Identifier: LGPL-2.1-or-later
/* What an image's USB devices need of this host: which of its devices each shall be, and everything that is missing there. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "usb.h"

#define NAP_MS 100

/* As the choice wants it; borrowed. */
static struct usb_device as_it_was(const struct usb_rec_device *r)
{
	struct usb_device d = { .bus = r->bus,
		                .address = r->address,
		                .vendor = r->vendor,
		                .product = r->product,
		                .release = r->release,
		                .configuration = r->configuration,
		                .descriptors = r->descriptors.data,
		                .size = r->descriptors.size };

	snprintf(d.port, sizeof(d.port), "%s", r->port ? r->port : "");
	snprintf(d.serial, sizeof(d.serial), "%s", r->serial ? r->serial : "");
	snprintf(d.name, sizeof(d.name), "%s", r->name ? r->name : "");
	return d;
}

/* OLD of --map usb:OLD=NEW: by port, or by what it is. */
static const char *said_of(struct stasis_session *s, const struct usb_rec_device *r)
{
	char old[256];
	const char *text = stasis_mapped(s, "usb", r->port);

	if (!text && r->serial && *r->serial) {
		snprintf(old, sizeof(old), "%04x:%04x:%s", r->vendor, r->product, r->serial);
		text = stasis_mapped(s, "usb", old);
	}
	if (!text) {
		snprintf(old, sizeof(old), "%04x:%04x", r->vendor, r->product);
		text = stasis_mapped(s, "usb", old);
	}
	return text;
}

/* Returns whether there is nothing that could still come. */
static bool choose_all(struct usb_state *u)
{
	bool settled = true;

	for (size_t i = 0; i < u->n_devices; i++) {
		struct usb_place *p = &u->places[i];
		struct usb_device old = as_it_was(&u->devices[i]);
		size_t index = 0;
		p->choice = u->devices[i].gone ? USB_NONE : usb_choose(&u->host, &old, p->said, &index);
		p->now = index < u->host.n ? &u->host.devices[index] : NULL;
		if (p->choice == USB_CHOSEN)
			settled = settled && usb_may_use(p->now); /* udev may take its time */
		else
			settled = settled && (p->choice == USB_NONE || p->choice == USB_NO_WORDS);
	}
	return settled;
}

/* A host without USB has no such directory. */
static int look(struct stasis_session *s, struct usb_state *u, bool *ret_settled)
{
	usb_host_finish(&u->host);
	int err = usb_host_read(USB_SYSFS, &u->host);

	if (err && err != -ENOENT)
		return stasis_fail(s, err, USB_SYSFS " cannot be read: %s", strerror(-err));
	*ret_settled = choose_all(u);
	return 0;
}

static int wait_for_all(struct stasis_session *s, struct usb_state *u)
{
	uint64_t end = usb_now_ms() + stasis_wait_ms(s);
	struct timespec nap = { .tv_nsec = NAP_MS * 1000000l };
	bool settled;

	for (;;) {
		int err = look(s, u, &settled);
		if (err || settled || usb_now_ms() >= end)
			return err;
		if (stasis_cancelled(s))
			return -ECANCELED;
		nanosleep(&nap, NULL);
	}
}

/* ---- what is said of it ---- */

#define NAME_REMEDY "name another with --map usb:%s=PORT, or go on without it: --map usb:%s=none"

static void say_missing(struct stasis_session *s, const struct usb_state *u, size_t i, int fd)
{
	const struct usb_place *p = &u->places[i];
	struct usb_device old = as_it_was(&u->devices[i]);
	char words[400], remedy[400];

	usb_device_words(&old, words, sizeof(words));
	snprintf(remedy, sizeof(remedy), "plug it in (--usb-wait 30s waits for it), " NAME_REMEDY, old.port, old.port);
	if (p->said)
		stasis_obstacle(s, fd, NULL, remedy, "%s shall be %s, but there is no such device", words, p->said);
	else
		stasis_obstacle(s, fd, NULL, remedy, "%s is not here", words);
}

static void say_other(struct stasis_session *s, const struct usb_state *u, size_t i, int fd)
{
	const struct usb_place *p = &u->places[i];
	struct usb_device old = as_it_was(&u->devices[i]);
	char words[400], now[400], remedy[400];

	usb_device_words(&old, words, sizeof(words));
	usb_device_words(p->now, now, sizeof(now));
	snprintf(remedy, sizeof(remedy),
	         "plug in the right one, take this one with --map usb:%s=%s, or go on without it: --map usb:%s=none", old.port,
	         p->now->port, old.port);
	if (p->choice == USB_OTHER_SERIAL) {
		stasis_obstacle(s, fd, NULL, remedy, "%s is not here, only one of the same kind: %s", words, now);
	} else if (p->choice == USB_SEVERAL) {
		snprintf(remedy, sizeof(remedy), "name its port with --map usb:%s=PORT", old.port);
		stasis_obstacle(s, fd, NULL, remedy, "%s may be more than one here, for example %s", words, now);
	} else {
		snprintf(remedy, sizeof(remedy), "plug in one of the same kind, " NAME_REMEDY, old.port, old.port);
		stasis_obstacle(s, fd, NULL, remedy, "%s cannot be %s: %s", words, now, usb_differs(&old, p->now));
	}
}

static void say_warnings(struct stasis_session *s, const struct usb_place *p, const struct usb_device *old)
{
	char words[400];

	usb_device_words(p->now, words, sizeof(words));
	if (strcmp(old->serial, p->now->serial))
		stasis_warn(s, "USB device %s has not the serial number %s of the one in port %s, which it takes the place of",
		            words, *old->serial ? old->serial : "(none)", old->port);
	if (old->release != p->now->release)
		stasis_warn(s, "USB device %s is of release %04x, not %04x", words, p->now->release, old->release);
}

static bool is_taken_twice(const struct usb_state *u, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (u->places[i].choice == USB_CHOSEN && u->places[i].now == u->places[index].now)
			return true;
	return false;
}

static void plan_device(struct stasis_session *s, struct usb_state *u, size_t i, int fd)
{
	struct usb_place *p = &u->places[i];
	struct usb_device old = as_it_was(&u->devices[i]);

	if (p->choice == USB_NO_WORDS) {
		stasis_obstacle(s, fd, NULL, "--map usb:OLD=NEW, NEW being none, a port (3-1.2), or VENDOR:PRODUCT[:SERIAL]",
		                "%s in port %s: --map says %s, which is no device", old.name, old.port, p->said);
	} else if (p->choice == USB_MISSING) {
		say_missing(s, u, i, fd);
	} else if (p->choice == USB_CHOSEN && is_taken_twice(u, i)) {
		stasis_obstacle(s, fd, NULL, "give each its own with --map usb:OLD=PORT",
		                "the device of port %s and another one shall both be that in port %s", old.port, p->now->port);
	} else if (p->choice == USB_CHOSEN) {
		say_warnings(s, p, &old);
		usb_plan_use(s, u, i, fd);
	} else if (p->choice != USB_NONE) {
		say_other(s, u, i, fd);
	}
}

static void plan_handle(struct stasis_session *s, const struct usb_state *u, const struct usb_rec_handle *h)
{
	const struct usb_rec_device *d = &u->devices[h->device - 1];
	const struct usb_place *p = &u->places[h->device - 1];
	char words[400];

	if (d->gone)
		stasis_action(s, h->fd, "its device was unplugged, and stays so");
	else if (p->choice == USB_NONE)
		stasis_action(s, h->fd, "%04x:%04x %s of port %s: none, as if it had been unplugged", d->vendor, d->product,
		              d->name ? d->name : "", d->port);
	else if (p->choice == USB_CHOSEN)
		stasis_action(s, h->fd, "is %s%s; %u requests in flight are made again",
		              usb_device_words(p->now, words, sizeof(words)), p->detach ? ", taken from its driver" : "",
		              h->flights);
}

int usb_plan(struct stasis_session *s, void *state)
{
	struct usb_state *u = state;
	int err = usb_load(s, u);

	if (err)
		return err;
	void *taken =
	        mmap(NULL, (u->n_devices + 1) * sizeof(*u->taken), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	u->taken = taken == MAP_FAILED ? NULL : taken;
	u->places = calloc(u->n_devices + 1, sizeof(*u->places));
	if (!u->taken || !u->places)
		return -ENOMEM;
	for (size_t i = 0; i < u->n_devices; i++)
		u->places[i].said = u->devices[i].gone ? NULL : said_of(s, &u->devices[i]);
	for (size_t i = 0; i < u->n_handles; i++)
		u->places[u->handles[i].device - 1].claimed |= u->handles[i].claimed | u->handles[i].detached;
	if ((err = wait_for_all(s, u)))
		return err;
	for (size_t i = 0; i < u->n_devices; i++) {
		int fd = -1;
		for (size_t k = u->n_handles; k > 0; k--)
			fd = u->handles[k - 1].device == i + 1 ? u->handles[k - 1].fd : fd;
		plan_device(s, u, i, fd);
	}
	for (size_t i = 0; i < u->n_handles; i++)
		plan_handle(s, u, &u->handles[i]);
	return 0;
}
