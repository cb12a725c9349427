// SPDX-License-Identifier: LGPL-2.1-or-later
/* Pages from the image into memory that asks for them.
 *
 * Theory of operation. An event (REMOVE, UNMAP, REMAP, FORK) keeps its thread waiting until it is read, and from its beginning
 * to that moment the kernel refuses to put pages in (-EAGAIN). So what the ledger says at the time of a UFFDIO_COPY that
 * succeeds is what the target's memory is like. A fault that cannot be answered for that reason is simply woken: it comes
 * again. A page that nobody owes is zero: it never was in the image, or the target has thrown it away. Test:
 * lazy-memory-changes-meanwhile.
 *
 * In the background comes first what the first restart of the image had asked for (its working set, order.h), then what lies behind the
 * latest fault, then the rest. Test: lazy-ordered. */
#include "lazy/pages.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/timens.h"
#include "lazy/uffd.h"

#define CHUNK_BYTES ((size_t)IMG_CHUNK_PAGES * IMG_PAGE_SIZE)
#define HUGE_PAGE (2ul << 20)
#define STEP (64 * LEDGER_PAGE)   /* put in at a time: a fault meanwhile waits for no longer */
#define AROUND (16 * LEDGER_PAGE) /* put in at a fault */
#define HOT_EXTENTS 8
#define MISSING_MAX_US 10000000
/* The last page of the address space, which is never mapped: a call there only tells whether there is a process. */
#define NOWHERE (0x7ffffffff000ul - LEDGER_PAGE)

int pages_init(struct pages_server *s, const struct lazy_job *job)
{
	*s = (struct pages_server){ .job = *job };
	for (size_t i = 0; i < LEDGER_SPACES; i++)
		s->uffd[i] = -1;
	s->uffd[0] = job->uffd;
	s->n_order = img_order_read(job->reader, s->order);
	/* Touched a page at a time it would cost more than what is read into it. */
	s->n_cache = job->store ? PAGES_CACHE_BESIDE_STORE : PAGES_CACHE;
	void *room = aligned_alloc(HUGE_PAGE, s->n_cache * CHUNK_BYTES);
	if (!room)
		return -ENOMEM;
	madvise(room, s->n_cache * CHUNK_BYTES, MADV_HUGEPAGE);
	for (size_t i = 0; i < s->n_cache; i++)
		s->cache[i] = (struct pages_chunk){ .number = UINT32_MAX, .data = (uint8_t *)room + i * CHUNK_BYTES };
	return 0;
}

void pages_finish(struct pages_server *s)
{
	free(s->cache[0].data);
}

/* Its bytes may not be given away for nothing: ESRCH and EAGAIN mean something else to our callers. */
static int pages_read(struct pages_server *s, uint32_t number, uint8_t *to, size_t *ret_size)
{
	int err = img_reader_chunk(s->job.reader, number, to, ret_size);

	return err == -ESRCH || err == -EAGAIN ? -EIO : err;
}

/* The chunk from the store, read into it if it is not there; *ret NULL when somebody else is about it. */
static int pages_stored(struct pages_server *s, uint32_t number, const uint8_t **ret, size_t *ret_size)
{
	uint8_t *room;
	int err = 0;

	*ret_size = img_reader_chunk_info(s->job.reader, number)->raw_bytes;
	*ret = store_get(s->job.store, number, &room);
	if (room) {
		err = pages_read(s, number, room, ret_size);
		store_done(s->job.store, number, !err);
		*ret = err ? NULL : room;
	}
	return err;
}

/* The chunk, read, checked and unpacked. */
static int pages_chunk(struct pages_server *s, uint32_t number, const uint8_t **ret, size_t *ret_size)
{
	struct pages_chunk *it = &s->cache[0];

	if (s->job.store) {
		int err = pages_stored(s, number, ret, ret_size);
		if (err || *ret)
			return err;
	}
	for (size_t i = 0; i < s->n_cache; i++) {
		if (s->cache[i].number == number) {
			it = &s->cache[i];
			break;
		}
		if (s->cache[i].used < it->used)
			it = &s->cache[i];
	}
	it->used = ++s->clock;
	if (it->number != number) {
		it->number = UINT32_MAX;
		int err = pages_read(s, number, it->data, &it->size);
		if (err)
			return err;
		it->number = number;
	}
	*ret = it->data;
	*ret_size = it->size;
	return 0;
}

