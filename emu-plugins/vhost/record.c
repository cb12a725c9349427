// SPDX-License-Identifier: LGPL-2.1-or-later
/* The recorder's part for vhost devices: keeps the last setting of each kind, none of which the kernel will tell afterwards.
 *
 * A descriptor's number may have been closed and given to another device since. A device's life begins with VHOST_SET_OWNER, which
 * works only once; what is set on a number before that belongs to a new device if the kernel no longer knows an owner of it.
 * Test: vhost-journal. */
#include "record.h"

#include <errno.h>
#include <linux/vhost_types.h>
#include <string.h>

#include "journal.h"
#include "requests.h"

static struct vhost_journal journal = { .version = VHOST_JOURNAL_VERSION, .size = sizeof(journal) };

static void journal_init(struct recorder_section *section)
{
	void *e = recorder_memory(sizeof(struct vhost_entry) * VHOST_ENTRIES);

	if (!e)
		return;
	journal.entries = (uint64_t)e;
	*section = (struct recorder_section){ .name = "vhost", .addr = (uint64_t)&journal, .size = sizeof(journal) };
}

static struct vhost_entry *entries(void)
{
	return (struct vhost_entry *)journal.entries;
}

static struct vhost_entry *entry_find(int fd, uint32_t request, uint32_t index)
{
	for (uint32_t i = 0; i < journal.n_entries; i++) {
		struct vhost_entry *e = &entries()[i];
		if (e->live && e->fd == fd && e->request == request && e->index == index)
			return e;
	}
	return NULL;
}

static struct vhost_entry *entry_of(int fd, uint32_t request, uint32_t index)
{
	struct vhost_entry *e = entry_find(fd, request, index);

	for (uint32_t i = 0; i < journal.n_entries && !e; i++)
		e = entries()[i].live ? NULL : &entries()[i];
	if (e)
		return e;
	if (journal.n_entries == VHOST_ENTRIES) {
		recorder_break();
		return NULL;
	}
	return &entries()[journal.n_entries++];
}

static void forget_all(int fd)
{
	for (uint32_t i = 0; i < journal.n_entries; i++)
		if (entries()[i].fd == fd)
			entries()[i].live = 0;
}

static void note(int fd, uint32_t request, uint32_t index, const void *data, size_t size)
{
	struct vhost_entry *e = entry_of(fd, request, index);

	if (!e)
		return;
	e->live = 0;
	if (size > sizeof(e->value) && size > e->room) {
		void *p = recorder_memory(size);
		if (!p)
			return;
		e->data = (uint64_t)p;
		e->room = (uint32_t)size;
	}
	if (size)
		memcpy(size > sizeof(e->value) ? (void *)e->data : e->value, data, size);
	e->fd = fd;
	e->request = request;
	e->index = index;
	e->size = (uint32_t)size;
	e->live = 1;
}

/* Another device than the one that the journal knows under this number. */
static int is_new(int fd)
{
	struct vhost_vring_state state = { 0 };

	return entry_find(fd, (uint32_t)VHOST_SET_OWNER, 0) && recorder_next_ioctl(fd, VHOST_GET_VRING_BASE, &state) == -EPERM;
}

static size_t argument_size(uint32_t request, const void *arg)
{
	const struct vhost_memory *memory = arg;

	if (request == (uint32_t)VHOST_SET_MEM_TABLE)
		return sizeof(*memory) + memory->nregions * sizeof(memory->regions[0]);
	return _IOC_SIZE(request);
}

static void noted(int fd, uint32_t request, enum vhost_request_class class, const void *arg)
{
	switch (class) {
	case VHOST_REQUEST_OWNER:
		if (request == (uint32_t)VHOST_RESET_OWNER || entry_find(fd, (uint32_t)VHOST_SET_OWNER, 0))
			forget_all(fd);
		if (request == (uint32_t)VHOST_SET_OWNER)
			note(fd, request, 0, NULL, 0);
		break;
	case VHOST_REQUEST_DEVICE:
		if (is_new(fd))
			forget_all(fd);
		note(fd, request, 0, arg, argument_size(request, arg));
		break;
	case VHOST_REQUEST_RING:
		note(fd, request, *(const uint32_t *)arg, arg, argument_size(request, arg));
		break;
	case VHOST_REQUEST_REFUSE:
		note(fd, request, 0, NULL, 0);
		break;
	case VHOST_REQUEST_PLAIN:
		break;
	}
}

static long vhost_ioctl(int fd, unsigned long request, void *arg)
{
	const struct vhost_request *r = vhost_request_find(request);
	enum vhost_request_class class = r ? r->class : VHOST_REQUEST_REFUSE;
	struct recorder_turn turn;

	if (class == VHOST_REQUEST_PLAIN)
		return recorder_next_ioctl(fd, request, arg);
	recorder_begin(&turn);
	long result = recorder_next_ioctl(fd, request, arg);
	if (result >= 0 && journal.entries)
		noted(fd, (uint32_t)request, class, arg);
	recorder_end(&turn);
	return result;
}

const struct recorder_kind vhost_recorder_kind = {
	.name = "vhost",
	.ioctl_type = VHOST_VIRTIO,
	.ioctl = vhost_ioctl,
	.init = journal_init,
};
