// SPDX-License-Identifier: LGPL-2.1-or-later
/* Memory of a restart: throws away what the new process was born with, maps what the image says, fills it.
 *
 * Theory of operation. Only three things of the old layout stay: the region (stub and scratch memory), the kernel's own vdso
 * mappings, which can be moved but not made, and what is the image's already (template.c). Mappings that will get contents are made
 * writable and filled from outside (fill.c), or are watched from here on and filled by a page server while the target runs
 * (lazy.c); their own protection comes after that, then
 * advice, names, locks, protection keys, guards, seals, in this order: a sealed mapping takes none of the others. MADV_HUGEPAGE comes
 * before filling, so that the pages are huge at once. Tests: protected-pages-keep-contents, memory-advice-is-kept. */
#include <errno.h>
#include <linux/prctl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "fd/fd-plugin.h"
#include "kernel.h"
#include "proc/maps.h"
#include "restore/restore.h"
#include "restore/vdso.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif
#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 0x08
#endif
#define SYS_mseal_ 462
#define CALLS 1024

/* Where this kernel's vdso waits, or stays: within the gap that was chosen for the region. */
#define VDSO_ASIDE(r) ((r)->region + (16ul << 20))

/* A batch that runs itself whenever it is full. */
struct feed {
	struct restore *r;
	struct batch b;
	const char *what; /* for the message */
};

static int feed_begin(struct feed *f, struct restore *r, struct newborn *nb, const char *what)
{
	f->r = r;
	f->what = what;
	return batch_begin(&f->b, &nb->threads.items[0], &nb->place, CALLS);
}

static int feed_run(struct feed *f)
{
	int err = f->b.n_calls ? batch_run(&f->b) : 0;

	if (err) {
		const struct inject_call *c = (const struct inject_call *)f->b.copy + f->b.done;
		return report_fail(f->r->rep, err, "restart: %s failed at %#lx (%lu bytes): %s%s", f->what, f->b.done < f->b.n_calls ? c->args[0] : 0,
				   f->b.done < f->b.n_calls ? c->args[1] : 0, strerror(-err),
				   err == -ENOMEM ? "; this host has too little memory or vm.max_map_count is too low" : "");
	}
	batch_reset(&f->b);
	return 0;
}

static int feed_room(struct feed *f, size_t calls, size_t data)
{
	return batch_calls_left(&f->b) >= calls && batch_data_left(&f->b) >= data + 64 ? 0 : feed_run(f);
}

static int feed_end(struct feed *f, int err)
{
	if (!err)
		err = feed_run(f);
	batch_finish(&f->b);
	return err;
}

/* ---- the old layout goes ---- */

static int clear_old(struct restore *r, struct newborn *nb)
{
	AUTO_FREE char *text = NULL;
	struct rseq_configuration conf = { 0 };
	struct proc_vma *vmas;
	struct feed f;
	size_t size, n, inherited = 0;
	int err = io_read_filef(&text, &size, "/proc/%d/maps", nb->pid);

	if (err || (err = proc_maps_parse(text, size, &vmas, &n)))
		return report_fail(r->rep, err, "restart: the new process's mappings cannot be read: %s", strerror(-err));
	err = feed_begin(&f, r, nb, "clearing the new process");
	/* The kernel writes into the registered area at every preemption: first of all (inventory I, trap 2). */
	if (!err && ptrace(PTRACE_GET_RSEQ_CONFIGURATION, nb->pid, (void *)sizeof(conf), &conf) >= 0 && conf.pointer)
		batch_call(&f.b, SYS_rseq, 0, conf.pointer, conf.size, 1 /* RSEQ_FLAG_UNREGISTER */, conf.signature);
	for (size_t i = 0; i < n && !err; i++) {
		const struct proc_vma *v = &vmas[i];
		if (proc_vma_is_vdso(v) || !strcmp(v->name, "[vsyscall]") || (v->start >= r->region && v->end <= r->region + REGION_SIZE))
			continue;
		for (uint64_t at = v->start, end; at < v->end && !err; at = end)
			if (!template_next(r->opt->template, &inherited, at, v->end, &end) && !(err = feed_room(&f, 1, 0)))
				batch_call(&f.b, SYS_munmap, 0, at, end - at);
	}
	proc_maps_free(vmas, n);
	return feed_end(&f, err);
}

/* ---- vdso ---- */

static const struct rec_vma *image_vdso(const struct restore *r, const char *name)
{
	for (size_t i = 0; i < r->vmas.n; i++)
		if (r->vmas.items[i].kind == VMA_VDSO && !strcmp(r->vmas.items[i].name, name))
			return &r->vmas.items[i];
	return NULL;
}

