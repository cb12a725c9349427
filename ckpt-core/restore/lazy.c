// SPDX-License-Identifier: LGPL-2.1-or-later
/* Which memory is loaded while the target runs, and the start of its page server (lazy/serve.h).
 *
 * Theory of operation. Whoever has a userfaultfd of the target's memory must have made it in that memory: the new process does
 * so in stage 1, hands it to the controller and keeps nothing. Chosen are private anonymous mappings with much in the image;
 * never locked memory, stacks that grow, or what a child must see as zeros. Where forks are not told (that needs
 * CAP_SYS_PTRACE) a child would find zeros in the place of the parent's missing pages, so only memory is chosen that no child
 * gets (MADV_DONTFORK, as QEMU gives it to a guest's). They are watched before they get their protection and advice, and served
 * before anything may touch them: plugins have the kernel look into a guest's memory. A huge page is never made where pages may
 * be missing, nor by khugepaged (collapse_huge_page() in mm/khugepaged.c looks for userfaultfd), so MADV_HUGEPAGE can be given
 * at once. Private mappings of the image itself were the alternative, and are wrong: after MADV_DONTNEED they show the image
 * again, where zeros belong. Test: lazy-memory-changes-meanwhile. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "lazy/serve.h"
#include "lazy/uffd.h"
#include "proc/maps.h"
#include "restore/restore.h"

/* Contents of a region that are worth it: less of it is there sooner than it is asked for. A sixteenth of all, within these
 * bounds. */
#define REGION_MIN (1ul << 20)
#define REGION_MAX_MIN (16ul << 20)
/* Contents in all such regions from which on it pays: what is read at once comes in huge pages, and what is asked for page by
 * page costs a fault each. Measured with tests/bench/first-tick.sh. */
#define AUTO_MIN (512ul << 20)

/* ---- whether ---- */

int lazy_plan(struct restore *r, struct findings *findings)
{
	r->uffd_device = -1;
	if (r->opt->lazy == STASIS_LAZY_OFF)
		return 0;
	AUTO_CLOSE int device = report_is_armed(r->rep, "lazy.forbidden") ? -1 : uffd_device();
	/* Made in a user namespace of its own, a target has no privilege here, whatever the system call says to us. */
	AUTO_CLOSE int fd = report_is_armed(r->rep, "lazy.forbidden") ? -EPERM : uffd_open(device);
	r->lazy = fd >= 0;
	if (fd >= 0)
		return r->opt->lazy == STASIS_LAZY_AUTO
		               ? 0
		               : findings_add(findings, "--lazy", NULL, "memory is loaded while the target runs", NULL, NULL);
	report_debug(r->rep, "lazy: no userfaultfd: %s", strerror(-fd));
	if (r->opt->lazy == STASIS_LAZY_AUTO)
		return 0;
	return findings_obstacle(findings, "--lazy", NULL,
	                         "run stasis as root, give this user access to /dev/userfaultfd (chmod, setfacl), set sysctl "
	                         "vm.unprivileged_userfaultfd=1, or use --lazy=off",
	                         "a userfaultfd that serves the kernel's own accesses to memory cannot be had: %s",
	                         strerror(-fd));
}

/* ---- which ---- */

/* Memory that its owner uses guard regions in: no event tells that one is made, and a page put there would take it away (seen
 * on Linux 6.18). One that is first made while memory is being loaded is beyond us. */
static bool has_guards(const struct restore *r, const struct rec_vma *v)
{
	for_each_of(r, guards, g, v->process) if (g->start < v->end && g->end > v->start) return true;
	return false;
}

static bool may_be_lazy(const struct restore *r, const struct newborn *nb, const struct rec_vma *v, bool forks)
{
	return v->process == nb->rec->index && memory_is_plain(v) && !template_has(r, v) && (forks || v->vm_flags & PROC_VMA_DC) &&
	       !has_guards(r, v);
}

/* Two mappings that differ by their protection only: once it is the same the kernel makes them one, and a program may rely on it,
 * as mremap() moves one mapping at a time. */
