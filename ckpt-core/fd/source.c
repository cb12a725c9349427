// SPDX-License-Identifier: LGPL-2.1-or-later
/* Reads the contents of a file behind descriptions and mappings. */
#include "fd/source.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/io.h"

#define PIECE (IMG_CHUNK_PAGES * (size_t)IMG_PAGE_SIZE)
#define PAGE_UP(n) (((n) + IMG_PAGE_SIZE - 1) & ~(uint64_t)(IMG_PAGE_SIZE - 1))
#define PAGE_DOWN(n) ((n) & ~(uint64_t)(IMG_PAGE_SIZE - 1))

/* Where data goes: an image, or a file of our own. */
struct sink {
	struct img_writer *w;
	uint32_t space;
	int fd;
};

int fd_source_copy(const struct fd_process *proc, int fd)
{
	int copy = (int)syscall(SYS_pidfd_getfd, proc->pidfd, fd, 0);

	return copy < 0 ? -errno : copy;
}

/* `size` bytes, a multiple of a page. */
static int sink_put(const struct sink *sink, uint64_t offset, const void *data, size_t size)
{
	if (sink->w)
		return img_writer_pages(sink->w, sink->space, offset, data, size, true);
	return io_pwrite_all(sink->fd, data, size, offset);
}

/* The next stretch of data at or after `*pos`, in whole pages. False when there is none. A file system without SEEK_DATA has
 * one stretch. */
static bool next_data(int fd, bool is_copy, uint64_t size, uint64_t *pos, uint64_t *ret_end)
{
	off_t data, hole;

	if (*pos >= size)
		return false;
	*ret_end = size;
	if (is_copy)
		return true;
	data = lseek(fd, (off_t)*pos, SEEK_DATA);
	if (data < 0)
		return errno != ENXIO;
	hole = lseek(fd, data, SEEK_HOLE);
	if ((uint64_t)data >= size)
		return false;
	if (PAGE_DOWN((uint64_t)data) > *pos)
		*pos = PAGE_DOWN((uint64_t)data);
	if (hole > data && (uint64_t)hole < size)
		*ret_end = (uint64_t)hole;
	return true;
}

/* A range whose start is at a page, filled up with zeros to whole pages. Reads may come back short at the end of the file. */
static int copy_range(struct reporter *rep, const struct fd_back *back, int fd, uint64_t pos, uint64_t end, char *buf,
                      const struct sink *sink)
{
	while (pos < end) {
		size_t n = end - pos < PIECE ? (size_t)(end - pos) : PIECE, got = 0;

		if (report_cancelled(rep))
			return -ECANCELED;
		while (got < n) {
			/* O_DIRECT on a copy wants whole blocks even at the end of the file. */
			ssize_t r = pread(fd, buf + got, PAGE_UP(n - got), (off_t)(pos + got));
			if (r < 0 && errno == EINTR)
				continue;
			if (r < 0)
				return report_fail(rep, -errno, "%s: the contents cannot be read: %s", back->r.path,
				                   strerror(errno));
			if (r == 0)
				break;
			got += (size_t)r;
		}
		if (got > n)
			got = n;
		memset(buf + got, 0, PAGE_UP(n) - got);
		int err = sink_put(sink, pos, buf, PAGE_UP(n));
		if (err)
			return err;
		pos += n;
	}
	return 0;
}

static int copy_file(struct reporter *rep, const struct fd_back *back, int fd, bool is_copy, char *buf, const struct sink *sink)
{
	uint64_t pos = 0, end;

	while (next_data(fd, is_copy, back->r.size, &pos, &end)) {
		int err = copy_range(rep, back, fd, pos, end, buf, sink);
		if (err)
			return err;
		pos = PAGE_UP(end);
	}
	return 0;
}

static int by_offset(const void *a, const void *b)
{
	const struct fd_window *x = a, *y = b;

	return (x->offset > y->offset) - (x->offset < y->offset);
}

/* What a window shows from `done` on. Pages at its end that cannot be read lie behind the end of the file. */
static int copy_window(const struct fd_window *window, uint64_t done, char *buf, const struct sink *sink)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/mem", window->pid);
	AUTO_CLOSE int mem = open(path, O_RDONLY | O_CLOEXEC);
	if (mem < 0)
		return -errno;
	uint64_t at = window->start + (done > window->offset ? done - window->offset : 0), first = at;
	while (at < window->end) {
		size_t n = window->end - at < PIECE ? (size_t)(window->end - at) : PIECE;
		ssize_t r = pread(mem, buf, n, (off_t)at);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < (ssize_t)IMG_PAGE_SIZE)
			return at > first ? 0 : r < 0 ? -errno : -EIO;
		n = PAGE_DOWN((size_t)r);
		int err = sink_put(sink, window->offset + (at - window->start), buf, n);
		if (err)
			return err;
		at += n;
	}
	return 0;
}

static int copy_windows(struct reporter *rep, const struct fd_back *back, char *buf, const struct sink *sink)
{
	AUTO_FREE struct fd_window *sorted = calloc(back->windows.n, sizeof(*sorted));
	uint64_t done = 0;

	if (!sorted)
		return -ENOMEM;
	memcpy(sorted, back->windows.items, back->windows.n * sizeof(*sorted));
	qsort(sorted, back->windows.n, sizeof(*sorted), by_offset);
	for (size_t i = 0; i < back->windows.n; i++) {
		uint64_t end = sorted[i].offset + (sorted[i].end - sorted[i].start);
		if (end <= done)
			continue;
		int err = copy_window(&sorted[i], done, buf, sink);
		if (err)
			return report_fail(rep, err, "%s: the memory that shows its contents cannot be read: %s", back->r.path,
			                   strerror(-err));
		done = end;
	}
	return 0;
}

static int copy_all(struct reporter *rep, const struct fd_back *back, int fd, bool is_copy, const struct sink *sink)
{
	AUTO_FREE char *buf = aligned_alloc(IMG_PAGE_SIZE, PIECE); /* aligned for O_DIRECT */

	if (!buf)
		return -ENOMEM;
	return fd >= 0 ? copy_file(rep, back, fd, is_copy, buf, sink) : copy_windows(rep, back, buf, sink);
}

int fd_source_to_image(struct reporter *rep, const struct fd_back *back, int fd, bool is_copy, struct img_writer *w)
{
	return copy_all(rep, back, fd, is_copy, &(struct sink){ .w = w, .space = back->r.space, .fd = -1 });
}

int fd_source_to_file(struct reporter *rep, const struct fd_back *back, int fd, bool is_copy, int to)
{
	return copy_all(rep, back, fd, is_copy, &(struct sink){ .fd = to });
}
