// SPDX-License-Identifier: LGPL-2.1-or-later
/* Loads what an image says about open files, compares it with this host, and makes in the caller what can be made there. */
#include "fd/plan.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "fd/back.h"
#include "fd/kinds.h"
#include "fd/lock.h"

#define FD_MAX (1 << 24)      /* no image names a higher descriptor (fs.nr_open is 2^20 unless somebody raised it) */
#define PROCESS_MAX (1 << 22) /* PID_MAX_LIMIT */

struct fd_file *fd_plan_file(const struct fd_plan *plan, uint32_t id)
{
	return id && id <= plan->files.n ? plan->files.items[id - 1] : NULL;
}

struct fd_back *fd_plan_back(const struct fd_plan *plan, uint32_t id)
{
	return id && id <= plan->backs.n ? plan->backs.items[id - 1] : NULL;
}

static int damaged(struct fd_plan *plan, const char *what, uint64_t id)
{
	return report_fail(plan->rep, -EBADMSG, "image %s: %s %llu makes no sense; the image is damaged",
	                   img_reader_path(plan->reader), what, (unsigned long long)id);
}

/* ---- loading ---- */

/* Ids are 1 to n in the order of the records. */
static int load_files(struct fd_plan *plan)
{
	struct fd_file_record *records = NULL;
	size_t n = 0;
	int err = img_reader_load(plan->reader, &fd_file_schema, (void **)&records, &n);

	for (size_t i = 0; !err && i < n; i++) {
		struct fd_file *file = calloc(1, sizeof(*file));

		if (!file || vec_push(&plan->files, file)) {
			free(file);
			err = -ENOMEM;
			break;
		}
		file->r = records[i];
		records[i] = (struct fd_file_record){ 0 };
		file->fd = file->slot_fd = -1;
		if (file->r.id != i + 1)
			err = damaged(plan, "open file", file->r.id);
		file->kind = err ? NULL : fd_kind_find(file->r.kind);
		if (!file->kind)
			file->kind = &fd_kind_foreign;
	}
	img_schema_free_array(&fd_file_schema, records, n);
	return err;
}

static int load_backs(struct fd_plan *plan)
{
	struct fd_back_record *records = NULL;
	size_t n = 0;
	int err = img_reader_load(plan->reader, &fd_back_schema, (void **)&records, &n);

	for (size_t i = 0; !err && i < n; i++) {
		struct fd_back *back = calloc(1, sizeof(*back));

		if (!back || vec_push(&plan->backs, back)) {
			free(back);
			err = -ENOMEM;
			break;
		}
		back->r = records[i];
		records[i] = (struct fd_back_record){ 0 };
		back->slot_fd = back->clone_fd = back->fd_made = back->fd_ro = back->fd_rw = -1;
		if (back->r.id != i + 1 || back->r.size > INT64_MAX || fd_back_kind_parse(back->r.kind, &back->kind))
			err = damaged(plan, "backing file", back->r.id);
	}
	img_schema_free_array(&fd_back_schema, records, n);
	return err;
}

static int by_process_and_number(const void *a, const void *b)
{
	const struct fd_slot *x = a, *y = b;

	if (x->r.process != y->r.process)
		return x->r.process < y->r.process ? -1 : 1;
	return (x->r.fd > y->r.fd) - (x->r.fd < y->r.fd);
}

static int load_slots(struct fd_plan *plan)
{
	struct fd_slot_record *records = NULL;
	size_t n = 0;
	int err = img_reader_load(plan->reader, &fd_slot_schema, (void **)&records, &n);

	for (size_t i = 0; !err && i < n; i++) {
		struct fd_slot slot = { records[i], fd_plan_file(plan, records[i].file) };

		if (!slot.file || slot.r.fd < 0 || slot.r.fd >= FD_MAX || slot.r.process >= PROCESS_MAX)
			err = damaged(plan, "descriptor", (uint64_t)slot.r.fd);
		else
			err = vec_push(&plan->slots, slot);
	}
	img_schema_free_array(&fd_slot_schema, records, n);
	if (err || !plan->slots.n)
		return err;
	qsort(plan->slots.items, plan->slots.n, sizeof(*plan->slots.items), by_process_and_number);
	plan->max_fd = -1;
	vec_each(&plan->slots, slot) {
		if (slot > plan->slots.items && !by_process_and_number(slot, slot - 1))
			return damaged(plan, "descriptor", (uint64_t)slot->r.fd);
		if (slot->file->slot_fd < 0) {
			slot->file->slot_fd = slot->r.fd;
			slot->file->slot_process = slot->r.process;
		}
		if (slot->r.fd > plan->max_fd)
			plan->max_fd = slot->r.fd;
	}
	return 0;
}