static bool may_become_one(const struct rec_vma *a, const struct rec_vma *b)
{
	const uint64_t may_differ = PROC_VMA_RD | PROC_VMA_WR | PROC_VMA_EX | PROC_VMA_AC | PROC_VMA_SD | PROC_VMA_UM;

	return a->process == b->process && a->end == b->start && !((a->vm_flags ^ b->vm_flags) & ~may_differ) && a->pkey == b->pkey &&
	       !strcmp(a->name ? a->name : "", b->name ? b->name : "");
}

/* Memory that is watched never becomes one with such that is not. Test: lazy-pieces-become-one. */
static void choose_neighbours(const struct restore *r, const struct newborn *nb, bool forks, bool *chosen)
{
	const struct rec_vma *v = r->vmas.items;

	for (size_t i = 1; i < r->vmas.n; i++)
		if (chosen[i - 1] && !chosen[i])
			chosen[i] = may_become_one(&v[i - 1], &v[i]) && may_be_lazy(r, nb, &v[i], forks);
	for (size_t i = r->vmas.n; i-- > 1;)
		if (chosen[i] && !chosen[i - 1])
			chosen[i - 1] = may_become_one(&v[i - 1], &v[i]) && may_be_lazy(r, nb, &v[i - 1], forks);
}

/* Calls `visit` for every piece [start, end) of contents that lies in mapping number `vma`. */
static void each_piece(const struct restore *r, const struct img_extent *e, size_t n,
		       void (*visit)(void *ctx, size_t vma, uint64_t start, uint64_t end), void *ctx)
{
	size_t first = 0;

	for (size_t i = 0; i < n; i++) {
		uint64_t start = e[i].offset, end = start + (uint64_t)e[i].n_pages * IMG_PAGE_SIZE;
		while (first < r->vmas.n && r->vmas.items[first].end <= start)
			first++;
		for (size_t k = first; k < r->vmas.n && r->vmas.items[k].start < end && !e[i].zero; k++) {
			const struct rec_vma *v = &r->vmas.items[k];
			visit(ctx, k, start > v->start ? start : v->start, end < v->end ? end : v->end);
		}
	}
}

static void weigh(void *ctx, size_t vma, uint64_t start, uint64_t end)
{
	uint64_t *bytes = ctx;

	bytes[vma] += end - start;
}

static void owe(void *ctx, size_t vma, uint64_t start, uint64_t end)
{
	const struct lazy_choice *c = ctx;

	if (c->chosen[vma])
		ledger_owe(c->ledger, start, end);
}

static int choose(struct restore *r, struct newborn *nb, const struct img_extent *e, size_t n, bool forks,
                  struct lazy_choice *c)
{
	AUTO_FREE uint64_t *bytes = calloc(r->vmas.n + 1, sizeof(*bytes));
	AUTO_FREE struct ledger_region *regions = calloc(LEDGER_REGIONS, sizeof(*regions));
	uint64_t total = 0, min = 0;
	size_t n_regions = 0;

	if (!bytes || !regions || !(c->chosen = calloc(r->vmas.n + 1, sizeof(*c->chosen))))
		return -ENOMEM;
	each_piece(r, e, n, weigh, bytes);
	for (size_t i = 0; i < r->vmas.n; i++)
		min += bytes[i] / 16;
	min = min < REGION_MIN || r->opt->lazy_on_touch ? REGION_MIN : min < REGION_MAX_MIN ? min : REGION_MAX_MIN;
	for (size_t i = 0; i < r->vmas.n; i++)
		c->chosen[i] = bytes[i] >= min && may_be_lazy(r, nb, &r->vmas.items[i], forks);
	choose_neighbours(r, nb, forks, c->chosen);
	for (size_t i = 0; i < r->vmas.n; i++) {
		const struct rec_vma *v = &r->vmas.items[i];
		if (!(c->chosen[i] = c->chosen[i] && n_regions < LEDGER_REGIONS))
			continue;
		regions[n_regions++] = (struct ledger_region){ .start = v->start, .end = v->end };
		total += bytes[i];
	}
	if (!n_regions || (r->opt->lazy == STASIS_LAZY_AUTO && !r->opt->lazy_on_touch && total < AUTO_MIN)) {
		report_debug(r->rep, "lazy: %lu MiB in %zu regions are not worth it", total >> 20, n_regions);
		memset(c->chosen, 0, r->vmas.n);
		return 0;
	}
	int err = ledger_create(regions, n_regions, &c->ledger);
	if (err)
		return report_fail(r->rep, err, "restart: no memory for a lazy restart: %s; use --lazy=off", strerror(-err));
	report_debug(r->rep, "lazy: %lu MiB in %zu regions", total >> 20, n_regions);
	each_piece(r, e, n, owe, c);
	return 0;
}

