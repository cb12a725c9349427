// SPDX-License-Identifier: LGPL-2.1-or-later
/* Mappings of a process: which kind each is, what file stands behind it, and which of them cannot be taken along. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "collect/collect.h"
#include "host.h"
#include "lazy/find.h"
#include "track/keeper.h"
#include "track/precopy.h"

#define WATCH_NAPS 50 /* until memory that is watched is taken to be so by somebody else */
#define WATCH_NAP_NS 10000000

void collect_init(struct collect *c, struct reporter *rep, const struct fd_process *proc)
{
	*c = (struct collect){ .rep = rep, .proc = *proc };
}

void collect_finish(struct collect *c)
{
	proc_maps_free(c->vmas, c->n_vmas);
	img_schema_clear(&rec_process_schema, &c->process);
	vec_each(&c->mappings, it)
		img_schema_clear(&rec_vma_schema, it);
	vec_each(&c->threads, it)
		img_schema_clear(&rec_thread_schema, it);
	vec_each(&c->filters, it)
		img_schema_clear(&rec_seccomp_schema, it);
	vec_finish(&c->mappings);
	vec_finish(&c->whole);
	vec_finish(&c->threads);
	vec_finish(&c->filters);
	vec_finish(&c->timers);
	vec_finish(&c->guards);
	c->vmas = NULL;
	c->n_vmas = 0;
}

struct mapping_rule {
	const char *prefix;  /* of the name; NULL: any */
	uint64_t vm_flags;   /* any of these; 0: none needed */
	const char *kind, *obstacle, *remedy;
};

static const struct mapping_rule rules[] = {
	{ "[uprobes]", 0, "uprobe trampoline", "a uprobe is active in the process", "remove the uprobe (perf, bpftrace) and try again" },
	{ "/[aio]", 0, "asynchronous I/O ring", "Linux AIO requests cannot be checkpointed",
	  "start the target without it (QEMU: aio=threads instead of aio=native)" },
	{ "anon_inode:[io_uring]", 0, "io_uring", "io_uring rings cannot be checkpointed yet",
	  "start the target without it (QEMU: aio=threads instead of aio=io_uring)" },
	{ "/SYSV", 0, "System V shared memory", "System V shared memory cannot be checkpointed",
	  "let the target use POSIX shared memory or a memfd" },
	{ NULL, PROC_VMA_HT, "huge page mapping", "hugetlb pages cannot be checkpointed yet",
	  "use ordinary or transparent huge pages (QEMU: no -mem-path on hugetlbfs)" },
	{ NULL, PROC_VMA_UM | PROC_VMA_UW | PROC_VMA_UI, "userfaultfd range", "a userfaultfd handler watches this memory",
	  "let the postcopy migration or background snapshot that uses it end first" },
	{ NULL, PROC_VMA_SS, "shadow stack", "user shadow stacks cannot be checkpointed yet",
	  "start the target with GLIBC_TUNABLES=glibc.cpu.x86_shstk=off" },
	{ NULL, PROC_VMA_PF | PROC_VMA_IO | PROC_VMA_MM, "device memory", "memory of a device is mapped",
	  "take the device away from the target (hot unplug) before the checkpoint" },
};

/* What does not count for us. */
static uint64_t mapping_flags(const struct collect *c, const struct proc_vma *v)
{
	return c->watched ? v->vm_flags & ~PROC_VMA_UW : v->vm_flags;
}

static const struct mapping_rule *mapping_rule(const struct collect *c, const struct proc_vma *v)
{
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		const struct mapping_rule *r = &rules[i];
		if (r->prefix && strncmp(v->raw, r->prefix, strlen(r->prefix)))
			continue;
		if (r->vm_flags && !(mapping_flags(c, v) & r->vm_flags))
			continue;
		return r;
	}
	return NULL;
}

/* The name a mapping goes into the image with: that of PR_SET_VMA without its brackets, of kernel mappings as they are. */
static char *mapping_name(const struct proc_vma *v)
{
	size_t n = strlen(v->name);

	if (!strncmp(v->name, "[anon:", 6) && n > 7)
		return strndup(v->name + 6, n - 7);
	return strdup(v->name);
}

static int mapping_backing(struct collect *c, struct fd_capture *files, const struct proc_vma *v, uint32_t *ret_backing)
{
	struct fd_mapping map = { .start = v->start, .end = v->end, .offset = v->offset, .dev_major = v->dev_major, .dev_minor = v->dev_minor,
				  .ino = v->ino, .shared = v->shared, .writable = v->vm_flags & PROC_VMA_MW, .path = v->raw };

	return fd_capture_mapping(files, &c->proc, &map, ret_backing);
}

