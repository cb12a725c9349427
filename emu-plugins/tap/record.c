// SPDX-License-Identifier: LGPL-2.1-or-later
/* The recorder's part for tun/tap devices: keeps what was set on an interface and cannot be asked for.
 *
 * Requests of type 'T' are those of terminals too: whatever is not listed here goes on to the next in line. Entries are kept by
 * the interface's name, since a setting made on one queue holds for all; they go when that name gets a new interface. Test:
 * tap-same-tap. */
#include "record.h"

#include <linux/filter.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/ioctl.h>
#include <string.h>

#include "journal.h"

static struct tap_journal journal = { .version = TAP_JOURNAL_VERSION, .size = sizeof(journal) };

static void journal_init(struct recorder_section *section)
{
	void *e = recorder_memory(sizeof(struct tap_entry) * TAP_ENTRIES);

	if (!e)
		return;
	journal.entries = (uint64_t)e;
	*section = (struct recorder_section){ .name = "tap", .addr = (uint64_t)&journal, .size = sizeof(journal) };
}

static struct tap_entry *entries(void)
{
	return (struct tap_entry *)journal.entries;
}

static int name_of(int fd, char name[IFNAMSIZ])
{
	struct ifreq ifr = { 0 };
	long err = recorder_next_ioctl(fd, TUNGETIFF, &ifr);

	if (err >= 0)
		memcpy(name, ifr.ifr_name, IFNAMSIZ);
	return err < 0 ? -1 : 0;
}

static struct tap_entry *entry_of(const char *name, uint64_t request)
{
	struct tap_entry *free = NULL;

	for (uint32_t i = 0; i < journal.n_entries; i++) {
		struct tap_entry *e = &entries()[i];
		if (e->live && e->request == request && !strncmp(e->name, name, IFNAMSIZ))
			return e;
		free = e->live ? free : e;
	}
	if (free)
		return free;
	if (journal.n_entries == TAP_ENTRIES) {
		recorder_break();
		return NULL;
	}
	return &entries()[journal.n_entries++];
}

static void note(int fd, uint64_t request, uint64_t value, uint64_t addr, const void *data, size_t size)
{
	char name[IFNAMSIZ];
	struct tap_entry *e = name_of(fd, name) ? NULL : entry_of(name, request);

	if (!e)
		return;
	e->live = 0;
	if (size > e->room) {
		void *p = recorder_memory(size);
		if (!p)
			return;
		e->data = (uint64_t)p;
		e->room = (uint32_t)size;
	}
	if (size)
		memcpy((void *)e->data, data, size);
	memcpy(e->name, name, IFNAMSIZ);
	e->fd = fd;
	e->request = request;
	e->value = value;
	e->addr = addr;
	e->size = (uint32_t)size;
	e->live = 1;
}

static void forget(int fd, uint64_t request)
{
	char name[IFNAMSIZ];
	struct tap_entry *e = name_of(fd, name) ? NULL : entry_of(name, request);

	if (e)
		e->live = 0;
}

/* `fd` has just been attached to an interface. What an earlier one of that name was told goes, unless it is the same one: then
 * another descriptor is attached to it still. */
static void attached(int fd)
{
	char name[IFNAMSIZ], other[IFNAMSIZ];

	if (name_of(fd, name))
		return;
	for (uint32_t i = 0; i < journal.n_entries; i++) {
		struct tap_entry *e = &entries()[i];
		if (e->live && !strncmp(e->name, name, IFNAMSIZ) &&
		    (e->fd == fd || name_of(e->fd, other) || strncmp(other, name, IFNAMSIZ)))
			e->live = 0;
	}
}

static void noted(int fd, uint32_t request, void *arg)
{
	const struct tun_filter *txfilter = arg;
	const struct sock_fprog *filter = arg;

	switch (request) {
	case TUNSETIFF:
		attached(fd);
		break;
	case TUNSETOFFLOAD:
		note(fd, request, (uint64_t)arg, 0, NULL, 0);
		break;
	case TUNSETSNDBUF: /* a macvtap has no TUNGETSNDBUF */
		note(fd, request, (uint64_t) * (const int *)arg, 0, NULL, 0);
		break;
	case TUNSETTXFILTER:
		note(fd, request, 0, 0, txfilter, sizeof(*txfilter) + txfilter->count * sizeof(txfilter->addr[0]));
		break;
	case TUNATTACHFILTER:
		note(fd, request, 0, (uint64_t)filter->filter, filter->filter, filter->len * sizeof(struct sock_filter));
		break;
	case TUNDETACHFILTER:
		forget(fd, TUNATTACHFILTER);
		break;
	default: /* the eBPF ones: -1 takes it away */
		if (*(const int *)arg < 0)
			forget(fd, request);
		else
			note(fd, request, 0, 0, NULL, 0);
	}
}

static long tap_ioctl(int fd, unsigned long request, void *arg)
{
	struct recorder_turn turn;

	switch ((uint32_t)request) {
	case TUNSETIFF:
	case TUNSETOFFLOAD:
	case TUNSETSNDBUF:
	case TUNSETTXFILTER:
	case TUNATTACHFILTER:
	case TUNDETACHFILTER:
	case TUNSETSTEERINGEBPF:
	case TUNSETFILTEREBPF:
		break;
	default:
		return recorder_next_ioctl(fd, request, arg);
	}
	recorder_begin(&turn);
	long result = recorder_next_ioctl(fd, request, arg);
	if (result >= 0 && journal.entries)
		noted(fd, (uint32_t)request, arg);
	recorder_end(&turn);
	return result;
}

const struct recorder_kind tap_recorder_kind = { .name = "tap", .ioctl_type = 'T', .ioctl = tap_ioctl, .init = journal_init };
