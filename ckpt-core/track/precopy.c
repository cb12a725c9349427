// SPDX-License-Identifier: LGPL-2.1-or-later
/* Copies of memory, made in rounds while the target runs. They lie in memory of ours, each at one address after the other as in the
 * target. */
#include "track/precopy.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/memory.h"
#include "proc/pagemap.h"
#include "track/keeper.h"
#include "track/watch.h"

#define PAGE 4096ul
#define PAYS_KIB (256ul << 10) /* of small pages in all; a fork copies their page tables at 5 to 60 us for each MiB */
#define REGION_KIB (1ul << 10)
#define ALL_MIN_BYTES 65536     /* of a mapping */
#define ROOM (64ul << 20)       /* of free memory, to be left over */
#define SLICE (32ul << 20)      /* watched and copied at a time */
#define ENOUGH (4ul << 20)      /* may be left for the pause */
#define TOO_MUCH (64ul << 20)
#define ROUNDS 12

/* What can be watched and copied: private anonymous memory that stays as it is, in the sense of where it lies. */
static bool precopy_can(const struct collect *c, size_t i)
{
	const struct rec_vma *v = &c->mappings.items[i];

	return v->kind == VMA_ANON && !v->shared && !c->whole.items[i] && v->end - v->start >= ALL_MIN_BYTES &&
	       !(v->vm_flags & (PROC_VMA_GD | PROC_VMA_SL | PROC_VMA_GU));
}

static const struct proc_vma *precopy_vma(const struct collect *c, uint64_t start)
{
	for (size_t i = 0; i < c->n_vmas; i++)
		if (c->vmas[i].start == start)
			return &c->vmas[i];
	return NULL;
}