/* The first extent that ends behind this image address. */
static size_t pages_extent_from(const struct pages_server *s, uint64_t image_addr)
{
	size_t low = 0, high = s->job.n_extents;

	while (low < high) {
		size_t mid = (low + high) / 2;
		const struct img_extent *e = &s->job.extents[mid];
		if (e->offset + (uint64_t)e->n_pages * LEDGER_PAGE <= image_addr)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* The extent with this image address, or -1. */
static ssize_t pages_extent(const struct pages_server *s, uint64_t image_addr)
{
	const size_t i = pages_extent_from(s, image_addr);

	return i < s->job.n_extents && s->job.extents[i].offset <= image_addr ? (ssize_t)i : -1;
}

/* There is no such mapping: an event on its way will tell where it has gone (mfill_atomic() in mm/userfaultfd.c looks for the
 * mapping before it looks for events). If none comes nothing can be right any more. */
static int pages_missing(struct pages_server *s, uint64_t addr)
{
	uint64_t now = timens_stopwatch_us();

	if (s->missing_addr != addr) {
		s->missing_addr = addr;
		s->missing_since = now;
	}
	if (now - s->missing_since < MISSING_MAX_US)
		return -EAGAIN;
	return report_fail(s->job.rep, -EFAULT, "memory at %#lx of process %d is not there any more, and no event has told why",
	                   addr, s->job.pid);
}

/* Puts in one run that lies in one piece at `addr`. Returns 0, -EAGAIN when an event has to be read first, or as pages_answer.
 */
static int pages_put(struct pages_server *s, uint32_t space, uint64_t image_addr, uint64_t addr, const uint8_t *data,
                     size_t size)
{
	struct ledger *l = s->job.ledger;

	while (size) {
		size_t done, n = size;
		int err = uffd_copy(s->uffd[space], addr, data, n, &done);
		if (err == -ENOENT && !done && n > LEDGER_PAGE) /* more than one mapping by now: page by page */
			err = uffd_copy(s->uffd[space], addr, data, n = LEDGER_PAGE, &done);
		if (!done && err == -ENOENT)
			return pages_missing(s, addr);
		if (!done && err == -EEXIST) {
			uffd_wake(s->uffd[space], addr, LEDGER_PAGE);
			done = LEDGER_PAGE;
		} else if (!done && err) {
			if (err == -EAGAIN || err == -ESRCH)
				return err;
			return report_fail(s->job.rep, err, "memory at %#lx of process %d cannot be filled: %s", addr,
			                   s->job.pid, strerror(-err));
		}
		ledger_settle(l, space, image_addr, done);
		image_addr += done;
		addr += done;
		data += done;
		size -= done;
	}
	return 0;
}

/* Puts in what is owed of [start, end) of extent `e`, from the front and not more than `most` bytes. Returns the bytes, or
 * negative. */
static ssize_t pages_load(struct pages_server *s, uint32_t space, const struct img_extent *e, uint64_t start, uint64_t end,
                          size_t most)
{
	const uint8_t *chunk;
	uint64_t addr;
	size_t all = 0, have;

	while (all < most) {
		size_t n = ledger_next(s->job.ledger, space, &start, end, &addr);
		if (!n)
			break;
		if (n > most - all)
			n = most - all;
		int err = pages_chunk(s, e->chunk, &chunk, &have);
		if (err)
			return err;
		size_t from = (size_t)e->chunk_page * LEDGER_PAGE + (start - e->offset);
		if (from + n > have)
			return report_fail(s->job.rep, -EBADMSG, "image %s: chunk %u is too short",
			                   img_reader_path(s->job.reader), e->chunk);
		if ((err = pages_put(s, space, start, addr, chunk + from, n)))
			return err;
		start += n;
		all += n;
	}
	return (ssize_t)all;
}

/* ---- faults ---- */

/* Zeros where nothing is owed: not for this page only, as whoever touches it mostly goes on to the next. */
static int pages_zero(struct pages_server *s, uint32_t space, uint64_t addr)
{
	struct ledger *l = s->job.ledger;
	uint64_t end = (addr | (AROUND - 1)) + 1, image_addr;
	size_t size = LEDGER_PAGE, done;

	while (addr + size < end && ledger_origin(l, space, addr + size, &image_addr) && !ledger_owes(l, space, image_addr))
		size += LEDGER_PAGE;
	int err = uffd_zero(s->uffd[space], addr, size, &done);
	if (err == -ENOENT && size > LEDGER_PAGE && !done)
		err = uffd_zero(s->uffd[space], addr, LEDGER_PAGE, &done);
	if (err)
		uffd_wake(s->uffd[space], addr, LEDGER_PAGE);
	if (!err || done || err == -EEXIST || err == -ENOENT || err == -EAGAIN)
		return 0;
	return err == -ESRCH ? err
	                     : report_fail(s->job.rep, err, "memory at %#lx of process %d cannot be zeroed: %s", addr,
	                                   s->job.pid, strerror(-err));
}

static void pages_note(struct pages_server *s, uint64_t image_addr)
{
	const uint64_t piece = image_addr / IMG_ORDER_PIECE;

	if (s->n_order || s->n_asked == IMG_ORDER_MAX || piece > UINT32_MAX)
		return;
	for (size_t i = s->n_asked; i > 0; i--)
		if (s->asked[i - 1] == piece)
			return;
	s->asked[s->n_asked++] = (uint32_t)piece;
	if (s->n_asked == IMG_ORDER_MAX)
		pages_keep_order(s);
}

static int pages_fault(struct pages_server *s, uint32_t space, uint64_t addr)
{
	uint64_t image_addr;

	s->fault_us = timens_stopwatch_us();
	if (!ledger_origin(s->job.ledger, space, addr, &image_addr) || !ledger_owes(s->job.ledger, space, image_addr))
		return pages_zero(s, space, addr);
	if (!space)
		pages_note(s, image_addr);
	ssize_t i = pages_extent(s, image_addr);
	if (i < 0)
		return report_fail(s->job.rep, -EBADMSG, "image %s: its page at %#lx is in no extent",
		                   img_reader_path(s->job.reader), image_addr);
	const struct img_extent *e = &s->job.extents[i];
	uint64_t end = e->offset + (uint64_t)e->n_pages * LEDGER_PAGE, around = (image_addr | (AROUND - 1)) + 1;
	ssize_t n = pages_load(s, space, e, image_addr, around < end ? around : end, AROUND);
	if (n == -EAGAIN)
		uffd_wake(s->uffd[space], addr, LEDGER_PAGE);
	else if (n < 0)
		return (int)n;
	if (!space && s->job.prefetch) {
		s->hot = (size_t)i;
		s->hot_end = s->hot + HOT_EXTENTS < s->job.n_extents ? s->hot + HOT_EXTENTS : s->job.n_extents;
	}
	return 0;
}

/* ---- events ---- */

static int pages_fork(struct pages_server *s, uint32_t space, int fd)
{
	int child = ledger_fork(s->job.ledger, space);

	for (uint32_t i = 1; i < LEDGER_SPACES && child < 0; i++)
		if (s->uffd[i] >= 0 && pages_gone(s, i)) {
			pages_drop(s, i);
			child = ledger_fork(s->job.ledger, space);
		}
	if (child < 0)
		return report_fail(s->job.rep, child,
		                   "process %d has more than %u children that were forked while its memory was being loaded; "
		                   "restart it with --lazy=off",
		                   s->job.pid, LEDGER_SPACES - 1);
	s->uffd[child] = fd;
	s->cursor[child] = 0;
	if (s->forked)
		s->forked(s, (uint32_t)child);
	return 0;
}

static int pages_message(struct pages_server *s, uint32_t space)
{
	const struct uffd_msg *msg = &s->job.ledger->spaces[space].msg;

	switch (msg->event) {
	case UFFD_EVENT_PAGEFAULT:
		return pages_fault(s, space, msg->arg.pagefault.address & ~(LEDGER_PAGE - 1));
	case UFFD_EVENT_FORK:
		return pages_fork(s, space, (int)msg->arg.fork.ufd);
	default: {
		int err = ledger_apply(s->job.ledger, space);
		return err ? report_fail(s->job.rep, err,
		                         "process %d moves its memory about in more than %u pieces while it is being loaded; "
		                         "restart it with --lazy=off",
		                         s->job.pid, LEDGER_SEGMENTS)
		           : 0;
	}
	}
}

int pages_answer(struct pages_server *s, uint32_t space)
{
	struct ledger_space *sp = &s->job.ledger->spaces[space];

	for (;;) {
		sp->msg.event = 0;
		sp->number++;
		ssize_t n = read(s->uffd[space], &sp->msg, sizeof(sp->msg));
		if (n < 0 && errno == EINTR)
			continue;
		if (n != (ssize_t)sizeof(sp->msg)) {
			sp->msg.event = 0;
			return 0; /* nothing there, or there was a fault whose thread has been killed */
		}
		int err = pages_message(s, space);
		if (err)
			return err;
		sp->msg.event = 0;
	}
}

/* ---- ahead ---- */

/* From the first of [*at, end) that is owed to this space. As pages_ahead. */
static int pages_from(struct pages_server *s, uint32_t space, size_t *at, size_t end)
{
	for (; *at < end; ++*at) {
		const struct img_extent *e = &s->job.extents[*at];
		if (e->zero)
			continue;
		ssize_t n = pages_load(s, space, e, e->offset, e->offset + (uint64_t)e->n_pages * LEDGER_PAGE, STEP);
		if (n)
			return n == -EAGAIN || n > 0 ? 1 : (int)n;
	}
	return 0;
}

int pages_ordered(struct pages_server *s)
{
	for (; s->order_at < s->n_order; s->order_at++) {
		const uint64_t start = s->order[s->order_at] * IMG_ORDER_PIECE, end = start + IMG_ORDER_PIECE;
		for (size_t i = pages_extent_from(s, start); i < s->job.n_extents && s->job.extents[i].offset < end; i++) {
			const struct img_extent *e = &s->job.extents[i];
			const uint64_t last = e->offset + (uint64_t)e->n_pages * LEDGER_PAGE;
			if (e->zero)
				continue;
			ssize_t n = pages_load(s, 0, e, start > e->offset ? start : e->offset, end < last ? end : last, STEP);
			if (n)
				return n == -EAGAIN || n > 0 ? 1 : (int)n;
		}
	}
	return 0;
}

void pages_keep_order(struct pages_server *s)
{
	if (!s->n_order && s->n_asked)
		img_order_write(s->job.reader, s->asked, s->n_asked);
}

int pages_ahead(struct pages_server *s, uint32_t space)
{
	int more = space ? 0 : pages_ordered(s);

	if (more)
		return more;
	more = space ? 0 : pages_from(s, space, &s->hot, s->hot_end);

	return more ? more : pages_from(s, space, &s->cursor[space], s->job.n_extents);
}

int pages_first(struct pages_server *s)
{
	const struct ledger *l = s->job.ledger;

	for (uint32_t i = 0; i < l->n_regions; i++) {
		uint64_t at = l->regions[i].start, addr;
		if (!ledger_next(l, 0, &at, l->regions[i].end, &addr))
			continue;
		ssize_t k = pages_extent(s, at);
		ssize_t n = k < 0 ? -EBADMSG : pages_load(s, 0, &s->job.extents[k], at, at + LEDGER_PAGE, LEDGER_PAGE);
		if (n < 0)
			return (int)n;
	}
	return 0;
}

bool pages_gone(const struct pages_server *s, uint32_t space)
{
	size_t done;

	return uffd_zero(s->uffd[space], NOWHERE, LEDGER_PAGE, &done) == -ESRCH;
}

void pages_drop(struct pages_server *s, uint32_t space)
{
	close(s->uffd[space]);
	s->uffd[space] = -1;
	s->job.ledger->spaces[space].used = false;
}

int pages_take_over(struct pages_server *s)
{
	struct ledger *l = s->job.ledger;

	for (uint32_t i = 0; i < LEDGER_SPACES; i++) {
		struct ledger_space *sp = &l->spaces[i];
		if (!sp->used)
			continue;
		if (s->uffd[i] < 0 || sp->msg.event == UFFD_EVENT_FORK)
			return report_fail(
			        s->job.rep, -EPIPE,
			        "the page server of process %d was killed in the instant of a fork, so that the child's "
			        "memory cannot be loaded any more",
			        s->job.pid);
		int err = sp->msg.event && sp->msg.event != UFFD_EVENT_PAGEFAULT ? pages_message(s, i) : 0;
		if (err)
			return err;
		sp->msg.event = 0;
		uffd_wake(s->uffd[i], 65536, NOWHERE - 65536);
	}
	return 0;
}
