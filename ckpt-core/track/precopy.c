// SPDX-License-Identifier: LGPL-2.1-or-later
/* Copies of memory, made in rounds while the target runs. They lie in the image, or in memory of ours, each at one address after the
 * other as in the target. */
#include "track/precopy.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "base/memory.h"
#include "collect/ahead.h"
#include "inject/freeze.h"
#include "proc/pagemap.h"
#include "track/keeper.h"
#include "track/watch.h"

#define PAGE 4096ul
#define PAYS_KIB (256ul << 10) /* of small pages in all; a fork copies their page tables at 5 to 60 us for each MiB */
#define REGION_KIB (1ul << 10)
#define ALL_MIN_BYTES 65536     /* of a mapping */
#define ROOM (64ul << 20)       /* of free memory, to be left over */
#define SLICE (4ul << 20)       /* watched and copied at a time: in a call to the kernel, which others may have to wait for */
#define ENOUGH (1ul << 20)      /* may be left for the pause */
#define TOO_MUCH (64ul << 20)
#define ROUNDS 12
#define CALM_US 10000           /* so long it is looked at how much the target writes to */
#define CALM_BYTES (512ul << 10) /* in that time; 50 MB/s */
#define CALM_PART 4             /* of what was sent this part may be written to before no more is sent */
#define LOOK (64ul << 20)       /* sent before it is looked at again */

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
	p->space = c->proc.index;
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

static void region_drop(struct precopy_region *r)
{
	if (r->copy)
		munmap(r->copy, r->end - r->start);
	r->copy = NULL;
	r->whole = false;
	ranges_finish(&r->copied);
	ranges_finish(&r->gone);
	ranges_finish(&r->again);
}

/* What cannot be copied is no failure: the child will have it. */
static int region_give_up(struct precopy *p, struct precopy_region *r, int err)
{
	if (err == -ECANCELED || err == -ESRCH || p->rep->first_error)
		return err;
	report_debug(p->rep, "precopy: mapping %lx-%lx: %s", r->start, r->end, strerror(-err));
	region_drop(r);
	return 0;
}