static int load_locks(struct fd_plan *plan)
{
	struct fd_lock_record *records = NULL;
	size_t n = 0;
	int err = img_reader_load(plan->reader, &fd_lock_schema, (void **)&records, &n);

	for (size_t i = 0; !err && i < n; i++) {
		struct fd_lock lock = { .r = records[i] };

		if (!fd_plan_file(plan, lock.r.file) || fd_lock_kind_parse(lock.r.kind, &lock.kind) ||
		    lock.r.start > INT64_MAX || lock.r.length > INT64_MAX)
			err = damaged(plan, "lock of file", lock.r.file);
		else
			err = vec_push(&plan->locks, lock);
		if (!err)
			records[i] = (struct fd_lock_record){ 0 };
	}
	img_schema_free_array(&fd_lock_schema, records, n);
	return err;
}

/* One record of a kind's own: to the description it names. What it owns changes hands (the record is zeroed). */
static int deal_record(struct fd_plan *plan, const struct img_schema *schema, void *record)
{
	uint32_t id;

	memcpy(&id, record, sizeof(id));
	struct fd_file *file = fd_plan_file(plan, id);
	if (file && file->kind == &fd_kind_foreign)
		return 0;
	if (file && file->kind->state_schema == schema && !file->state) {
		if (!(file->state = malloc(schema->size)))
			return -ENOMEM;
		memcpy(file->state, record, schema->size);
	} else if (file && file->kind->item_schema == schema) {
		int err = fd_file_add_item(file, record);
		if (err)
			return err;
	} else {
		return damaged(plan, schema->name, id);
	}
	memset(record, 0, schema->size);
	return 0;
}

/* The tables hold a schema once per kind that uses it. */
static bool schema_seen(const struct fd_kind *const *end, const struct img_schema *schema)
{
	for (const struct fd_kind *const *k = fd_kinds; k < end; k++)
		if ((*k)->state_schema == schema || (*k)->item_schema == schema)
			return true;
	return false;
}

static int load_schema(struct fd_plan *plan, const struct img_schema *schema)
{
	char *records = NULL;
	size_t n = 0;
	int err = img_reader_load(plan->reader, schema, (void **)&records, &n);

	for (size_t i = 0; !err && i < n; i++)
		err = deal_record(plan, schema, records + i * schema->size);
	img_schema_free_array(schema, records, n);
	return err;
}

static int load_kinds(struct fd_plan *plan)
{
	int err = 0;

	for (const struct fd_kind *const *k = fd_kinds; !err && *k; k++) {
		if ((*k)->state_schema && !schema_seen(k, (*k)->state_schema))
			err = load_schema(plan, (*k)->state_schema);
		if (!err && (*k)->item_schema && !schema_seen(k, (*k)->item_schema))
			err = load_schema(plan, (*k)->item_schema);
	}
	vec_each(&plan->files, it) {
		if (!err && (*it)->kind->state_schema && !(*it)->state)
			err = damaged(plan, "open file", (*it)->r.id);
		if (!err && (*it)->r.backing && !fd_plan_back(plan, (*it)->r.backing))
			err = damaged(plan, "open file", (*it)->r.id);
	}
	return err;
}

/* ---- plan ---- */

static const char *plan_label(const struct fd_file *file)
{
	if (file->kind == &fd_kind_plugin && ((const struct fd_plugin_state *)file->state)->what)
		return ((const struct fd_plugin_state *)file->state)->what;
	return file->kind == &fd_kind_foreign ? file->r.kind : file->kind->name;
}

static int plan_files(struct fd_plan *plan, struct findings *findings)
{
	vec_each(&plan->files, it) {
		struct fd_file *file = *it;
		struct fd_verdict v = { 0 };
		char object[32];
		int err = 0;

		if (file->slot_fd < 0 || file->foreign_fd || !file->kind->plan)
			continue;
		err = file->kind->plan(plan, file, &v);
		if (err)
			v.err = err;
		snprintf(object, sizeof(object), "fd %d", file->slot_fd);
		if (v.action || v.obstacle || v.err)
			err = fd_verdict_give(&v, findings, object, plan_label(file)) ?:
			      findings_compare(findings, file->r.path && file->r.path[0] == '/' ? file->r.path : NULL, NULL, NULL);
		if (err)
			return err;
	}
	return 0;
}

