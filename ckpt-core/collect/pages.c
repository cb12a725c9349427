// SPDX-License-Identifier: LGPL-2.1-or-later
/* The private memory of a process: finds the pages that are its own and hands them to the image.
 *
 * Which pages: in private memory those that are anonymous (pagemap bit 61 clear), whether the mapping has a file behind it or not;
 * the rest is in the file. A file page that was written to and is zero now must be in the image; anonymous zero pages
 * need not. Contents of shared mappings belong to their file (fd/). Guard regions look mapped and fault on read (bit 58):
 * they are noted and installed again. Source: Documentation/admin-guide/mm/pagemap.rst. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "collect/ahead.h"
#include "collect/collect.h"
#include "proc/pagemap.h"
#include "track/precopy.h"
#include "track/track.h"

#define PAGE 4096ul
#define BLOCK_PAGES 256ul /* handed on at a time: one chunk of the image */
#define DROP_BYTES (16ul << 20) /* of a copy given back at a time */
#define SCAN_PAGES 65536ul /* pagemap entries read at a time */

struct pages {
	struct collect *c;
	struct img_writer *w;
	struct track *track;
	struct ahead *ahead;
	int pagemap;
	uint64_t *entries;
};

/* [start, end) as the kernel's notes have it, or by comparison where there are none. */
static int pages_save(struct pages *p, uint64_t start, uint64_t end, bool drop_zero)
{
	int err = 0;

	for (uint64_t next; start < end && !err; start = next) {
		enum track_says says = track_next(p->track, start, end, &next);
		if (says != TRACK_SAME)
			err = ahead_pages(p->ahead, start, next, drop_zero, says == TRACK_CHANGED);
		else if (!(err = img_writer_same_pages(p->w, p->c->process.space, start, (next - start) / PAGE)))
			err = ahead_done(p->ahead, next - start);
	}
	return err;
}

static int pages_guard(struct pages *p, uint64_t start, uint64_t end)
{
	struct rec_guard *last = p->c->guards.n ? &p->c->guards.items[p->c->guards.n - 1] : NULL;
	struct rec_guard rec = { .process = p->c->proc.index, .start = start, .end = end };

	if (last && last->end == start) {
		last->end = end;
		return 0;
	}
	return vec_push(&p->c->guards, rec);
}

enum page_class { PAGE_SKIP, PAGE_SAVE, PAGE_GUARD };

static enum page_class page_class(uint64_t entry, bool whole)
{
	if (entry & PROC_PM_GUARD)
		return PAGE_GUARD;
	return whole || proc_pagemap_private(entry) ? PAGE_SAVE : PAGE_SKIP;
}

static int pages_of_mapping(struct pages *p, const struct rec_vma *v, bool whole)
{
	bool drop_zero = v->kind == VMA_ANON;

	for (uint64_t at = v->start; at < v->end;) {
		uint64_t n = (v->end - at) / PAGE < SCAN_PAGES ? (v->end - at) / PAGE : SCAN_PAGES;
		int err = io_pread_all(p->pagemap, p->entries, n * sizeof(uint64_t), proc_pagemap_offset(at));
		if (err)
			return report_fail(p->c->rep, err, "process %d: its page map cannot be read: %s", p->c->proc.pid, strerror(-err));
		for (uint64_t i = 0; i < n;) {
			enum page_class cls = page_class(p->entries[i], whole);
			uint64_t j = i + 1;
			while (j < n && page_class(p->entries[j], whole) == cls)
				j++;
			if (cls == PAGE_SAVE)
				err = pages_save(p, at + i * PAGE, at + j * PAGE, drop_zero);
			else if (cls == PAGE_GUARD)
				err = pages_guard(p, at + i * PAGE, at + j * PAGE);
			if (err)
				return err;
			i = j;
		}
		at += n * PAGE;
	}
	return 0;
}

