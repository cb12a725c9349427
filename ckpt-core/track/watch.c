// SPDX-License-Identifier: LGPL-2.1-or-later
/* The calls of userfaultfd and of PAGEMAP_SCAN that watch memory. They say nothing: their callers know what a refusal means. */
#include "track/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/timens.h"
#include "inject/helper.h"
#include "kernel.h"

#define REGIONS 1024 /* taken from the kernel at a time */
#define CLEAR_BYTES 65536ul       /* at least, without a pause */
#define CLEAR_MOST (8ul << 20)    /* where there is nothing to be done the next is no longer for it */
#define END_BYTES (16ul << 20)
#define END_PIECEMEAL (128ul << 20)
#define CLEAR_US 300              /* some of it for the interrupt of every other CPU that runs the target, whatever the size */

int watch_try(void)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_WP_ASYNC };
	AUTO_CLOSE int fd = (int)syscall(SYS_userfaultfd, UFFD_USER_MODE_ONLY | O_CLOEXEC | O_NONBLOCK);

	return fd < 0 || ioctl(fd, UFFDIO_API, &api) < 0 ? -errno : 0;
}

int watch_open(struct tracee *worker, const struct batch_place *place, struct undo_journal *journal)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_WP_ASYNC };
	struct helper h;
	int64_t there = -1;
	int err = helper_begin(worker, place, false, journal, &h), fd = -1;

	if (err)
		return err;
	/* For accesses of user mode only, which needs no privilege: in this form there is nothing to wait for, so the kernel's
	 * own accesses are noted all the same. */
	err = helper_call(&h, &h.task, SYS_userfaultfd, UFFD_USER_MODE_ONLY | O_CLOEXEC | O_NONBLOCK, 0, &there);
	if (!err && there < 0)
		err = (int)there;
	if (!err) {
		AUTO_CLOSE int pidfd = (int)syscall(SYS_pidfd_open, h.task.tid, 0);
		fd = pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, (int)there, 0);
		err = fd < 0 || ioctl(fd, UFFDIO_API, &api) < 0 ? -errno : 0;
	}
	int err2 = helper_end(&h, true);
	err = err ? err : err2;
	if (err && fd >= 0)
		close(fd);
	return err ? err : fd;
}

/* Where the parts go of which the kernel says this; `ranges` may be NULL. */
struct sieve {
	struct ranges *ranges;
	uint64_t all, any, none; /* categories; of `any` one is enough, and 0 asks for nothing */
};

static int sieve_add(const struct sieve *sieves, size_t n, const struct pagemap_region *r)
{
	for (size_t i = 0; i < n; i++) {
		const struct sieve *s = &sieves[i];
		const bool fits = (r->categories & s->all) == s->all && (!s->any || r->categories & s->any) && !(r->categories & s->none);
		if (fits && s->ranges && ranges_add(s->ranges, r->start, r->end))
			return -ENOMEM;
	}
	return 0;
}

/* Calls it for all of [start, end). (Without a place for what is found the kernel would mark pages that have no contents as well, page tables
 * for them included.) */
static int watch_scan(int pagemap, struct pagemap_scan scan, uint64_t start, uint64_t end, const struct sieve *sieves, size_t n_sieves)
{
	AUTO_FREE struct pagemap_region *regions = calloc(REGIONS, sizeof(*regions));

	if (!regions)
		return -ENOMEM;
	scan.size = sizeof(scan);
	scan.end = end;
	scan.vec = (uintptr_t)regions;
	scan.vec_len = REGIONS;
	while (start < end) {
		scan.start = start;
		int n = ioctl(pagemap, PAGEMAP_SCAN_IOCTL, &scan);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		for (int i = 0; i < n; i++)
			if (sieve_add(sieves, n_sieves, &regions[i]))
				return -ENOMEM;
		if (scan.walk_end <= start)
			return -EIO;
		start = scan.walk_end;
	}
	return 0;
}

#define CONTENTS (PAGEMAP_SCAN_PRESENT | PAGEMAP_SCAN_SWAPPED)

int watch_changed(int pagemap, uint64_t start, uint64_t end, struct ranges *changed)
{
	const struct pagemap_scan scan = { .flags = PAGEMAP_SCAN_CHECK_ASYNC,
		                           .category_mask = PAGEMAP_SCAN_WRITTEN,
		                           .return_mask = PAGEMAP_SCAN_WRITTEN };

	return watch_scan(pagemap, scan, start, end, &(struct sieve){ .ranges = changed }, 1);
}

int watch_again(int pagemap, uint64_t start, uint64_t end, struct ranges *changed)
{
	const struct pagemap_scan scan = { .flags = PAGEMAP_SCAN_WP_MATCHING | PAGEMAP_SCAN_CHECK_ASYNC,
		                           .category_mask = PAGEMAP_SCAN_WRITTEN,
		                           .category_anyof_mask = CONTENTS,
		                           .return_mask = PAGEMAP_SCAN_WRITTEN };

	return watch_scan(pagemap, scan, start, end, &(struct sieve){ .ranges = changed }, 1);
}