int precopy_begin(struct precopy *p, int uffd, bool ends, unsigned timeout_ms)
{
	char path[40];

	p->uffd = uffd;
	p->timeout_ms = timeout_ms;
	p->goes_on = !ends;
	int err = ends ? keeper_prepare(&p->sock) : 0; /* forks, so it comes before there is much memory */
	snprintf(path, sizeof(path), "/proc/%d/pagemap", p->pid);
	p->pagemap = open(path, O_RDONLY | O_CLOEXEC);
	if (!err && p->pagemap < 0)
		err = -errno;
	vec_each(&p->regions, r) {
		int why = err ? 0 : watch_arm(p->uffd, p->pagemap, r->start, r->end);
		if (why)
			err = region_give_up(p, r, why);
	}
	return err;
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

static int copy_ranges(const struct precopy *p, const struct precopy_region *r, const struct ranges *what)
{
	int err = 0;

	for (size_t i = 0; i < what->n && !err;)
		err = report_cancelled(p->rep) ? -ECANCELED : copy_some(p, r, what, &i);
	return err;
}

/* What of the memory, in all regions, was written to since it was last looked at, in bytes. A region that cannot be looked at is for its next
 * round to give up. */
static uint64_t precopy_written(const struct precopy *p)
{
	uint64_t bytes = 0;

	vec_each(&p->regions, r) {
		struct ranges changed = { 0 };
		if (r->copy && !watch_last(p->pagemap, r->start, r->end, &changed, NULL, NULL))
			bytes += ranges_bytes(&changed);
		ranges_finish(&changed);
	}
	return bytes;
}

/* What decides whether the first round sends or copies. */
struct calm {
	struct img_writer *writer;
	struct ahead *ahead; /* NULL once it copies */
	uint64_t total, looked; /* `sent`, when it was looked at */
};

static int calm_begin(struct precopy *p, struct calm *calm)
{
	const struct timespec look = { .tv_nsec = CALM_US * 1000 };

	nanosleep(&look, NULL);
	return precopy_written(p) > CALM_BYTES ? 0 :
						 ahead_create(p->rep, calm->writer, p->pid, p->space, 0, calm->total, &calm->ahead);
}

/* From here on the rest is copied. */
static void calm_end(struct calm *calm)
{
	ahead_destroy(calm->ahead);
	calm->ahead = NULL;
}

static int calm_look(struct precopy *p, struct calm *calm)
{
	if (!calm->ahead || p->sent - calm->looked < LOOK)
		return 0;
	int err = ahead_flush(calm->ahead);
	calm->looked = p->sent;
	if (!err && precopy_written(p) > p->sent / CALM_PART)
		calm_end(calm);
	return err;
}

static int send_ranges(struct precopy *p, struct precopy_region *r, const struct ranges *what, struct calm *calm)
{
	int err = 0;

	vec_each(what, it)
		if (!err && !(err = ahead_pages(calm->ahead, it->start, it->end, true, false)))
			err = ranges_add(&r->sent, it->start, it->end);
	p->sent += ranges_bytes(what);
	return err;
}

static int copy_first(struct precopy *p, struct precopy_region *r, const struct ranges *what)
{
	if (!r->sent.n && !r->copied.n) /* the first touch of a page is slow, of many small ones very much so */
		madvise(r->copy, r->end - r->start, MADV_HUGEPAGE);
	int err = copy_ranges(p, r, what);
	return err ? err : ranges_unite(&r->copied, what);
}

/* A slice ends where a huge page does, or the kernel would have to split it. */
static uint64_t slice_end(const struct precopy_region *r, uint64_t at)
{
	const uint64_t end = (at + SLICE) & ~(SLICE - 1);

	return end < r->end ? end : r->end;
}

/* All that has contents. */
static int region_first(struct precopy *p, struct precopy_region *r, struct calm *calm, uint64_t *bytes)
{
	int err = 0;

	for (uint64_t at = r->start, next; at < r->end && !err; at = next) {
		struct ranges all = { 0 };
		next = slice_end(r, at);
		err = watch_contents(p->pagemap, at, next, &all);
		*bytes += ranges_bytes(&all);
		if (!err)
			err = calm->ahead ? send_ranges(p, r, &all, calm) : copy_first(p, r, &all);
		ranges_finish(&all);
		if (!err)
			err = calm_look(p, calm);
	}
	if (!err && calm->ahead)
		err = ahead_flush(calm->ahead);
	if (err) /* what it has read may be of this region */
		calm_end(calm);
	return err;
}

/* What was written to since the last round is protected again ... */
static int region_protect(struct precopy *p, struct precopy_region *r)
{
	int err = 0;

	ranges_finish(&r->again);
	for (uint64_t at = r->start, next; at < r->end && !err; at = next)
		err = watch_again(p->pagemap, at, next = slice_end(r, at), &r->again);
	return err;
}

/* ... and copied. */
static int region_again(struct precopy *p, struct precopy_region *r, uint64_t *bytes)
{
	*bytes += ranges_bytes(&r->again);
	int err = copy_ranges(p, r, &r->again);
	return err ? err : ranges_unite(&r->copied, &r->again);
}

/* With `calm` it is the first; what it copies has been protected by then. */
static int precopy_round(struct precopy *p, struct calm *calm, uint64_t *ret_bytes)
{
	uint64_t bytes = 0;
	int err = 0;

	vec_each(&p->regions, r)
		if (!err && r->copy && !calm && (err = region_protect(p, r)))
			err = region_give_up(p, r, err);
	if (!err)
		err = freeze_drain(p->rep, p->pid, p->timeout_ms);
	vec_each(&p->regions, r)
		if (!err && r->copy && (err = calm ? region_first(p, r, calm, &bytes) : region_again(p, r, &bytes)))
			err = region_give_up(p, r, err);
	*ret_bytes = bytes;
	return err;
}

static int precopy_first(struct precopy *p, struct calm *calm, uint64_t *ret_bytes)
{
	int err = calm_begin(p, calm);

	if (!err)
		err = precopy_round(p, calm, ret_bytes);
	calm_end(calm);
	report_debug(p->rep, "precopy: %lu KiB sent", p->sent >> 10);
	return err ? err : img_writer_flush(calm->writer); /* whose threads are not to work in the pause */
}

int precopy_run(struct precopy *p, struct img_writer *w, uint64_t total)
{
	struct calm calm = { .writer = w, .total = total };
	uint64_t last = UINT64_MAX, bytes = 0;
	int err = 0;

	for (unsigned round = 0; !err && round < ROUNDS; round++, last = bytes) {
		if (!(err = report_fault(p->rep, "precopy.round")))
			err = round ? precopy_round(p, NULL, &bytes) : precopy_first(p, &calm, &bytes);
		report_debug(p->rep, "precopy: round %u: %lu KiB", round, bytes >> 10);
		if (err || (round && bytes <= ENOUGH))
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
	int err = watch_is_ours(p->uffd, r->start, r->end);

	if (!err)
		err = watch_last(p->pagemap, r->start, r->end, &changed, &r->gone, &swapped);
	if (!err)
		err = refuse_guards(p, &swapped);
	if (!err)
		err = copy_ranges(p, r, &changed);
	if (!err)
		err = ranges_unite(&r->copied, &changed);
	for (size_t i = 0; i < changed.n && !err && p->goes_on; i++) {
		struct ranges again = { 0 };
		err = watch_again(p->pagemap, changed.items[i].start, changed.items[i].end, &again);
		ranges_finish(&again);
	}
	ranges_finish(&changed);
	ranges_finish(&swapped);
	return err;
}

static bool region_has(const struct precopy_region *r, uint64_t at)
{
	return at >= r->start && at < r->end;
}

/* Whether it is still what was chosen, and not what we and the child work with: the stack of the worker, text. */
static bool region_is_there(const struct precopy_region *r, const struct collect *c)
{
	for (size_t i = 0; i < c->mappings.n; i++)
		if (c->mappings.items[i].start == r->start)
			return c->mappings.items[i].end == r->end && precopy_can(c, i) && !region_has(r, c->place.area) && !region_has(r, c->place.stub);
	return false;
}

static void *last_round(void *arg)
{
	struct precopy *p = arg;

	vec_each(&p->regions, r)
		if (r->copy)
			r->last = region_last(p, r);
	return NULL;
}

static void last_join(struct precopy *p)
{
	if (p->last_begun)
		pthread_join(p->thread, NULL);
	p->last_begun = false;
}

void precopy_pause_begin(struct precopy *p, const cpu_set_t *cpus)
{
	pthread_attr_t attr;

	if (!p->regions.n || pthread_attr_init(&attr))
		return;
	if (CPU_COUNT(cpus))
		pthread_attr_setaffinity_np(&attr, sizeof(*cpus), cpus);
	p->last_begun = !pthread_create(&p->thread, &attr, last_round, p);
	pthread_attr_destroy(&attr);
}

int precopy_pause(struct precopy *p, const struct collect *c)
{
	int err = p->regions.n ? report_fault(p->rep, "precopy.pause") : 0;

	if (p->last_begun)
		last_join(p);
	else if (!err)
		last_round(p);
	vec_each(&p->regions, r) {
		if (err || !r->copy)
			continue;
		const int why = region_is_there(r, c) ? r->last : -EBUSY;
		r->whole = !why;
		if (why)
			err = region_give_up(p, r, why);
	}
	return err;
}

static int region_settle(const struct precopy *p, struct precopy_region *r, struct img_writer *w)
{
	int err = r->whole ? ranges_subtract(&r->copied, &r->gone) : 0;

	if (err || !r->sent.n)
		return err;
	if (!r->whole)
		ranges_finish(&r->sent);
	if (!(err = ranges_subtract(&r->sent, &r->gone)) && !(err = ranges_subtract(&r->sent, &r->copied)))
		err = img_writer_keep(w, p->space, r->start, r->end, &r->sent);
	return err;
}

int precopy_settle(struct precopy *p, struct img_writer *w)
{
	int err = 0;

	p->sent = 0;
	vec_each(&p->regions, r) {
		if (!err)
			err = region_settle(p, r, w);
		p->sent += ranges_bytes(&r->sent);
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

bool precopy_any(const struct precopy *p)
{
	vec_each(&p->regions, r)
		if (r->whole)
			return true;
	return false;
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
	last_join(p);
	vec_each(&p->regions, r) {
		if (p->uffd >= 0)
			watch_clear(p->uffd, r->start, r->end, 0);
		region_drop(r);
		ranges_finish(&r->sent);
	}
	if (p->uffd >= 0)
		close(STEAL_FD(p->uffd));
	if (p->pagemap >= 0)
		close(STEAL_FD(p->pagemap));
	if (p->sock >= 0)
		close(STEAL_FD(p->sock));
	vec_finish(&p->regions);
}
