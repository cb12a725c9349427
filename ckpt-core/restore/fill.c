// SPDX-License-Identifier: LGPL-2.1-or-later
/* Contents of the new process's private memory, written from outside by process_vm_writev, chunk by chunk as each is read and
 * checked, by as many threads as there are processors.
 *
 * Theory of operation. The kernel starts no thread for whoever has unshared its pid or time namespace (copy_process() in
 * kernel/fork.c), and none may be there when a user namespace is unshared. So the threads are hired before the controller makes
 * namespaces, and wait for work; where it needs a user namespace it works alone. Test: large-memory-keeps-contents. */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>

#include "base/cleanup.h"
#include "base/cpus.h"
#include "restore/restore.h"

#define CHUNK_BYTES ((size_t)IMG_CHUNK_PAGES * IMG_PAGE_SIZE)

#define THREADS_MAX 8
#define SHARE_BYTES (4 * CHUNK_BYTES) /* taken at a time, and up to the end of a chunk */

/* What the threads have in common. */
struct fill_work {
	struct restore *r;
	struct newborn *nb;
	const struct lazy_choice *lazy;
	const struct img_extent *extents;
	size_t n_extents;
	const uint8_t *zero; /* a chunk */
	pthread_mutex_t lock; /* guards the rest */
	size_t next;          /* the first extent that nobody has taken */
	uint64_t done, total; /* bytes */
	int err;
};

/* What each has for itself. */
struct fill {
	struct fill_work *work;
	struct restore *r;
	uint8_t *buf;   /* a chunk */
	uint32_t chunk; /* the one in `buf`; UINT32_MAX: none */
	size_t have;
	size_t vma; /* all mappings before this one lie below the extents that are still to come */
};

/* Only the first thread that fails says so. */
__attribute__((format(printf, 3, 4))) static int fill_fail(struct fill *f, int err, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	pthread_mutex_lock(&f->work->lock);
	if (!f->work->err)
		f->work->err = report_fail(f->r->rep, err, "%s", text);
	pthread_mutex_unlock(&f->work->lock);
	return err;
}

static int fill_write(struct fill *f, uint64_t addr, const void *data, size_t size)
{
	struct iovec local = { (void *)data, size }, remote = { (void *)addr, size };

	if (process_vm_writev(f->work->nb->pid, &local, 1, &remote, 1, 0) == (ssize_t)size)
		return 0;
	return fill_fail(f, errno ? -errno : -EFAULT, "restart: memory at %#lx (%zu bytes) cannot be filled: %s", addr, size,
	                 strerror(errno));
}

static int fill_zero(struct fill *f, uint64_t addr, size_t size)
{
	int err = 0;

	for (size_t at = 0; at < size && !err; at += CHUNK_BYTES)
		err = fill_write(f, addr + at, f->work->zero, size - at < CHUNK_BYTES ? size - at : CHUNK_BYTES);
	return err;
}

static int fill_data(struct fill *f, const struct img_extent *e, uint64_t start, size_t size)
{
	size_t from = (size_t)e->chunk_page * IMG_PAGE_SIZE + (start - e->offset);
	const uint8_t *known = template_contents(f->r, (size_t)(e - f->work->extents));
	if (known)
		return fill_write(f, start, known + (start - e->offset), size);
	int err = f->chunk == e->chunk ? 0 : img_reader_chunk(f->r->reader, e->chunk, f->buf, &f->have);

	if (err)
		return err;
	f->chunk = e->chunk;
	if (from + size > f->have)
		return fill_fail(f, -EBADMSG, "image %s: chunk %u is too short", img_reader_path(f->r->reader), e->chunk);
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
		if (!v || start < v->start || v->shared || v->process != f->work->nb->rec->index)
			return fill_fail(f, -EBADMSG, "image %s: contents for memory at %#lx that is not mapped",
			                 img_reader_path(r->reader), start);
		uint64_t stop = end < v->end ? end : v->end;
		int err = 0;
		if (!memory_is_kernels(r, v) && !template_has(r, v) && !(f->work->lazy->chosen && f->work->lazy->chosen[i]))
			err = e->zero ? fill_zero(f, start, stop - start) : fill_data(f, e, start, stop - start);
		if (err)
			return err;
		start = stop;
	}
	return 0;
}

