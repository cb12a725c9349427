// SPDX-License-Identifier: LGPL-2.1-or-later
/* The choice of a USB device. */
#include "choose.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEVICE_DESCRIPTOR 18 /* Universal Serial Bus 2.0: 9.6.1 */

/* Of the device descriptor: the version of USB (2, 3), the release (12, 13) and the numbers of strings (14 to 16) do not
 * count. */
static bool same_device_descriptor(const uint8_t *a, const uint8_t *b)
{
	for (unsigned i = 0; i < DEVICE_DESCRIPTOR; i++)
		if (a[i] != b[i] && i != 2 && i != 3 && !(i >= 12 && i <= 16))
			return false;
	return true;
}

const char *usb_differs(const struct usb_device *old, const struct usb_device *now)
{
	if (old->vendor != now->vendor || old->product != now->product)
		return "it is another product";
	if (old->size < DEVICE_DESCRIPTOR || now->size < DEVICE_DESCRIPTOR)
		return old->size == now->size ? NULL : "its descriptors differ";
	if (old->descriptors[7] != now->descriptors[7])
		return "it is at a port of another speed";
	if (!same_device_descriptor(old->descriptors, now->descriptors))
		return "its device descriptor differs";
	if (old->size != now->size ||
	    memcmp(old->descriptors + DEVICE_DESCRIPTOR, now->descriptors + DEVICE_DESCRIPTOR, old->size - DEVICE_DESCRIPTOR))
		return "its configurations differ: it is at a port of another speed, or is another model";
	return NULL;
}

/* ---- what the user said ---- */

static bool is_port(const char *text)
{
	bool dash = false;

	if (!isdigit((unsigned char)*text))
		return false;
	for (const char *p = text; *p; p++) {
		if (*p == '-' && (dash || p == text))
			return false;
		if (*p != '-' && *p != '.' && !isdigit((unsigned char)*p))
			return false;
		dash = dash || *p == '-';
	}
	return dash;
}

static bool parse_id(const char *text, unsigned *ret)
{
	char *end;

	for (unsigned i = 0; i < 4; i++)
		if (!isxdigit((unsigned char)text[i]))
			return false;
	*ret = (unsigned)strtoul(text, &end, 16);
	return end == text + 4;
}

struct wish {
	const char *port, *serial;
	unsigned vendor, product;
};

static bool parse(const char *text, struct wish *w)
{
	if (is_port(text)) {
		w->port = text;
		return true;
	}
	if (!parse_id(text, &w->vendor) || text[4] != ':' || !parse_id(text + 5, &w->product) ||
	    (text[9] && (text[9] != ':' || !text[10])))
		return false;
	w->serial = text[9] ? text + 10 : NULL;
	return true;
}

static bool grants(const struct wish *w, const struct usb_device *d)
{
	if (w->port)
		return !strcmp(w->port, d->port);
	return w->vendor == d->vendor && w->product == d->product && (!w->serial || !strcmp(w->serial, d->serial));
}

static enum usb_choice choose_said(const struct usb_host *host, const struct usb_device *old, const char *text,
                                   size_t *ret_index)
{
	struct wish w = { 0 };
	size_t n = 0, found = 0;

	if (!strcmp(text, "none"))
		return USB_NONE;
	if (!parse(text, &w))
		return USB_NO_WORDS;
	for (size_t i = host->n; i > 0; i--) {
		if (!grants(&w, &host->devices[i - 1]))
			continue;
		found = i - 1;
		n++;
	}
	if (!n)
		return USB_MISSING;
	*ret_index = found;
	if (n > 1)
		return USB_SEVERAL;
	return usb_differs(old, &host->devices[found]) ? USB_DIFFERS : USB_CHOSEN;
}

/* ---- what goes without saying ---- */

static enum usb_choice choose_silently(const struct usb_host *host, const struct usb_device *old, size_t *ret_index)
{
	size_t same = 0, others = 0, differ = 0, first_same = 0, first_other = 0, first_differ = 0;

	for (size_t i = host->n; i > 0; i--) {
		const struct usb_device *d = &host->devices[i - 1];
		if (d->vendor != old->vendor || d->product != old->product)
			continue;
		if (usb_differs(old, d)) {
			first_differ = i - 1;
			differ++;
		} else if (strcmp(d->serial, old->serial)) {
			first_other = i - 1;
			others++;
		} else if (!strcmp(d->port, old->port)) {
			*ret_index = i - 1;
			return USB_CHOSEN;
		} else {
			first_same = i - 1;
			same++;
		}
	}
	*ret_index = same ? first_same : others ? first_other : first_differ;
	if (same)
		return same == 1 ? USB_CHOSEN : USB_SEVERAL;
	return others ? USB_OTHER_SERIAL : differ ? USB_DIFFERS : USB_MISSING;
}

enum usb_choice usb_choose(const struct usb_host *host, const struct usb_device *old, const char *text, size_t *ret_index)
{
	return text ? choose_said(host, old, text, ret_index) : choose_silently(host, old, ret_index);
}