int fd_plan_create(struct reporter *rep, const struct img_reader *reader, const struct fd_plan_options *options,
                   struct findings *findings, struct fd_plan **ret)
{
	struct fd_plan *plan = calloc(1, sizeof(*plan));
	int err = plan ? 0 : -ENOMEM;

	if (err)
		return err;
	plan->rep = rep;
	plan->reader = reader;
	plan->o = *options;
	plan->max_fd = -1;
	plan->back_first = 0;
	plan->back_last = -1;
	for (int i = 0; i < 3; i++)
		plan->stdio_fd[i] = -1;
	err = load_files(plan);
	if (!err)
		err = load_backs(plan);
	if (!err)
		err = load_slots(plan);
	if (!err)
		err = load_locks(plan);
	if (!err)
		err = load_kinds(plan);
	if (!err && plan->o.loaded)
		err = plan->o.loaded(plan->o.ctx, plan);
	if (!err)
		err = fd_stdio_plan(plan, findings);
	if (!err)
		err = plan_files(plan, findings);
	if (!err)
		err = fd_back_plan(plan, findings);
	if (err) {
		fd_plan_destroy(plan);
		return err;
	}
	*ret = plan;
	return 0;
}

void fd_plan_destroy(struct fd_plan *plan)
{
	if (!plan)
		return;
	vec_each(&plan->files, it) {
		if ((*it)->fd >= 0)
			close((*it)->fd);
		fd_file_destroy(*it);
	}
	vec_each(&plan->backs, it)
		fd_back_destroy(*it);
	vec_each(&plan->locks, lock)
		img_schema_clear(&fd_lock_schema, &lock->r);
	for (int i = 0; i < 3; i++)
		if (plan->stdio_fd[i] >= 0)
			close(plan->stdio_fd[i]);
	vec_finish(&plan->files);
	vec_finish(&plan->slots);
	vec_finish(&plan->backs);
	vec_finish(&plan->locks);
	free(plan);
}

int fd_plan_max_fd(const struct fd_plan *plan)
{
	return plan->max_fd;
}

/* ---- what rows use ---- */

static const char *map_directory(struct fd_plan *plan, const char *path, size_t n, char *buf)
{
	memcpy(buf, path, n);
	buf[n] = '\0';
	const char *to = resource_map_find(plan->o.map, "file", buf);
	if (to || n == 1)
		return to;
	buf[n] = '/';
	buf[n + 1] = '\0';
	return resource_map_find(plan->o.map, "file", buf);
}

int fd_plan_path(struct fd_plan *plan, const char *path, char **ret_owned, bool *ret_mapped)
{
	const char *to = resource_map_find(plan->o.map, "file", path), *rest = "";
	AUTO_FREE char *buf = malloc(strlen(path) + 2);
	char *owned = NULL;

	if (!buf)
		return -ENOMEM;
	/* The longest leading directory, down to "/". */
	for (size_t n = strlen(path); !to && n > 0 && path[0] == '/';) {
		while (n > 0 && path[n - 1] != '/')
			n--;
		if (n == 0)
			break;
		if (n > 1)
			n--;
		to = map_directory(plan, path, n, buf);
		rest = path + n + (n == 1);
		if (n == 1)
			break;
	}
	if (to) {
		size_t len = strlen(to);
		bool slash = *rest && *rest != '/' && (!len || to[len - 1] != '/');

		while (*rest == '/' && len && to[len - 1] == '/')
			len--;
		if (asprintf(&owned, "%.*s%s%s", (int)len, to, slash ? "/" : "", rest) < 0)
			return -ENOMEM;
	}
	*ret_owned = owned;
	*ret_mapped = to != NULL;
	return 0;
}

int fd_plan_adopt(struct fd_plan *plan, int fd)
{
	int high = fcntl(fd, F_DUPFD_CLOEXEC, plan->max_fd + 1), err = high < 0 ? -errno : 0;

	close(fd);
	if (err)
		return report_fail(plan->rep, err, "no descriptor above %d is free: %s; raise the limit (ulimit -n)",
		                   plan->max_fd, strerror(-err));
	return high;
}