/* The next extents for a thread, that of a chunk all together; false when there are none, or something has gone wrong. */
static bool fill_take(struct fill_work *w, size_t *ret_first, size_t *ret_end)
{
	uint64_t bytes = 0;

	pthread_mutex_lock(&w->lock);
	*ret_first = w->next;
	while (w->next < w->n_extents && !w->err) {
		const struct img_extent *e = &w->extents[w->next];
		if (bytes >= SHARE_BYTES && (e->zero || e->chunk != w->extents[w->next - 1].chunk))
			break;
		bytes += (uint64_t)e->n_pages * IMG_PAGE_SIZE;
		w->next++;
	}
	*ret_end = w->next;
	bool some = !w->err && *ret_first < w->next;
	pthread_mutex_unlock(&w->lock);
	return some;
}

/* The first thread, which is the caller, tells of the progress. */
static void fill_some(struct fill_work *w, bool is_first)
{
	AUTO_FREE uint8_t *buf = aligned_alloc(IMG_PAGE_SIZE, CHUNK_BYTES);
	struct fill f = { .work = w, .r = w->r, .buf = buf, .chunk = UINT32_MAX };
	int err = buf ? 0 : -ENOMEM;

	for (size_t i, end; !err && fill_take(w, &i, &end);) {
		uint64_t bytes = 0;
		for (; i < end && !err; i++) {
			err = fill_extent(&f, &w->extents[i]);
			bytes += (uint64_t)w->extents[i].n_pages * IMG_PAGE_SIZE;
		}
		if (!err && report_cancelled(w->r->rep))
			err = -ECANCELED;
		pthread_mutex_lock(&w->lock);
		w->done += bytes;
		if (is_first)
			report_progress(w->r->rep, "memory", w->done, w->total);
		pthread_mutex_unlock(&w->lock);
	}
	pthread_mutex_lock(&w->lock);
	w->err = w->err ? w->err : err;
	pthread_mutex_unlock(&w->lock);
}

/* ---- the crew ---- */

struct fill_crew {
	pthread_t threads[THREADS_MAX];
	size_t n;
	pthread_mutex_t lock;
	pthread_cond_t begin;
	struct fill_work *work; /* NULL: not yet; guarded by `lock` */
};

static void *fill_thread(void *ctx)
{
	struct fill_crew *crew = ctx;

	pthread_mutex_lock(&crew->lock);
	while (!crew->work)
		pthread_cond_wait(&crew->begin, &crew->lock);
	pthread_mutex_unlock(&crew->lock);
	fill_some(crew->work, false);
	return NULL;
}

int fill_hire(struct restore *r)
{
	size_t n = cpus_usable(THREADS_MAX + 1) - 1;

	if (r->user_ns || !n || img_reader_chunk_count(r->reader) * CHUNK_BYTES < 2 * SHARE_BYTES)
		return 0;
	struct fill_crew *crew = calloc(1, sizeof(*crew));
	if (!crew)
		return -ENOMEM;
	pthread_mutex_init(&crew->lock, NULL);
	pthread_cond_init(&crew->begin, NULL);
	crew->n = cpus_start(crew->threads, n, fill_thread, crew);
	r->crew = crew;
	return 0;
}

static void crew_begin(struct fill_crew *crew, struct fill_work *work)
{
	pthread_mutex_lock(&crew->lock);
	crew->work = work;
	pthread_cond_broadcast(&crew->begin);
	pthread_mutex_unlock(&crew->lock);
}

static void crew_end(struct fill_crew *crew)
{
	for (size_t i = 0; i < crew->n; i++)
		pthread_join(crew->threads[i], NULL);
	pthread_cond_destroy(&crew->begin);
	pthread_mutex_destroy(&crew->lock);
	free(crew);
}

int fill_all(struct restore *r, struct newborn *nb, const struct lazy_choice *lazy)
{
	AUTO_FREE uint8_t *zero = calloc(1, CHUNK_BYTES);
	struct fill_work w = { .r = r, .nb = nb, .lazy = lazy, .zero = zero, .lock = PTHREAD_MUTEX_INITIALIZER };

	w.extents = img_reader_extents(r->reader, nb->rec->space, &w.n_extents);
	if (!zero)
		return -ENOMEM;
	for (size_t i = 0; i < w.n_extents; i++)
		w.total += (uint64_t)w.extents[i].n_pages * IMG_PAGE_SIZE;
	if (r->crew)
		crew_begin(r->crew, &w);
	fill_some(&w, true);
	if (r->crew)
		crew_end(r->crew);
	r->crew = NULL;
	if (!w.err)
		report_progress(r->rep, "memory", w.total, w.total);
	return w.err;
}