/* What was copied before is where it was copied to. */
static int pages_copied(struct pages *p, struct precopy_region *r)
{
	uint64_t dropped = r->start;
	int err = 0;

	vec_each(&r->copied, it) {
		for (uint64_t at = it->start, next; at < it->end && !err; at = next) {
			next = it->end - at < BLOCK_PAGES * PAGE ? it->end : at + BLOCK_PAGES * PAGE;
			if (!(err = img_writer_pages(p->w, p->c->process.space, at, r->copy + (at - r->start), next - at, true)))
				err = ahead_done(p->ahead, next - at);
			if (next - dropped >= DROP_BYTES) {
				precopy_drop(r, dropped, next);
				dropped = next;
			}
		}
	}
	return err;
}

static int pages_of_all(struct pages *p, const struct precopy *precopy)
{
	struct collect *c = p->c;
	int err = 0;

	for (size_t i = 0; i < c->mappings.n && !err; i++) {
		const struct rec_vma *v = &c->mappings.items[i];
		struct precopy_region *copied = precopy_find(precopy, v->start, v->end);
		if (copied)
			err = pages_copied(p, copied);
		else if ((v->kind != VMA_VDSO || c->whole.items[i]) && !v->shared)
			err = pages_of_mapping(p, v, c->whole.items[i]);
	}
	if (!err)
		err = ahead_flush(p->ahead);
	for (size_t i = 0; i < c->guards.n && !err; i++)
		err = img_writer_record(p->w, &rec_guard_schema, &c->guards.items[i]);
	return err;
}

int collect_pages(struct collect *c, pid_t source, struct precopy *precopy, struct track *track, struct img_writer *w)
{
	char path[40];
	struct pages p = { .c = c, .w = w, .track = track };

	snprintf(path, sizeof(path), "/proc/%d/pagemap", source);
	AUTO_CLOSE int pagemap = open(path, O_RDONLY | O_CLOEXEC);
	AUTO_FREE uint64_t *entries = malloc(SCAN_PAGES * sizeof(uint64_t));
	int err = pagemap < 0 ? -errno : entries ? precopy_settle(precopy, w) : -ENOMEM;
	if (!err)
		err = ahead_create(c->rep, w, source, c->process.space, precopy->sent, collect_pages_estimate(c), &p.ahead);
	p.pagemap = pagemap;
	p.entries = entries;
	if (!err && (err = pages_of_all(&p, precopy)) && err != -ECANCELED && !c->rep->first_error)
		report_fail(c->rep, err, "process %d: memory at %#lx cannot be read: %s", c->proc.pid, ahead_at(p.ahead), strerror(-err));
	else if (err && !p.ahead && !c->rep->first_error)
		report_fail(c->rep, err, "process %d: its memory cannot be read: %s", c->proc.pid, strerror(-err));
	ahead_destroy(p.ahead);
	return err;
}

int collect_exe(struct collect *c, struct img_writer *w)
{
	char path[40];

	if (!c->process.exe_space)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/exe", c->proc.pid);
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	AUTO_FREE uint8_t *block = aligned_alloc(PAGE, BLOCK_PAGES * PAGE);
	if (!block)
		return -ENOMEM;
	for (uint64_t at = 0; at < c->process.exe_size; at += BLOCK_PAGES * PAGE) {
		uint64_t left = c->process.exe_size - at;
		size_t size = left < BLOCK_PAGES * PAGE ? left : BLOCK_PAGES * PAGE, padded = (size + PAGE - 1) & ~(PAGE - 1);
		memset(block, 0, padded);
		int err = fd < 0 ? -errno : io_pread_all(fd, block, size, at);
		if (err)
			return report_fail(c->rep, err, "process %d: its deleted executable %s cannot be read: %s", c->proc.pid, c->process.exe,
					   strerror(-err));
		if ((err = img_writer_pages(w, c->process.exe_space, at, block, padded, true)))
			return err;
	}
	return 0;
}