int fd_plan_fd_for(const struct fd_plan *plan, const struct fd_file *file, int slot)
{
	if (!file->foreign_fd)
		return file->fd >= 0 ? file->fd : -EBADF;
	if (slot >= 0 && slot <= 2 && plan->stdio_fd[slot] >= 0)
		return plan->stdio_fd[slot];
	if (file->slot_fd >= 0 && file->slot_fd <= 2 && plan->stdio_fd[file->slot_fd] >= 0)
		return plan->stdio_fd[file->slot_fd];
	return -EBADF;
}

int fd_open_flags(const struct fd_file *file)
{
	int flags = (int)file->r.flags;

	if ((flags & O_TMPFILE) == O_TMPFILE)
		flags &= ~O_TMPFILE;
	if (flags & O_PATH)
		return (flags & (O_PATH | O_DIRECTORY)) | O_CLOEXEC;
	return (flags & ~(O_CREAT | O_EXCL | O_TRUNC | O_NOFOLLOW | O_ASYNC)) | O_NOCTTY | O_CLOEXEC;
}

int fd_set_status(struct fd_plan *plan, const struct fd_file *file, int fd)
{
	const int settable = O_APPEND | O_NONBLOCK | O_DIRECT | O_NOATIME; /* fs/fcntl.c, SETFL_MASK */
	int now = fcntl(fd, F_GETFL), want;
	char name[PATH_MAX + 32];

	if (now < 0)
		return report_fail(plan->rep, -errno, "%s: %s", fd_file_name(file, name, sizeof(name)), strerror(errno));
	want = (now & ~settable) | ((int)file->r.flags & settable);
	if (want == now || !fcntl(fd, F_SETFL, want))
		return 0;
	if (!fcntl(fd, F_SETFL, want & ~(O_DIRECT | O_NOATIME))) {
		report_warn(plan->rep, "%s: opened without %s, which this file system refuses",
		            fd_file_name(file, name, sizeof(name)), want & O_DIRECT ? "O_DIRECT" : "O_NOATIME");
		return 0;
	}
	return report_fail(plan->rep, -errno, "%s: its status flags cannot be set: %s", fd_file_name(file, name, sizeof(name)),
	                   strerror(errno));
}

/* ---- prepare, commit, abandon ---- */

static int raise_limit(struct fd_plan *plan)
{
	size_t need = (size_t)(plan->max_fd + 1) + plan->files.n + 3 * plan->backs.n + 64;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit))
		return -errno;
	if (limit.rlim_cur >= need)
		return 0;
	limit.rlim_cur = need;
	if (limit.rlim_max < need)
		limit.rlim_max = need;
	if (setrlimit(RLIMIT_NOFILE, &limit))
		return report_fail(plan->rep, -errno,
		                   "%zu descriptors are needed for a moment, more than are allowed here; raise the "
		                   "limit (ulimit -n)",
		                   need);
	return 0;
}

static int prepare_rank(struct fd_plan *plan, int rank, int *ret_next)
{
	vec_each(&plan->files, it) {
		struct fd_file *file = *it;

		if (file->kind->rank > rank && file->kind->rank < *ret_next)
			*ret_next = file->kind->rank;
		if (file->kind->rank != rank || file->foreign_fd || file->fd >= 0 || file->slot_fd < 0 || !file->kind->prepare)
			continue;
		int err = file->kind->prepare(plan, file);
		if (err)
			return err;
	}
	return 0;
}

int fd_plan_prepare(struct fd_plan *plan)
{
	int err = raise_limit(plan), rank = INT32_MIN, next;

	if (!err)
		err = fd_stdio_prepare(plan);
	if (!err)
		err = fd_back_prepare(plan);
	while (!err) {
		next = INT32_MAX;
		err = prepare_rank(plan, rank, &next);
		if (next == INT32_MAX)
			break;
		rank = next;
	}
	if (!err)
		err = fd_lock_prepare(plan);
	return err ? err : fd_back_arrange(plan);
}

int fd_plan_commit(struct fd_plan *plan)
{
	int err = fd_back_commit(plan);

	vec_each(&plan->files, it)
		if (!err && (*it)->kind->commit)
			err = (*it)->kind->commit(plan, *it);
	if (!err)
		err = fd_stdio_commit(plan);
	vec_each(&plan->files, it)
		if (!err && (*it)->kind->live && (*it)->fd >= 0)
			err = (*it)->kind->live(plan, *it);
	return err;
}

void fd_plan_abandon(struct fd_plan *plan)
{
	vec_each(&plan->files, it)
		if ((*it)->kind->abandon)
			(*it)->kind->abandon(plan, *it);
	fd_back_abandon(plan);
}