/* A kernel that will not do it after all leaves all to be read at once. */
static int fall_back(struct restore *r, struct lazy_choice *c, int err, const char *what)
{
	if (r->opt->lazy != STASIS_LAZY_AUTO)
		return report_fail(r->rep, err, "restart: --lazy: %s: %s; use --lazy=off", what, strerror(-err));
	report_debug(r->rep, "lazy: %s: %s; all is read before the target runs", what, strerror(-err));
	lazy_choice_finish(c);
	return 0;
}

int lazy_choose(struct restore *r, struct newborn *nb, struct lazy_choice *ret)
{
	size_t n;
	const struct img_extent *e = img_reader_extents(r->reader, nb->rec->space, &n);
	bool forks;

	if (nb->uffd < 0)
		return r->lazy ? fall_back(r, ret, -EPERM, "the new process may have no userfaultfd") : 0;
	int err = uffd_handshake(nb->uffd, &forks);
	if (err)
		return fall_back(r, ret, err, "the kernel's userfaultfd lacks events (Linux 4.11)");
	if (!forks)
		report_debug(r->rep, "lazy: forks are not told here, so only memory that no child gets is loaded lazily");
	if ((err = choose(r, nb, e, n, forks, ret)))
		return err;
	for (uint32_t i = 0; ret->ledger && i < ret->ledger->n_regions && !err; i++) {
		const struct ledger_region *g = &ret->ledger->regions[i];
		err = uffd_register(nb->uffd, g->start, g->end - g->start);
	}
	return err ? fall_back(r, ret, err, "memory cannot be watched") : 0;
}

/* The store that we were given, if it is of this very image. */
static struct stasis_page_store *store_of(const struct restore *r)
{
	struct stasis_page_store *s = r->opt->store;

	return s && !memcmp(s->content_id, img_reader_content_id(r->reader), sizeof(s->content_id)) &&
	                       s->n_chunks == img_reader_chunk_count(r->reader)
	               ? s
	               : NULL;
}

int lazy_first(struct restore *r, struct newborn *nb, struct lazy_choice *choice)
{
	size_t n;
	const struct img_extent *e = img_reader_extents(r->reader, nb->rec->space, &n);
	struct lazy_job job = { .rep = r->rep,
		                .reader = r->reader,
		                .extents = e,
		                .n_extents = n,
		                .ledger = choice->ledger,
		                .uffd = nb->uffd,
		                .pid = nb->pid,
		                .own_pids = !r->opt->host_pids,
		                .words = r->words,
		                .store = store_of(r),
		                .prefetch = !r->opt->lazy_on_touch && !report_is_armed(r->rep, "lazy.idle") };

	return choice->ledger ? lazy_create(&job, &choice->pair) : 0;
}

int lazy_begin(struct restore *r, struct newborn *nb, const struct lazy_choice *choice)
{
	int err = choice->pair ? report_fault(r->rep, "restart.lazy") : 0;

	if (choice->pair && !err)
		err = lazy_serve(choice->pair, &nb->starter);
	if (nb->uffd >= 0)
		close(nb->uffd);
	nb->uffd = -1;
	return err;
}

void lazy_choice_finish(struct lazy_choice *choice)
{
	lazy_destroy(choice->pair);
	ledger_destroy(choice->ledger);
	free(choice->chosen);
	*choice = (struct lazy_choice){ 0 };
}