/* Moves this kernel's mappings to where the image had them, by way of a gap so that they cannot run into each other. If they are not
 * the same as then they stay in the gap, together, and the old code gets trampolines to them (redirect_vdso). */
static int place_vdso(struct restore *r, struct newborn *nb)
{
	AUTO_FREE char *text = NULL;
	struct proc_vma *vmas;
	struct feed f;
	size_t size, n;
	int err = io_read_filef(&text, &size, "/proc/%d/maps", nb->pid);

	if (err || (err = proc_maps_parse(text, size, &vmas, &n)))
		return report_fail(r->rep, err, "restart: the new process's mappings cannot be read: %s", strerror(-err));
	err = feed_begin(&f, r, nb, "moving the vdso");
	for (int pass = 0; pass < (r->foreign_vdso ? 1 : 2) && !err; pass++) {
		uint64_t at = VDSO_ASIDE(r);
		for (size_t i = 0; i < n && !err; i++) {
			const struct proc_vma *v = &vmas[i];
			uint64_t len = v->end - v->start;
			if (!proc_vma_is_vdso(v))
				continue;
			const struct rec_vma *to = image_vdso(r, v->name);
			if (pass && to && to->end - to->start != len)
				err = report_fail(r->rep, -ENOTSUP, "restart: this kernel's %s has another size than the image's", v->name);
			else if (pass && to)
				batch_call(&f.b, SYS_mremap, 0, at, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, to->start);
			else if (pass)
				batch_call(&f.b, SYS_munmap, 0, at, len);
			else
				batch_call(&f.b, SYS_mremap, 0, v->start, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, at);
			at += len;
		}
	}
	proc_maps_free(vmas, n);
	return feed_end(&f, err);
}

/* Reads a [vdso] text out of the process. */
static int read_vdso(struct restore *r, struct newborn *nb, uint64_t start, size_t size, uint8_t **ret)
{
	uint8_t *text = malloc(size);

	if (!text)
		return -ENOMEM;
	int err = inject_read(nb->pid, start, text, size);
	if (err) {
		free(text);
		return report_fail(r->rep, err, "restart: vdso text at %#lx cannot be read: %s", start, strerror(-err));
	}
	*ret = text;
	return 0;
}

/* The old code lies where it was, as ordinary memory; its functions become jumps. */
static int redirect_vdso(struct restore *r, struct newborn *nb)
{
	AUTO_FREE uint8_t *was = NULL, *is = NULL;
	AUTO_FREE char *text = NULL;
	const struct rec_vma *old = image_vdso(r, "[vdso]");
	struct proc_vma *vmas;
	size_t size, n;
	int err = io_read_filef(&text, &size, "/proc/%d/maps", nb->pid);

	if (!r->foreign_vdso || !old)
		return 0;
	if (err || (err = proc_maps_parse(text, size, &vmas, &n)))
		return report_fail(r->rep, err, "restart: the new process's mappings cannot be read: %s", strerror(-err));
	err = -ENOENT;
	for (size_t i = 0; i < n; i++) {
		const struct proc_vma *v = &vmas[i];
		if (strcmp(v->name, "[vdso]"))
			continue;
		if (!(err = read_vdso(r, nb, old->start, old->end - old->start, &was)) &&
		    !(err = read_vdso(r, nb, v->start, v->end - v->start, &is)) &&
		    !(err = vdso_redirect(was, old->end - old->start, is, v->end - v->start, v->start)))
			err = inject_write(nb->pid, old->start, was, old->end - old->start);
	}
	proc_maps_free(vmas, n);
	return err ? report_fail(r->rep, err, "restart: the image's vdso cannot be tied to this kernel's: %s", strerror(-err)) : 0;
}

/* ---- the new layout ---- */

bool memory_is_kernels(const struct restore *r, const struct rec_vma *v)
{
	return v->kind == VMA_VDSO && !(r->foreign_vdso && !strcmp(v->name, "[vdso]"));
}

bool memory_is_plain(const struct rec_vma *v)
{
	const uint64_t never = PROC_VMA_GD | PROC_VMA_LO | PROC_VMA_LF | PROC_VMA_DP | PROC_VMA_WF | PROC_VMA_HT | PROC_VMA_SS;

	return v->kind == VMA_ANON && !v->shared && !(v->vm_flags & never);
}

