// SPDX-License-Identifier: LGPL-2.1-or-later
/* Loads an image's records and refuses what makes no sense, so that nobody after this has to doubt them. */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>

#include "restore/restore.h"

#define USER_END 0x7ffffffff000ul /* TASK_SIZE_MAX with four page-table levels */

static int load_bad(struct restore *r, const char *what)
{
	return report_fail(r->rep, -EBADMSG, "image %s: %s; it is damaged or was not made by stasis", img_reader_path(r->reader), what);
}

static int load_all(struct restore *r)
{
	const struct {
		const struct img_schema *schema;
		void **items;
		size_t *n;
	} lists[] = {
		{ &rec_host_schema, (void **)&r->host.items, &r->host.n },
		{ &rec_process_schema, (void **)&r->processes.items, &r->processes.n },
		{ &rec_thread_schema, (void **)&r->threads.items, &r->threads.n },
		{ &rec_seccomp_schema, (void **)&r->filters.items, &r->filters.n },
		{ &rec_timer_schema, (void **)&r->timers.items, &r->timers.n },
		{ &rec_vma_schema, (void **)&r->vmas.items, &r->vmas.n },
		{ &rec_guard_schema, (void **)&r->guards.items, &r->guards.n },
	};
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		int err = img_reader_load(r->reader, lists[i].schema, lists[i].items, lists[i].n);
		if (err)
			return err;
	}
	return 0;
}

void restore_unload(struct restore *r)
{
	img_schema_free_array(&rec_host_schema, r->host.items, r->host.n);
	img_schema_free_array(&rec_process_schema, r->processes.items, r->processes.n);
	img_schema_free_array(&rec_thread_schema, r->threads.items, r->threads.n);
	img_schema_free_array(&rec_seccomp_schema, r->filters.items, r->filters.n);
	img_schema_free_array(&rec_timer_schema, r->timers.items, r->timers.n);
	img_schema_free_array(&rec_vma_schema, r->vmas.items, r->vmas.n);
	img_schema_free_array(&rec_guard_schema, r->guards.items, r->guards.n);
}

static int check_process(struct restore *r, const struct rec_process *p)
{
	if (p->index != 0 || p->parent != 0)
		return load_bad(r, "it holds more than one process, which this version cannot restart");
	if (p->pid < 1 || p->rlimits.size != RLIM_NLIMITS * sizeof(struct rlimit) ||
	    p->sigactions.size != 64 * sizeof(struct kernel_sigaction) || p->itimers.size != 3 * sizeof(struct itimerval) ||
	    p->pending.size % sizeof(siginfo_t) || p->auxv.size % 16 || p->auxv.size > 4096 || p->exe_size > 1ul << 32 || !p->comm || !p->exe || !p->cwd || !p->root)
		return load_bad(r, "a process record makes no sense");
	return 0;
}

static int check_threads(struct restore *r)
{
	if (!r->threads.n || r->threads.items[0].tid != r->processes.items[0].pid)
		return load_bad(r, "its main thread is missing");
	for (size_t i = 0; i < r->threads.n; i++) {
		const struct rec_thread *t = &r->threads.items[i];
		const struct user_regs_struct *regs = t->regs.data;
		if (t->process != 0 || t->tid < 1 || t->regs.size != sizeof(*regs) || t->xstate.size < 576 || t->xstate.size > 65536 ||
		    t->pending.size % sizeof(siginfo_t) || t->groups.size % sizeof(uint32_t) || t->groups.size > 65536 * sizeof(uint32_t) ||
		    t->affinity.size > 8192 || !t->comm || t->seccomp > 2)
			return load_bad(r, "a thread record makes no sense");
		if (regs->cs != 0x33 || regs->rip >= USER_END)
			return load_bad(r, "a thread's registers make no sense");
		for (size_t j = 0; j < i; j++)
			if (r->threads.items[j].tid == t->tid)
				return load_bad(r, "two threads have the same id");
	}
	return 0;
}

static int check_memory(struct restore *r)
{
	uint64_t end = 4096;

	for (size_t i = 0; i < r->vmas.n; i++) {
		const struct rec_vma *v = &r->vmas.items[i];
		if (v->process != 0 || v->start < end || v->end <= v->start || v->end > USER_END || (v->start | v->end | v->offset) & 4095 ||
		    v->prot & ~7u || v->kind < VMA_ANON || v->kind > VMA_PLUGIN || (v->kind == VMA_PLUGIN && !v->shared) || (v->kind == VMA_ANON && v->shared) || v->pkey >= MAPPING_PKEYS)
			return load_bad(r, "a memory mapping makes no sense");
		if (v->kind == VMA_VDSO && !v->name)
			return load_bad(r, "a mapping of the kernel's has no name");
		end = v->end;
	}
	for (size_t i = 0; i < r->guards.n; i++) {
		const struct rec_guard *g = &r->guards.items[i];
		if (g->process != 0 || g->end <= g->start || (g->start | g->end) & 4095)
			return load_bad(r, "a guard region makes no sense");
	}
	for (size_t i = 0; i < r->filters.n; i++)
		if (!r->filters.items[i].filter.size || r->filters.items[i].filter.size % 8 || r->filters.items[i].filter.size > 4096 * 8)
			return load_bad(r, "a seccomp filter makes no sense");
	return 0;
}

int restore_load(struct restore *r)
{
	const struct img_schema *known[STASIS_SCHEMAS_MAX];
	int err = img_reader_require_known(r->reader, known, stasis_schemas(r->job->plugins, r->job->n_plugins, known));

	if (err || (err = load_all(r)))
		return err;
	if (r->host.n != 1 || r->host.items[0].page_size != 4096 || !r->host.items[0].arch || strcmp(r->host.items[0].arch, "x86_64"))
		return load_bad(r, "it says nothing of its host, or was made on another architecture");
	if (r->processes.n != 1 || r->host.items[0].n_processes != 1)
		return load_bad(r, "it does not hold exactly one process");
	if ((err = check_process(r, &r->processes.items[0])) || (err = check_threads(r)))
		return err;
	return check_memory(r);
}