static int region_add(struct precopy *p, const struct proc_vma *v)
{
	struct precopy_region r = { .start = v->start, .end = v->end };

	r.copy = mmap(NULL, r.end - r.start, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (r.copy == MAP_FAILED)
		return -ENOMEM;
	if (v->rss * 1024 >= (r.end - r.start) / 2) /* the first touch of a page is slow, of many small ones very much so */
		madvise(r.copy, r.end - r.start, MADV_HUGEPAGE);
	if (vec_push(&p->regions, r)) {
		munmap(r.copy, r.end - r.start);
		return -ENOMEM;
	}
	return 0;
}

int64_t precopy_choose(struct precopy *p, const struct collect *c, bool all)
{
	uint64_t kib = 0, small = 0;
	int err = 0;

	p->rep = c->rep;
	p->pid = c->proc.pid;
	for (size_t i = 0; i < c->mappings.n && !err; i++) {
		const struct proc_vma *v = precopy_can(c, i) ? precopy_vma(c, c->mappings.items[i].start) : NULL;
		if (!v || !(v->rss + v->swap) || (!all && (v->rss < REGION_KIB || v->anon_huge > v->rss / 2)))
			continue;
		err = region_add(p, v);
		kib += v->rss + v->swap;
		small += v->rss - v->anon_huge;
	}
	if (!err && kib && kib * 1024 + kib * 1024 / 10 + ROOM > memory_available())
		err = -ENOMEM;
	if (err || (!all && small < PAYS_KIB)) {
		precopy_finish(p);
		return err;
	}
	return (int64_t)(kib * 1024);
}

int precopy_begin(struct precopy *p, int uffd, bool ends)
{
	char path[40];

	p->uffd = uffd;
	int err = ends ? keeper_prepare(&p->sock) : 0; /* forks, so it comes before there is much memory */
	snprintf(path, sizeof(path), "/proc/%d/pagemap", p->pid);
	p->pagemap = open(path, O_RDONLY | O_CLOEXEC);
	return p->pagemap < 0 ? -errno : err;
}

/* One call for as many ranges as it takes; `*i` is the first, and then the first of the next call. */
static int copy_some(const struct precopy *p, const struct precopy_region *r, const struct ranges *what, size_t *i)
{
	struct iovec local[IOV_MAX], remote[IOV_MAX];
	size_t n = 0, size = 0;

	for (; *i < what->n && n < IOV_MAX && size < SLICE; ++*i, n++) {
		const struct range *it = &what->items[*i];
		local[n] = (struct iovec){ r->copy + (it->start - r->start), it->end - it->start };
		remote[n] = (struct iovec){ (void *)it->start, it->end - it->start };
		size += it->end - it->start;
	}
	ssize_t got = process_vm_readv(p->pid, local, n, remote, n, 0);
	return got == (ssize_t)size ? 0 : got < 0 ? -errno : -EFAULT;
}

static int copy_ranges(const struct precopy *p, const struct precopy_region *r, const struct ranges *what, uint64_t *bytes)
{
	int err = 0;

	vec_each(what, it)
		*bytes += it->end - it->start;
	for (size_t i = 0; i < what->n && !err;)
		err = report_cancelled(p->rep) ? -ECANCELED : copy_some(p, r, what, &i);
	return err;
}

/* What was written to since the last round, or at first all that has contents. Protects a piece before it is copied. */
static int copy_round(const struct precopy *p, const struct precopy_region *r, bool first, uint64_t *bytes)
{
	int err = 0;

	for (uint64_t at = r->start, next; at < r->end && !err; at = next) {
		struct ranges changed = { 0 }, all = { 0 };
		next = r->end - at < SLICE ? r->end : at + SLICE;
		err = watch_again(p->pagemap, at, next, &changed);
		if (!err && first)
			err = watch_contents(p->pagemap, at, next, &all, NULL);
		if (!err)
			err = copy_ranges(p, r, first ? &all : &changed, bytes);
		ranges_finish(&changed);
		ranges_finish(&all);
	}
	return err;
}

static void region_drop(struct precopy_region *r)
{
	if (r->copy)
		munmap(r->copy, r->end - r->start);
	r->copy = NULL;
	r->whole = false;
	ranges_finish(&r->there);
}

/* What cannot be copied is no failure: the child will have it. */
static int precopy_round(struct precopy *p, bool first, uint64_t *ret_bytes)
{
	uint64_t bytes = 0;

	vec_each(&p->regions, r) {
		if (!r->copy)
			continue;
		int err = first ? watch_register(p->uffd, r->start, r->end) : 0;
		if (!err)
			err = copy_round(p, r, first, &bytes);
		if (err == -ECANCELED || err == -ESRCH)
			return err;
		if (err) {
			report_debug(p->rep, "precopy: mapping %lx-%lx: %s", r->start, r->end, strerror(-err));
			region_drop(r);
		}
	}
	*ret_bytes = bytes;
	return 0;
}

int precopy_run(struct precopy *p)
{
	uint64_t last = UINT64_MAX, bytes = 0;
	int err = 0;

	for (unsigned round = 0; !err && round < ROUNDS; round++, last = bytes) {
		if (!(err = report_fault(p->rep, "precopy.round")))
			err = precopy_round(p, round == 0, &bytes);
		report_debug(p->rep, "precopy: round %u: %lu KiB", round, bytes >> 10);
		if (err || bytes <= ENOUGH)
			break;
		if (round > 1 && bytes > last / 4 * 3)
			return bytes > TOO_MUCH ? -EAGAIN : 0;
	}
	return err;
}

/* Guard regions look like swapped pages (proc/pagemap.h), which are rare. */
static int refuse_guards(const struct precopy *p, const struct ranges *swapped)
{
	uint64_t entries[512];

	vec_each(swapped, it)
		for (uint64_t at = it->start; at < it->end;) {
			size_t n = (it->end - at) / PAGE < ARRAY_SIZE(entries) ? (it->end - at) / PAGE : ARRAY_SIZE(entries);
			int err = io_pread_all(p->pagemap, entries, n * sizeof(*entries), proc_pagemap_offset(at));
			for (size_t i = 0; i < n && !err; i++)
				if (entries[i] & PROC_PM_GUARD)
					err = -EOPNOTSUPP;
			if (err)
				return err;
			at += n * PAGE;
		}
	return 0;
}

static int region_last(struct precopy *p, struct precopy_region *r)
{
	struct ranges changed = { 0 }, swapped = { 0 };
	uint64_t bytes = 0;
	int err = watch_is_ours(p->uffd, r->start, r->end);

	if (!err)
		err = watch_contents(p->pagemap, r->start, r->end, &r->there, &swapped);
	if (!err)
		err = refuse_guards(p, &swapped);
	if (!err)
		err = watch_again(p->pagemap, r->start, r->end, &changed);
	if (!err)
		err = copy_ranges(p, r, &changed, &bytes);
	ranges_finish(&changed);
	ranges_finish(&swapped);
	return err;
}

/* Whether it is still what was chosen, and not what the child works with: the stack of the worker. */
static bool region_is_there(const struct precopy_region *r, const struct collect *c)
{
	for (size_t i = 0; i < c->mappings.n; i++)
		if (c->mappings.items[i].start == r->start)
			return c->mappings.items[i].end == r->end && precopy_can(c, i) && !(c->place.area >= r->start && c->place.area < r->end);
	return false;
}

int precopy_pause(struct precopy *p, const struct collect *c)
{
	int err = p->regions.n ? report_fault(p->rep, "precopy.pause") : 0;

	vec_each(&p->regions, r) {
		if (err || !r->copy)
			continue;
		int why = region_is_there(r, c) ? region_last(p, r) : -EBUSY;
		r->whole = !why;
		if (why == -ECANCELED || why == -ESRCH)
			err = why;
		if (why) {
			report_debug(p->rep, "precopy: mapping %lx-%lx: %s", r->start, r->end, strerror(-why));
			region_drop(r);
		}
	}
	return err;
}

struct precopy_region *precopy_find(const struct precopy *p, uint64_t start, uint64_t end)
{
	vec_each(&p->regions, r)
		if (r->whole && r->start == start && r->end == end)
			return r;
	return NULL;
}

void precopy_drop(struct precopy_region *r, uint64_t start, uint64_t end)
{
	madvise(r->copy + (start - r->start), end - start, MADV_DONTNEED);
}

static int precopy_marked(const struct precopy *p, bool whole, struct ranges *ret)
{
	struct ranges marked = { 0 };

	vec_each(&p->regions, r)
		if ((r->whole || !whole) && ranges_add(&marked, r->start, r->end)) {
			ranges_finish(&marked);
			return -ENOMEM;
		}
	*ret = marked;
	return 0;
}

int precopy_give(struct precopy *p, struct ranges *ret_marked)
{
	return p->uffd < 0 || precopy_marked(p, true, ret_marked) ? -1 : STEAL_FD(p->uffd);
}

void precopy_leave(struct precopy *p, int pidfd)
{
	const uint8_t none[16] = { 0 };
	struct ranges marked = { 0 };

	if (p->uffd < 0 || p->sock < 0 || precopy_marked(p, false, &marked))
		return;
	AUTO_CLOSE int notes = memfd_create(KEEPER_NAME, MFD_CLOEXEC);
	int err = notes < 0 ? -errno : keeper_begin(STEAL_FD(p->sock), pidfd, notes, p->uffd, none, &marked);
	ranges_finish(&marked);
	report_debug(p->rep, "precopy: the watch %s", err ? "ends at once" : "is left to a keeper");
	if (!err)
		close(STEAL_FD(p->uffd));
}

void precopy_finish(struct precopy *p)
{
	vec_each(&p->regions, r) {
		if (p->uffd >= 0)
			watch_clear(p->uffd, r->start, r->end, 0);
		region_drop(r);
	}
	if (p->uffd >= 0)
		close(STEAL_FD(p->uffd));
	if (p->pagemap >= 0)
		close(STEAL_FD(p->pagemap));
	if (p->sock >= 0)
		close(STEAL_FD(p->sock));
	vec_finish(&p->regions);
}
