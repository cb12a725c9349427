// SPDX-License-Identifier: LGPL-2.1-or-later
/* The calls of userfaultfd and of PAGEMAP_SCAN that watch memory. They say nothing: their callers know what a refusal means. */
#include "track/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "inject/helper.h"
#include "kernel.h"

#define REGIONS 1024 /* taken from the kernel at a time */

int watch_open(struct tracee *worker, const struct batch_place *place, struct undo_journal *journal)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED };
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

int watch_changed(int pagemap, uint64_t start, uint64_t end, struct ranges *changed)
{
	AUTO_FREE struct pagemap_region *regions = calloc(REGIONS, sizeof(*regions));

	if (!regions)
		return -ENOMEM;
	while (start < end) {
		struct pagemap_scan scan = { .size = sizeof(scan),
			                     .flags = PAGEMAP_SCAN_CHECK_ASYNC,
			                     .start = start,
			                     .end = end,
			                     .vec = (uintptr_t)regions,
			                     .vec_len = REGIONS,
			                     .category_mask = PAGEMAP_SCAN_WRITTEN,
			                     .return_mask = PAGEMAP_SCAN_WRITTEN };
		int n = ioctl(pagemap, PAGEMAP_SCAN_IOCTL, &scan);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		for (int i = 0; i < n; i++)
			if (ranges_add(changed, regions[i].start, regions[i].end))
				return -ENOMEM;
		if (scan.walk_end <= start)
			return -EIO;
		start = scan.walk_end;
	}
	return 0;
}

/* Nothing happens to what is registered already; what is registered elsewhere is refused. */
static int watch_register(int uffd, uint64_t start, uint64_t end)
{
	struct uffdio_register reg = { .range = { start, end - start }, .mode = UFFDIO_REGISTER_MODE_WP };

	return ioctl(uffd, UFFDIO_REGISTER, &reg) < 0 ? -errno : 0;
}

int watch_is_ours(int uffd, uint64_t start, uint64_t end)
{
	return watch_register(uffd, start, end) ? -EBUSY : 0;
}

int watch_arm(int uffd, int pagemap, uint64_t start, uint64_t end)
{
	int err = watch_register(uffd, start, end);

	if (err)
		return err;
	while (start < end) {
		struct pagemap_scan scan = { .size = sizeof(scan),
			                     .flags = PAGEMAP_SCAN_WP_MATCHING | PAGEMAP_SCAN_CHECK_ASYNC,
			                     .start = start,
			                     .end = end,
			                     .category_mask = PAGEMAP_SCAN_WRITTEN,
			                     .return_mask = PAGEMAP_SCAN_WRITTEN };
		if (ioctl(pagemap, PAGEMAP_SCAN_IOCTL, &scan) < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (scan.walk_end <= start)
			return -EIO;
		start = scan.walk_end;
	}
	return 0;
}
