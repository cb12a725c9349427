// SPDX-License-Identifier: LGPL-2.1-or-later
/* Memory that many restarts of one image share: read, checked and unpacked once, copied by the kernel page by page as each writes to it.
 *
 * Theory of operation. The template is memory of the process that starts the restarts, mapped and filled where the image has it. Everything of
 * a restart is forked from that process, so the first process of the target is born with it, and leaves it where it is when all else
 * that it was born with goes (memory.c). Caller, controller and init, which have it as well, have no use for it: a page that only one has is
 * written to without a copy. It is private anonymous memory, as in the image; in huge pages where that can be, so that a fork
 * takes no time. What cannot be had at its place (something of ours is there) each restart reads for itself.
 * Tests: clones-*, e2e. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/memory.h"
#include "lazy/serve.h"
#include "proc/maps.h"
#include "restore/restore.h"
#include "base/ranges.h"

#define NO_REST UINT64_MAX
#define MAPPING_MIN (256ul << 10)
#define HUGE_MIN (2ul << 20) /* of a mapping that is to be made of huge pages though it was not asked for */
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

struct stasis_template {
	uint8_t content_id[16];
	struct ranges memory;
	/* Contents that each restart has to put in their place: of all extents of which a part is not shared, one after the other. */
	uint8_t *rest;
	size_t rest_bytes, n_extents;
	uint64_t *rest_at; /* by the number of the extent; NO_REST */
};

/* mlock() takes a copy of all of it, a stack that grows is never where it was, and what is wiped or dropped is not inherited. */
static bool may_be_shared(const struct rec_vma *v)
{
	return memory_is_plain(v) && v->process == 0 && v->end - v->start >= MAPPING_MIN;
}

static bool is_shared(const struct stasis_template *t, uint64_t start, uint64_t end)
{
	size_t i = 0;
	uint64_t until;

	return ranges_have(&t->memory, &i, start, end, &until) && until == end;
}

bool template_has(const struct restore *r, const struct rec_vma *v)
{
	const struct stasis_template *t = r->opt->template;

	return t && v->process == 0 && is_shared(t, v->start, v->end);
}

const uint8_t *template_contents(const struct restore *r, size_t extent)
{
	const struct stasis_template *t = r->opt->template;

	return t && extent < t->n_extents && t->rest_at[extent] != NO_REST ? t->rest + t->rest_at[extent] : NULL;
}

bool template_is_of(const struct stasis_template *t, const struct img_reader *reader)
{
	return !memcmp(t->content_id, img_reader_content_id(reader), sizeof(t->content_id));
}

bool template_next(const struct stasis_template *t, size_t *i, uint64_t at, uint64_t end, uint64_t *ret_end)
{
	*ret_end = end;
	return t && ranges_have(&t->memory, i, at, end, ret_end);
}

static int template_map(struct stasis_template *t, const struct rec_vma *v, struct reporter *rep)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | (v->vm_flags & PROC_VMA_NR ? MAP_NORESERVE : 0);
	void *at = mmap((void *)v->start, v->end - v->start, PROT_READ | PROT_WRITE, flags, -1, 0);

	if (at == MAP_FAILED && errno != EEXIST)
		return report_fail(rep, -errno, "no memory for what the clones share (%lu bytes at %#lx): %s", v->end - v->start, v->start,
				   strerror(errno));
	if (at == MAP_FAILED) {
		report_debug(rep, "template: mapping %lx-%lx is in our way; each clone has its own", v->start, v->end);
		return 0;
	}
	if (v->vm_flags & (PROC_VMA_HG | PROC_VMA_NH))
		madvise(at, v->end - v->start, v->vm_flags & PROC_VMA_HG ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	return ranges_add(&t->memory, v->start, v->end);
}

