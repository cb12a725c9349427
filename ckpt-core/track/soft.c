// SPDX-License-Identifier: LGPL-2.1-or-later
/* Soft-dirty bits: resets them, notes the frames of pages, and compares both later. */
#include "track/soft.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "inject/batch.h"
#include "proc/pagemap.h"

#define PAGE 4096ul
#define ENTRIES 65536ul /* of a page map, read at a time */

struct soft_head {
	uint64_t canary, n_ranges;
}; /* then the ranges, then for each of their pages the number of its frame, 0 = none */

static int read_entry(int pagemap, uint64_t addr, uint64_t *ret)
{
	return io_pread_all(pagemap, ret, sizeof(*ret), proc_pagemap_offset(addr));
}

static bool is_dirty(int pagemap, uint64_t addr)
{
	uint64_t entry;

	return !read_entry(pagemap, addr, &entry) && entry & PROC_PM_SOFT_DIRTY;
}

static int reset_bits(pid_t pid)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/%d/clear_refs", pid);
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);
	return fd < 0 || write(fd, "4", 1) != 1 ? -errno : 0;
}

/* The canary is clean after the reset, and dirty once it was written to. */
static int set_canary(pid_t pid, int pagemap, uint64_t canary)
{
	uint64_t word, entry;
	int err = inject_read(pid, canary, &word, sizeof(word));

	if (err)
		return err;
	if (is_dirty(pagemap, canary))
		return -EINVAL;
	if ((err = inject_write(pid, canary, &word, sizeof(word))) || (err = read_entry(pagemap, canary, &entry)))
		return err;
	return entry & PROC_PM_SOFT_DIRTY && entry & PROC_PM_PFN_MASK ? 0 : -EINVAL;
}

/* The frame of a page that is in memory. Others have none that could tell them from one another. */
static uint64_t frame_of(uint64_t entry)
{
	return entry & PROC_PM_PRESENT && !(entry & (PROC_PM_SWAP | PROC_PM_FILE)) ? entry & PROC_PM_PFN_MASK : 0;
}

static int note_frames(int notes, int pagemap, const struct ranges *tracked, uint64_t *entries)
{
	off_t at = SOFT_OFFSET + (off_t)(sizeof(struct soft_head) + tracked->n * sizeof(struct range));
	int err = 0;

	for (size_t i = 0; i < tracked->n && !err; i++) {
		for (uint64_t addr = tracked->items[i].start; addr < tracked->items[i].end && !err;) {
			uint64_t left = (tracked->items[i].end - addr) / PAGE, n = left < ENTRIES ? left : ENTRIES;
			err = io_pread_all(pagemap, entries, n * sizeof(*entries), proc_pagemap_offset(addr));
			for (uint64_t k = 0; k < n; k++)
				entries[k] = frame_of(entries[k]);
			if (!err)
				err = io_pwrite_all(notes, entries, n * sizeof(*entries), (uint64_t)at);
			at += (off_t)(n * sizeof(*entries));
			addr += n * PAGE;
		}
	}
	return err;
}

int soft_arm(pid_t pid, int pagemap, const struct ranges *tracked, uint64_t canary)
{
	struct soft_head head = { .canary = canary, .n_ranges = tracked->n };
	AUTO_FREE uint64_t *entries = malloc(ENTRIES * sizeof(*entries));
	AUTO_CLOSE int notes = memfd_create("stasis-track", MFD_CLOEXEC);

	if (!entries || notes < 0)
		return -ENOMEM;
	int err = reset_bits(pid);
	if (err || (err = set_canary(pid, pagemap, canary)) || (err = io_pwrite_all(notes, &head, sizeof(head), SOFT_OFFSET)) ||
	    (tracked->n &&
	     (err = io_pwrite_all(notes, tracked->items, tracked->n * sizeof(struct range), SOFT_OFFSET + sizeof(head)))) ||
	    (err = note_frames(notes, pagemap, tracked, entries)))
		return err;
	return STEAL_FD(notes);
}

/* One stretch of pages with notes on them. */
static int compare_frames(int pagemap, uint64_t start, uint64_t end, const uint64_t *frames, uint64_t *entries,
                          struct ranges *changed)
{
	int err = 0;

	for (uint64_t addr = start; addr < end && !err;) {
		uint64_t n = (end - addr) / PAGE < ENTRIES ? (end - addr) / PAGE : ENTRIES;
		err = io_pread_all(pagemap, entries, n * sizeof(*entries), proc_pagemap_offset(addr));
		for (uint64_t k = 0; k < n && !err; k++) {
			uint64_t frame = frame_of(entries[k]);
			if (!frame || frame != frames[k] || entries[k] & PROC_PM_SOFT_DIRTY)
				err = ranges_add(changed, addr + k * PAGE, addr + (k + 1) * PAGE);
		}
		frames += n;
		addr += n * PAGE;
	}
	return err;
}

/* Maps the notes; `*ret_size` bytes. NULL when they are not whole. */
static const struct soft_head *map_notes(int notes, size_t *ret_size)
{
	off_t size = lseek(notes, 0, SEEK_END);

	if (size < (off_t)(SOFT_OFFSET + sizeof(struct soft_head)))
		return NULL;
	void *p = mmap(NULL, (size_t)size - SOFT_OFFSET, PROT_READ, MAP_PRIVATE, notes, SOFT_OFFSET);
	*ret_size = (size_t)size - SOFT_OFFSET;
	return p == MAP_FAILED ? NULL : p;
}

int soft_changed(int notes, int pagemap, const struct ranges *tracked, struct ranges *watched, struct ranges *changed)
{
	AUTO_FREE uint64_t *entries = malloc(ENTRIES * sizeof(*entries));
	size_t size, at = 0;
	const struct soft_head *head = entries ? map_notes(notes, &size) : NULL;
	int err = 0;

	if (!head)
		return -ENOMEM;
	const struct range *noted = (const struct range *)(head + 1);
	const uint64_t *frames = (const uint64_t *)(noted + head->n_ranges);
	for (size_t i = 0; i < head->n_ranges && !err; i++) {
		uint64_t next;
		for (uint64_t addr = noted[i].start; addr < noted[i].end && !err; addr = next) {
			if (!ranges_have(tracked, &at, addr, noted[i].end, &next))
				continue;
			err = ranges_add(watched, addr, next);
			if (!err)
				err = compare_frames(pagemap, addr, next, frames + (addr - noted[i].start) / PAGE, entries,
				                     changed);
		}
		frames += (noted[i].end - noted[i].start) / PAGE;
	}
	/* Last, so that a reset meanwhile is seen. */
	if (!err && !is_dirty(pagemap, head->canary))
		err = -ESTALE;
	munmap((void *)(uintptr_t)head, size);
	return err;
}
