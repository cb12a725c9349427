// SPDX-License-Identifier: LGPL-2.1-or-later
/* Contents out of an image into a file. */
#include "fd/plan.h"

#include <string.h>
#include <sys/mman.h>

#include "base/io.h"

/* Where contents go: written, or through memory on hugetlbfs, which knows no write(2). */
struct target {
	int fd;
	char *memory;
	uint64_t size;
};

static int put(const struct target *to, uint64_t offset, const char *data, uint64_t size)
{
	if (offset >= to->size)
		return 0;
	if (size > to->size - offset)
		size = to->size - offset;
	if (!to->memory)
		return io_pwrite_all(to->fd, data, size, offset);
	memcpy(to->memory + offset, data, size);
	return 0;
}

uint64_t fd_fill_bytes(const struct fd_plan *plan, uint32_t space)
{
	size_t n;
	const struct img_extent *extents = img_reader_extents(plan->reader, space, &n);
	uint64_t bytes = 0;

	for (size_t i = 0; i < n; i++)
		if (!extents[i].zero)
			bytes += (uint64_t)extents[i].n_pages * IMG_PAGE_SIZE;
	return bytes;
}

static int fill_extents(struct fd_plan *plan, uint32_t space, const struct target *to)
{
	size_t n, got = 0;
	const struct img_extent *extents = img_reader_extents(plan->reader, space, &n);
	AUTO_FREE char *chunk = malloc(IMG_CHUNK_PAGES * (size_t)IMG_PAGE_SIZE);
	uint32_t loaded = UINT32_MAX;

	if (!chunk)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const struct img_extent *it = &extents[i];

		if (report_cancelled(plan->rep))
			return -ECANCELED;
		if (it->zero)
			continue;
		int err = it->chunk == loaded ? 0 : img_reader_chunk(plan->reader, it->chunk, chunk, &got);
		if (err)
			return err;
		loaded = it->chunk;
		uint64_t from = (uint64_t)it->chunk_page * IMG_PAGE_SIZE, size = (uint64_t)it->n_pages * IMG_PAGE_SIZE;
		if (from > got || size > got - from)
			return report_fail(plan->rep, -EBADMSG,
			                   "image %s: an extent reaches past its chunk; the image is damaged",
			                   img_reader_path(plan->reader));
		err = put(to, it->offset, chunk + from, size);
		if (err)
			return err;
		report_progress(plan->rep, "descriptors", plan->fill_done += size, plan->fill_total);
	}
	return 0;
}

int fd_fill(struct fd_plan *plan, uint32_t space, int fd, uint64_t size, uint64_t huge, const char *name)
{
	struct target to = { fd, NULL, size };
	int err = 0;

	if (ftruncate(fd, (off_t)size))
		return report_fail(plan->rep, -errno, "%s: cannot be given its size of %llu bytes: %s", name,
		                   (unsigned long long)size, strerror(errno));
	if (!space || !size)
		return 0;
	if (huge) {
		to.memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		if (to.memory == MAP_FAILED)
			return report_fail(plan->rep, -errno, "%s: needs %llu bytes of huge pages: %s; raise vm.nr_hugepages",
			                   name, (unsigned long long)size, strerror(errno));
	}
	err = fill_extents(plan, space, &to);
	if (huge)
		munmap(to.memory, size);
	if (err == -EBADMSG || err == -ECANCELED || err == -ENOMEM)
		return err;
	return err ? report_fail(plan->rep, err, "%s: its contents cannot be written: %s", name, strerror(-err)) : 0;
}