/* True when the image has pages for this mapping, so that it has to be writable for a while. */
static bool has_pages(const struct img_extent *e, size_t n, const struct rec_vma *v)
{
	size_t lo = 0, hi = n;

	while (lo < hi) { /* the first extent that ends behind the mapping's start */
		size_t mid = (lo + hi) / 2;
		if (e[mid].offset + (uint64_t)e[mid].n_pages * IMG_PAGE_SIZE <= v->start)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < n && e[lo].offset < v->end;
}

static uint32_t first_prot(const struct img_extent *e, size_t n, const struct rec_vma *v)
{
	if (!v->shared && has_pages(e, n, v))
		return PROT_READ | PROT_WRITE;
	return v->prot == PROT_EXEC ? PROT_NONE : v->prot; /* for that the kernel may take a protection key, see begin_pkeys() */
}

static int map_flags(const struct rec_vma *v)
{
	int flags = MAP_FIXED_NOREPLACE | (v->shared ? MAP_SHARED : MAP_PRIVATE);

	if (v->vm_flags & PROC_VMA_DP)
		flags = MAP_FIXED_NOREPLACE | MAP_DROPPABLE;
	if (v->kind != VMA_FILE && v->kind != VMA_PLUGIN)
		flags |= MAP_ANONYMOUS;
	if (v->vm_flags & PROC_VMA_NR)
		flags |= MAP_NORESERVE;
	if (v->vm_flags & PROC_VMA_GD)
		flags |= MAP_GROWSDOWN;
	return flags;
}

static int map_all(struct restore *r, struct newborn *nb, const struct img_extent *e, size_t n)
{
	struct feed f;
	int err = feed_begin(&f, r, nb, "mapping memory");

	for_each_of(r, vmas, v, nb->rec->index) {
		int fd = -1;
		if (err)
			break;
		if (memory_is_kernels(r, v) || template_has(r, v))
			continue;
		if (v->kind == VMA_FILE) {
			bool writable = v->shared && (v->prot & PROT_WRITE || v->vm_flags & PROC_VMA_MW);
			if ((fd = fd_plan_backing(r->files, nb->rec->index, v->backing, writable)) < 0) {
				err = report_fail(r->rep, -EBADMSG, "image %s: the file behind mapping %lx is missing", img_reader_path(r->reader), v->start);
				break;
			}
		}
		if (v->kind == VMA_PLUGIN && (fd = fd_plugin_number(r->files, nb->rec->index, v->backing)) < 0) {
			err = report_fail(r->rep, -EBADMSG, "image %s: the descriptor behind mapping %lx is missing", img_reader_path(r->reader), v->start);
			break;
		}
		if (!(err = feed_room(&f, 2, 0))) {
			batch_call(&f.b, SYS_mmap, 0, v->start, v->end - v->start, first_prot(e, n, v), (uint64_t)map_flags(v), (uint64_t)fd,
				   v->kind == VMA_FILE || v->kind == VMA_PLUGIN ? v->offset : 0);
			if (v->vm_flags & PROC_VMA_HG)
				batch_call(&f.b, SYS_madvise, INJECT_MAY_FAIL, v->start, v->end - v->start, MADV_HUGEPAGE);
			else if (v->vm_flags & PROC_VMA_NH)
				batch_call(&f.b, SYS_madvise, INJECT_MAY_FAIL, v->start, v->end - v->start, MADV_NOHUGEPAGE);
		}
	}
	return feed_end(&f, err);
}

/* ---- what comes after the contents ---- */

static void finish_advice(struct batch *b, const struct rec_vma *v)
{
	static const struct {
		uint64_t flag;
		int advice;
	} advice[] = {
		{ PROC_VMA_DC, MADV_DONTFORK }, { PROC_VMA_WF, MADV_WIPEONFORK },   { PROC_VMA_DD, MADV_DONTDUMP },
		{ PROC_VMA_MG, MADV_MERGEABLE }, { PROC_VMA_SR, MADV_SEQUENTIAL }, { PROC_VMA_RR, MADV_RANDOM },
	};
	for (size_t i = 0; i < ARRAY_SIZE(advice); i++)
		if (v->vm_flags & advice[i].flag && !(v->vm_flags & PROC_VMA_DP))
			batch_call(b, SYS_madvise, INJECT_MAY_FAIL, v->start, v->end - v->start, (uint64_t)advice[i].advice);
}

/* The protection keys of a process. */
struct pkeys {
	uint32_t taken;          /* bits: allocated, or some memory has it */
	uint32_t allocated;
	const struct rec_vma *x; /* can only be executed, for which the kernel took a key by itself; NULL = there is none */
};

static struct pkeys find_pkeys(struct restore *r, struct newborn *nb)
{
	const uint32_t allocated = nb->rec->pkeys & ((1u << MAPPING_PKEYS) - 1);
	struct pkeys keys = { .taken = allocated, .allocated = allocated };

	for_each_of(r, vmas, v, nb->rec->index) {
		keys.taken |= 1u << v->pkey;
		if (v->pkey && v->prot == PROT_EXEC && keys.allocated && !(keys.allocated & 1u << v->pkey))
			keys.x = v;
	}
	return keys;
}

/* Keys are given out lowest first: all up to the highest are taken. The kernel takes its own when memory is made such that it can only be
 * executed for the first time. */
static void begin_pkeys(const struct pkeys *keys, struct batch *b)
{
	for (uint32_t key = 1; keys->taken >> key; key++)
		if (keys->x && keys->x->pkey == key)
			batch_call(b, SYS_mprotect, 0, keys->x->start, keys->x->end - keys->x->start, PROT_EXEC);
		else
			batch_call(b, SYS_pkey_alloc, 0, 0, 0);
}

/* Once memory has got its keys, those go back that were free. */
static void end_pkeys(const struct pkeys *keys, struct batch *b)
{
	for (uint32_t key = 1; keys->allocated && keys->taken >> key; key++)
		if (!(keys->allocated & 1u << key) && !(keys->x && keys->x->pkey == key))
			batch_call(b, SYS_pkey_free, 0, key);
}

static int finish_all(struct restore *r, struct newborn *nb, const struct img_extent *e, size_t n)
{
	const struct pkeys keys = find_pkeys(r, nb);
	struct feed f;
	int err = feed_begin(&f, r, nb, "setting up memory");

	if (!err && !(err = feed_room(&f, MAPPING_PKEYS, 0)))
		begin_pkeys(&keys, &f.b);
	for_each_of(r, vmas, v, nb->rec->index) {
		uint64_t len = v->end - v->start;
		size_t name = v->kind == VMA_ANON && v->name && *v->name && *v->name != '[' ? strlen(v->name) + 1 : 0;
		if (err || (err = feed_room(&f, 12, name + 16)))
			break;
		if (memory_is_kernels(r, v))
			continue;
		if (v->pkey && !(keys.x && keys.x->pkey == v->pkey))
			batch_call(&f.b, SYS_pkey_mprotect, 0, v->start, len, v->prot, v->pkey);
		else if (first_prot(e, n, v) != v->prot)
			batch_call(&f.b, SYS_mprotect, 0, v->start, len, v->prot);
		finish_advice(&f.b, v);
		if (name && name <= 80)
			batch_call(&f.b, SYS_prctl, INJECT_MAY_FAIL, 0x53564d41 /* PR_SET_VMA */, 0, v->start, len, batch_put(&f.b, v->name, name));
		if (v->vm_flags & PROC_VMA_LO)
			batch_call(&f.b, SYS_mlock2, INJECT_MAY_FAIL, v->start, len, v->vm_flags & PROC_VMA_LF ? 1 /* MLOCK_ONFAULT */ : 0);
	}
	if (!err && !(err = feed_room(&f, MAPPING_PKEYS, 0)))
		end_pkeys(&keys, &f.b);
	for_each_of(r, guards, g, nb->rec->index)
		if (!err && !(err = feed_room(&f, 1, 0)))
			batch_call(&f.b, SYS_madvise, 0, g->start, g->end - g->start, MADV_GUARD_INSTALL);
	for_each_of(r, vmas, v, nb->rec->index)
		if (!err && v->vm_flags & PROC_VMA_SL && v->kind != VMA_VDSO && !(err = feed_room(&f, 1, 0)))
			batch_call(&f.b, SYS_mseal_, INJECT_MAY_FAIL, v->start, v->end - v->start, 0);
	return feed_end(&f, err);
}

int memory_restore(struct restore *r, struct newborn *nb)
{
	size_t n;
	const struct img_extent *e = img_reader_extents(r->reader, nb->rec->space, &n);
	struct lazy_choice lazy = { 0 };
	int err;

	if ((err = clear_old(r, nb)) || (err = place_vdso(r, nb)) || (err = map_all(r, nb, e, n)) || (err = lazy_choose(r, nb, &lazy)))
		return err;
	if (!(err = fill_all(r, nb, &lazy)) && !(err = redirect_vdso(r, nb)) && !(err = lazy_first(r, nb, &lazy)) &&
	    !(err = finish_all(r, nb, e, n)))
		err = lazy_begin(r, nb, &lazy);
	lazy_choice_finish(&lazy);
	return err;
}