static int mapping_add(struct collect *c, const struct proc_vma *v, uint32_t backing, bool plugin)
{
	struct rec_vma rec = { .process = c->proc.index, .start = v->start, .end = v->end, .prot = v->prot, .kind = VMA_ANON,
			       .shared = v->shared, .offset = v->offset, .backing = backing, .vm_flags = mapping_flags(c, v), .pkey = v->protection_key };
	bool whole = false;

	if (proc_vma_is_vdso(v)) {
		rec.kind = VMA_VDSO;
		whole = !strcmp(v->name, "[vdso]"); /* its code, for a restart under another kernel */
	} else if (backing) {
		rec.kind = plugin ? VMA_PLUGIN : VMA_FILE;
	} else {
		whole = v->ino; /* its file is gone: all of it is saved and it becomes anonymous memory */
	}
	if (!(rec.name = mapping_name(v)))
		return -ENOMEM;
	if (vec_push(&c->mappings, rec)) {
		free(rec.name);
		return -ENOMEM;
	}
	return vec_push(&c->whole, whole);
}

static int mapping_refuse(const struct collect *c, const struct proc_vma *v, const struct mapping_rule *rule, struct findings *findings)
{
	char object[96];

	snprintf(object, sizeof(object), "mapping %lx-%lx", v->start, v->end);
	if (!c->frozen && rule->vm_flags & PROC_VMA_UM && lazy_find(c->proc.pid))
		return findings_add(findings, object, "memory", "loaded by a lazy restart at the moment; a checkpoint waits for that", NULL, NULL);
	return findings_obstacle(findings, object, rule->kind, rule->remedy, "%s%s%s", rule->obstacle, *v->raw ? ": " : "", v->raw);
}

static bool mapping_has_file(const struct proc_vma *v)
{
	return !proc_vma_is_vdso(v) && (v->ino || v->shared);
}

/* The files behind mappings. Shared ones first: a private mapping of a deleted file is tied to the file if somebody else keeps
 * that, and becomes anonymous memory otherwise. */
static int mapping_backings(struct collect *c, struct fd_capture *files, struct findings *findings, uint32_t *backings,
			    bool *by_plugin)
{
	for (int shared = 1; shared >= 0; shared--) {
		for (size_t i = 0; i < c->n_vmas; i++) {
			const struct proc_vma *v = &c->vmas[i];
			const struct mapping_rule *rule = proc_vma_is_vdso(v) ? NULL : mapping_rule(c, v);
			int err = 0;
			if (v->shared != (bool)shared)
				continue;
			if (c->plugins && v->shared && v->ino && (err = plugin_set_mapping(c->plugins, v, &backings[i])))
				return err;
			by_plugin[i] = backings[i];
			if (by_plugin[i])
				continue;
			if (rule)
				err = mapping_refuse(c, v, rule, findings);
			else if (mapping_has_file(v))
				err = mapping_backing(c, files, v, &backings[i]);
			if (err)
				return err;
		}
	}
	return 0;
}

#define READ_TRIES 50

/* The file is read in pieces, between which a process that runs may change its mappings: then they may overlap, and are read once more. */
static int read_mappings(const char *file, pid_t pid, struct proc_vma **ret, size_t *ret_n)
{
	int err = -EBADMSG;

	for (int i = 0; i < READ_TRIES && err == -EBADMSG; i++) {
		AUTO_FREE char *text = NULL;
		size_t size;
		if (!(err = io_read_filef(&text, &size, "/proc/%d/%s", pid, file)))
			err = proc_maps_parse(text, size, ret, ret_n);
	}
	return err;
}

int collect_read_maps(pid_t pid, struct proc_vma **ret, size_t *ret_n)
{
	return read_mappings("maps", pid, ret, ret_n);
}

static int read_locked(pid_t pid, uint64_t *ret_kb)
{
	AUTO_FREE char *text = NULL;
	size_t size;
	int err = io_read_filef(&text, &size, "/proc/%d/status", pid);
	const char *line = err ? NULL : strstr(text, "\nVmLck:");

	*ret_kb = line ? strtoull(line + 7, NULL, 10) : 0;
	return err;
}

/* Mappings that are as they were before keep their flags. That of locked memory, which a fork does not hand on, is told by its amount. */
static int adopt_mappings(struct collect *c)
{
	const struct collect *before = c->before;
	int err = before ? read_mappings("maps", c->proc.pid, &c->vmas, &c->n_vmas) : -ENOENT;

	if (err)
		return err;
	c->adopted = c->locked_kb == before->locked_kb && proc_maps_adopt(c->vmas, c->n_vmas, before->vmas, before->n_vmas);
	if (!c->adopted) {
		proc_maps_free(c->vmas, c->n_vmas);
		c->vmas = NULL;
		c->n_vmas = 0;
	}
	return c->adopted ? 0 : -ESTALE;
}

/* A fork does not hand on what is locked and watched; the snapshot took away what a fork does not copy. */
#define NOT_INHERITED (PROC_VMA_LO | PROC_VMA_LF | PROC_VMA_DC | PROC_VMA_UM | PROC_VMA_UW | PROC_VMA_UI | PROC_VMA_SD)