/* What is present and bears its mark, mostly all there is, is not even looked at. Of what has no contents the kernel may say as well that it was
 * written to. */
int watch_last(int pagemap, uint64_t start, uint64_t end, struct ranges *changed, struct ranges *gone, struct ranges *swapped)
{
	const struct pagemap_scan scan = { .flags = PAGEMAP_SCAN_CHECK_ASYNC,
		                           .category_inverted = PAGEMAP_SCAN_PRESENT,
		                           .category_anyof_mask = PAGEMAP_SCAN_PRESENT | PAGEMAP_SCAN_WRITTEN,
		                           .return_mask = CONTENTS | PAGEMAP_SCAN_WRITTEN };
	const struct sieve sieves[] = { { changed, PAGEMAP_SCAN_WRITTEN, CONTENTS, 0 },
					{ gone, 0, 0, CONTENTS },
					{ swapped, PAGEMAP_SCAN_SWAPPED, 0, 0 } };

	return watch_scan(pagemap, scan, start, end, sieves, ARRAY_SIZE(sieves));
}

int watch_protect(int uffd, uint64_t start, uint64_t end)
{
	struct uffdio_writeprotect protect = { .range = { start, end - start }, .mode = UFFDIO_WRITEPROTECT_MODE_WP };

	return ioctl(uffd, UFFDIO_WRITEPROTECT, &protect) < 0 ? -errno : 0;
}

/* A mark without a page counts as swapped (pagemap_page_category() in fs/proc/task_mmu.c); a place without either as not written to. */
int watch_unchanged(int pagemap, uint64_t start, uint64_t end, struct ranges *same)
{
	const struct pagemap_scan scan = { .flags = PAGEMAP_SCAN_CHECK_ASYNC,
		                           .category_inverted = PAGEMAP_SCAN_WRITTEN,
		                           .category_mask = PAGEMAP_SCAN_WRITTEN,
		                           .category_anyof_mask = CONTENTS,
		                           .return_mask = CONTENTS };

	return watch_scan(pagemap, scan, start, end, &(struct sieve){ .ranges = same }, 1);
}

int watch_contents(int pagemap, uint64_t start, uint64_t end, struct ranges *there)
{
	const struct pagemap_scan scan = { .category_anyof_mask = CONTENTS, .return_mask = CONTENTS };

	return watch_scan(pagemap, scan, start, end, &(struct sieve){ .ranges = there }, 1);
}

/* Nothing happens to what is registered already; what is registered elsewhere is refused. */
int watch_register(int uffd, uint64_t start, uint64_t end)
{
	struct uffdio_register reg = { .range = { start, end - start }, .mode = UFFDIO_REGISTER_MODE_WP };

	return ioctl(uffd, UFFDIO_REGISTER, &reg) < 0 ? -errno : 0;
}

int watch_is_ours(int uffd, uint64_t start, uint64_t end)
{
	return watch_register(uffd, start, end) ? -EBUSY : 0;
}

/* `nap` times as long as what has been done since then. */
static void watch_nap(uint64_t since, unsigned nap)
{
	const uint64_t us = (timens_stopwatch_us() - since) * nap;
	const struct timespec ts = { .tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000 * 1000) };

	if (nap)
		nanosleep(&ts, NULL);
}

/* A step is as long as it takes CLEAR_US: few pages where the kernel is slow, many where it is fast. */
void watch_clear(int uffd, uint64_t start, uint64_t end, unsigned nap)
{
	uint64_t step = CLEAR_BYTES;

	for (uint64_t at = start, size; at < end; at += size) {
		const uint64_t since = timens_stopwatch_us();
		size = end - at < step ? end - at : step;
		struct uffdio_writeprotect clear = { .range = { at, size } };
		ioctl(uffd, UFFDIO_WRITEPROTECT, &clear);
		const uint64_t us = timens_stopwatch_us() - since;
		if (us < CLEAR_US / 2 && step < CLEAR_MOST)
			step *= 2;
		else if (us > CLEAR_US * 2 && step > CLEAR_BYTES)
			step /= 2;
		watch_nap(since, nap);
	}
}

void watch_end(int uffd, uint64_t start, uint64_t end, unsigned nap)
{
	watch_clear(uffd, start, end, nap);
	const uint64_t step = end - start < END_PIECEMEAL ? end - start : END_BYTES;
	for (uint64_t at = start, size; at < end; at += size) {
		const uint64_t since = timens_stopwatch_us();
		size = end - at < step ? end - at : step;
		struct uffdio_range range = { at, size };
		ioctl(uffd, UFFDIO_UNREGISTER, &range);
		watch_nap(since, nap);
	}
}

int watch_arm(int uffd, int pagemap, uint64_t start, uint64_t end)
{
	struct ranges changed = { 0 };
	int err = watch_register(uffd, start, end);

	if (!err)
		err = watch_again(pagemap, start, end, &changed);
	ranges_finish(&changed);
	return err;
}
