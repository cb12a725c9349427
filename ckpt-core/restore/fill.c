// SPDX-License-Identifier: LGPL-2.1-or-later
/* Contents of the new process's private memory, written from outside by process_vm_writev, chunk by chunk as each is read and
 * checked. */
#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "base/cleanup.h"
#include "restore/restore.h"

#define CHUNK_BYTES ((size_t)IMG_CHUNK_PAGES * IMG_PAGE_SIZE)

struct fill {
	struct restore *r;
	struct newborn *nb;
	const struct lazy_choice *lazy;
	uint8_t *buf, *zero; /* a chunk each */
	uint32_t chunk;      /* the one in `buf`; UINT32_MAX: none */
	size_t have;
	size_t vma; /* all mappings before this one lie below the extents that are still to come */
};

static int fill_write(struct fill *f, uint64_t addr, const void *data, size_t size)
{
	struct iovec local = { (void *)data, size }, remote = { (void *)addr, size };

	if (process_vm_writev(f->nb->pid, &local, 1, &remote, 1, 0) == (ssize_t)size)
		return 0;
	return report_fail(f->r->rep, errno ? -errno : -EFAULT, "restart: memory at %#lx (%zu bytes) cannot be filled: %s",
	                   addr, size, strerror(errno));
}

static int fill_zero(struct fill *f, uint64_t addr, size_t size)
{
	int err = 0;

	for (size_t at = 0; at < size && !err; at += CHUNK_BYTES)
		err = fill_write(f, addr + at, f->zero, size - at < CHUNK_BYTES ? size - at : CHUNK_BYTES);
	return err;
}

static int fill_data(struct fill *f, const struct img_extent *e, uint64_t start, size_t size)
{
	size_t from = (size_t)e->chunk_page * IMG_PAGE_SIZE + (start - e->offset);
	int err = f->chunk == e->chunk ? 0 : img_reader_chunk(f->r->reader, e->chunk, f->buf, &f->have);

	if (err)
		return err;
	f->chunk = e->chunk;
	if (from + size > f->have)
		return report_fail(f->r->rep, -EBADMSG, "image %s: chunk %u is too short", img_reader_path(f->r->reader),
		                   e->chunk);
	return fill_write(f, start, f->buf + from, size);
}

/* An extent may reach over several mappings, but not over a gap. */
static int fill_extent(struct fill *f, const struct img_extent *e)
{
	const struct restore *r = f->r;
	uint64_t start = e->offset, end = start + (uint64_t)e->n_pages * IMG_PAGE_SIZE;

	while (f->vma < r->vmas.n && r->vmas.items[f->vma].end <= start)
		f->vma++;
	for (size_t i = f->vma; start < end; i++) {
		const struct rec_vma *v = i < r->vmas.n ? &r->vmas.items[i] : NULL;
		if (!v || start < v->start || v->shared || v->process != f->nb->rec->index)
			return report_fail(r->rep, -EBADMSG, "image %s: contents for memory at %#lx that is not mapped",
			                   img_reader_path(r->reader), start);
		uint64_t stop = end < v->end ? end : v->end;
		int err = 0;
		if (!memory_is_kernels(r, v) && !(f->lazy->chosen && f->lazy->chosen[i]))
			err = e->zero ? fill_zero(f, start, stop - start) : fill_data(f, e, start, stop - start);
		if (err)
			return err;
		start = stop;
	}
	return 0;
}

int fill_all(struct restore *r, struct newborn *nb, const struct lazy_choice *lazy)
{
	AUTO_FREE uint8_t *buf = aligned_alloc(IMG_PAGE_SIZE, CHUNK_BYTES);
	AUTO_FREE uint8_t *zero = calloc(1, CHUNK_BYTES);
	struct fill f = { .r = r, .nb = nb, .lazy = lazy, .buf = buf, .zero = zero, .chunk = UINT32_MAX };
	uint64_t done = 0, total = 0;
	size_t n;
	const struct img_extent *e = img_reader_extents(r->reader, nb->rec->space, &n);

	if (!buf || !zero)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		total += (uint64_t)e[i].n_pages * IMG_PAGE_SIZE;
	for (size_t i = 0; i < n; i++) {
		int err = fill_extent(&f, &e[i]);
		if (err)
			return err;
		report_progress(r->rep, "memory", done += (uint64_t)e[i].n_pages * IMG_PAGE_SIZE, total);
		if (report_cancelled(r->rep))
			return -ECANCELED;
	}
	return 0;
}