static int template_fill(struct restore *r, struct stasis_template *t)
{
	struct newborn self = { .pid = getpid(), .rec = &r->processes.items[0] };
	AUTO_FREE bool *others = calloc(r->vmas.n + 1, sizeof(bool));
	const struct lazy_choice not_these = { .chosen = others };

	if (!others)
		return -ENOMEM;
	for (size_t i = 0; i < r->vmas.n; i++) {
		const struct rec_vma *v = &r->vmas.items[i];
		others[i] = v->process || !is_shared(t, v->start, v->end);
	}
	int err = fill_hire(r);
	if (!err)
		err = fill_all(r, &self, &not_these);
	for (size_t i = 0; i < r->vmas.n && !err; i++) {
		const struct rec_vma *v = &r->vmas.items[i];
		if (!others[i] && !(v->vm_flags & (PROC_VMA_HG | PROC_VMA_NH)) && v->end - v->start >= HUGE_MIN)
			madvise((void *)v->start, v->end - v->start, MADV_COLLAPSE);
	}
	return err;
}

static uint64_t extent_bytes(const struct img_extent *e)
{
	return (uint64_t)e->n_pages * IMG_PAGE_SIZE;
}

/* Reads once what else is needed by all. */
static int template_keep_rest(struct restore *r, struct stasis_template *t)
{
	const struct img_extent *e = img_reader_extents(r->reader, r->processes.items[0].space, &t->n_extents);
	int err = 0;

	if (!(t->rest_at = calloc(t->n_extents + 1, sizeof(*t->rest_at))))
		return -ENOMEM;
	for (size_t i = 0; i < t->n_extents; i++) {
		bool needed = !e[i].zero && !is_shared(t, e[i].offset, e[i].offset + extent_bytes(&e[i]));
		t->rest_at[i] = needed ? t->rest_bytes : NO_REST;
		t->rest_bytes += needed ? extent_bytes(&e[i]) : 0;
	}
	if (!t->rest_bytes)
		return 0;
	t->rest = mmap(NULL, t->rest_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (t->rest == MAP_FAILED) {
		t->rest = NULL;
		return report_fail(r->rep, -errno, "no memory for what the clones share (%zu bytes): %s", t->rest_bytes, strerror(errno));
	}
	madvise(t->rest, t->rest_bytes, MADV_HUGEPAGE);
	for (size_t i = 0; i < t->n_extents && !err; i++)
		if (t->rest_at[i] != NO_REST)
			err = img_reader_read(r->reader, r->processes.items[0].space, e[i].offset, t->rest + t->rest_at[i], extent_bytes(&e[i]));
	return err;
}

/* What it takes, about: all pages of the image, in huge pages where there may be few of them. */
static bool template_fits(const struct restore *r)
{
	size_t n;
	uint64_t bytes = 0;
	const struct img_extent *e = img_reader_extents(r->reader, r->processes.items[0].space, &n);

	for (size_t i = 0; i < n; i++)
		bytes += extent_bytes(&e[i]);
	return bytes + bytes / 2 < memory_available() && !report_is_armed(r->rep, "template.full");
}

int stasis_template_create(struct stasis_job *job, const struct stasis_restart_options *options, struct stasis_template **ret)
{
	struct restore r = { .job = job, .rep = &job->rep, .opt = options };
	struct stasis_template *t = calloc(1, sizeof(*t));
	int err = t ? img_reader_open_with(r.rep, options->image, &(struct img_open_options){ .parent_dir = options->parent_dir }, &r.reader) : -ENOMEM;

	if (!err && !(err = restore_load(&r)) && !template_fits(&r))
		err = -ENOSPC;
	else if (!err) {
		memcpy(t->content_id, img_reader_content_id(r.reader), sizeof(t->content_id));
		for (size_t i = 0; i < r.vmas.n && !err; i++)
			if (may_be_shared(&r.vmas.items[i]))
				err = template_map(t, &r.vmas.items[i], r.rep);
		if (!err)
			err = template_fill(&r, t);
		if (!err)
			err = template_keep_rest(&r, t);
	}
	restore_unload(&r);
	img_reader_destroy(r.reader);
	if (err)
		stasis_template_destroy(t);
	else
		*ret = t;
	return err;
}

void template_leave(const struct stasis_template *t)
{
	if (!t)
		return;
	vec_each(&t->memory, it)
		munmap((void *)it->start, it->end - it->start);
	if (t->rest)
		munmap(t->rest, t->rest_bytes);
}

void stasis_template_destroy(struct stasis_template *t)
{
	if (!t)
		return;
	template_leave(t);
	ranges_finish(&t->memory);
	free(t->rest_at);
	free(t);
}