static const struct proc_vma *mapping_at(const struct proc_vma *vmas, size_t n, size_t *at, uint64_t start)
{
	while (*at < n && vmas[*at].start < start)
		++*at;
	return *at < n && vmas[*at].start == start ? &vmas[*at] : NULL;
}

/* Those that `child` has inherited, or those that were left out of it, of which the target, which may have come by other mappings since, still has
 * the flags. */
static int verify_flags(const struct collect *c, pid_t pid, const struct precopy *precopy, bool child)
{
	struct proc_vma *vmas = NULL;
	size_t n = 0, at = 0;
	int err = read_mappings("smaps", pid, &vmas, &n);

	for (size_t i = 0; i < c->n_vmas && !err; i++) {
		const struct proc_vma *v = &c->vmas[i], *now = mapping_at(vmas, n, &at, v->start);
		if (child == (precopy_find(precopy, v->start, v->end) != NULL))
			continue;
		if (now ? (now->vm_flags ^ (v->vm_flags & ~(child ? PROC_VMA_WF : 0))) & ~NOT_INHERITED : !(v->vm_flags & PROC_VMA_DC))
			err = -ESTALE;
	}
	proc_maps_free(vmas, n);
	return err;
}

int collect_verify(const struct collect *c, pid_t child, const struct precopy *precopy)
{
	int err = c->adopted ? verify_flags(c, child, precopy, true) : 0;

	return !err && c->adopted && precopy->regions.n ? verify_flags(c, c->proc.pid, precopy, false) : err;
}

/* Looks for who watches only when somebody does: it takes a look at every process. True when that is none of ours. */
static bool find_watch(struct collect *c)
{
	bool found = c->before && c->before->watched;

	for (size_t i = 0; i < c->n_vmas && !c->watched && !found; i++)
		if (c->vmas[i].vm_flags & PROC_VMA_UW && !(found = keeper_exists(c->proc.pid)))
			return true;
	c->watched |= found;
	return false;
}

/* A keeper that has just ended is not found any more, but the kernel takes some time to end the watch (17 ms for each GiB). */
static int read_all(struct collect *c)
{
	const struct timespec nap = { .tv_nsec = WATCH_NAP_NS };
	int err = adopt_mappings(c);

	for (unsigned naps = 0; err; naps++) {
		if ((err = read_mappings("smaps", c->proc.pid, &c->vmas, &c->n_vmas)))
			return err;
		if (!find_watch(c) || naps == WATCH_NAPS)
			return 0;
		err = -EAGAIN;
		proc_maps_free(c->vmas, c->n_vmas);
		c->vmas = NULL;
		c->n_vmas = 0;
		nanosleep(&nap, NULL);
	}
	find_watch(c);
	return 0;
}

int collect_mappings(struct collect *c, struct fd_capture *files, struct findings *findings)
{
	AUTO_FREE uint32_t *backings = NULL;
	AUTO_FREE bool *by_plugin = NULL;
	int err = read_locked(c->proc.pid, &c->locked_kb);

	if (!err)
		err = read_all(c);
	if (err)
		return report_fail(c->rep, err, "process %d: its mappings (/proc/%d/smaps) cannot be read: %s", c->proc.pid, c->proc.pid,
				   strerror(-err));
	if (!(backings = calloc(c->n_vmas + 1, sizeof(*backings))) || !(by_plugin = calloc(c->n_vmas + 1, sizeof(*by_plugin))))
		return -ENOMEM;
	if ((err = mapping_backings(c, files, findings, backings, by_plugin)))
		return err;
	for (size_t i = 0; i < c->n_vmas && !err; i++)
		if (strcmp(c->vmas[i].name, "[vsyscall]"))
			err = mapping_add(c, &c->vmas[i], backings[i], by_plugin[i]);
	return err;
}

uint64_t collect_pages_estimate(const struct collect *c)
{
	uint64_t total = 0;

	for (size_t i = 0; i < c->n_vmas; i++)
		total += (c->vmas[i].anonymous + c->vmas[i].swap) * 1024;
	return total;
}

int collect_vdso(struct collect *c, struct rec_host *host)
{
	vec_each(&c->mappings, v) {
		if (v->kind != VMA_VDSO || strcmp(v->name, "[vdso]"))
			continue;
		size_t size = v->end - v->start;
		AUTO_FREE void *text = malloc(size);
		if (!text)
			return -ENOMEM;
		int err = inject_read(c->proc.pid, v->start, text, size);
		if (err)
			return report_fail(c->rep, err, "process %d: its vdso cannot be read: %s", c->proc.pid, strerror(-err));
		host->vdso_hash = host_vdso_hash(text, size);
		host->vdso_size = size;
	}
	return 0;
}
