// SPDX-License-Identifier: LGPL-2.1-or-later
/* Looks at every descriptor of a process from outside: which ones share an open file description, of what kind each description
 * is, and what its row of the table wants to know. */
#include "fd/capture.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <linux/kcmp.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "base/io.h"
#include "fd/back.h"
#include "fd/kinds.h"
#include "fd/lock.h"
#include "proc/status.h"
#include "stasis/plugin.h"

int fd_capture_create(struct reporter *rep, const struct fd_capture_options *options, struct fd_capture **ret)
{
	struct fd_capture *cap = calloc(1, sizeof(*cap));

	if (!cap)
		return -ENOMEM;
	cap->rep = rep;
	cap->o = *options;
	cap->next_space = options->first_space;
	if (options->image_path && !(cap->image_path = strdup(options->image_path)))
		goto nomem;
	if (options->n_claims) {
		cap->claims = calloc(options->n_claims, sizeof(*cap->claims));
		if (!cap->claims)
			goto nomem;
		memcpy(cap->claims, options->claims, options->n_claims * sizeof(*cap->claims));
	}
	*ret = cap;
	return 0;
nomem:
	fd_capture_destroy(cap);
	return -ENOMEM;
}

void fd_capture_destroy(struct fd_capture *cap)
{
	if (!cap)
		return;
	vec_each(&cap->files, file)
		fd_file_destroy(*file);
	vec_each(&cap->backs, back)
		fd_back_destroy(*back);
	vec_each(&cap->locks, lock)
		img_schema_clear(&fd_lock_schema, &lock->r);
	findings_finish(&cap->notes);
	vec_finish(&cap->procs);
	vec_finish(&cap->files);
	vec_finish(&cap->order);
	vec_finish(&cap->slots);
	vec_finish(&cap->backs);
	vec_finish(&cap->locks);
	free(cap->image_path);
	free(cap->claims);
	free(cap);
}

unsigned fd_capture_count(const struct fd_capture *cap)
{
	return (unsigned)cap->files.n;
}

uint32_t fd_capture_space(struct fd_capture *cap)
{
	return cap->next_space++;
}

const struct fd_claim *fd_capture_claim(const struct fd_capture *cap, const char *text)
{
	for (size_t i = 0; i < cap->o.n_claims; i++)
		if (!fnmatch(cap->claims[i].pattern, text, 0))
			return &cap->claims[i];
	return NULL;
}

int32_t fd_inner_pid(pid_t pid)
{
	AUTO_FREE char *text = NULL;
	struct proc_status status;
	size_t size;
	int32_t inner = 0;

	if (io_read_filef(&text, &size, "/proc/%d/status", pid) || proc_status_parse(text, size, &status))
		return 0;
	if (status.nspid.n)
		inner = status.nspid.id[status.nspid.n - 1];
	proc_status_finish(&status);
	return inner;
}

int fd_capture_process_index(const struct fd_capture *cap, pid_t pid)
{
	vec_each(&cap->procs, proc)
		if (proc->pid == pid)
			return (int)proc->index;
	return -1;
}

/* In a process that runs a descriptor may go away between two looks: then it is left out. */
static bool is_gone(const struct fd_capture *cap, int err)
{
	return !cap->o.frozen && (err == -ENOENT || err == -EBADF || err == -ESRCH);
}

static int pidfd_copy(const struct fd_process *proc, int fd)
{
	int copy = (int)syscall(SYS_pidfd_getfd, proc->pidfd, fd, 0);

	return copy < 0 ? -errno : copy;
}

int fd_file_copy(struct fd_capture *cap, const struct fd_file *file)
{
	int copy = pidfd_copy(&file->proc, file->slot_fd);

	if (copy >= 0 || is_gone(cap, copy))
		return copy;
	return report_fail(cap->rep, copy, "fd %d of process %d (%s) cannot be copied: %s", file->slot_fd, file->proc.pid,
	                   file->link, strerror(-copy));
}

/* Orders two descriptors by what must be equal when they share a description, then by the kernel's own order of descriptions
 * (kernel/kcmp.c: an obfuscated but total order). Only those that agree on everything else cost a kcmp. */
static int compare_descriptions(const struct fd_file *a, const struct fd_file *b, int *ret_err)
{
	if (a->st.st_dev != b->st.st_dev)
		return a->st.st_dev < b->st.st_dev ? -1 : 1;
	if (a->st.st_ino != b->st.st_ino)
		return a->st.st_ino < b->st.st_ino ? -1 : 1;
	if (a->serial != b->serial)
		return a->serial < b->serial ? -1 : 1;
	if (a->r.flags != b->r.flags)
		return a->r.flags < b->r.flags ? -1 : 1;
	int by_link = strcmp(a->link, b->link);
	if (by_link)
		return by_link;
	long r = syscall(SYS_kcmp, a->proc.pid, b->proc.pid, KCMP_FILE, (unsigned long)a->slot_fd, (unsigned long)b->slot_fd);
	if (r < 0) {
		*ret_err = -errno;
		return -1;
	}
	return r == 0 ? 0 : r == 1 ? -1 : 1;
}

/* Finds the description of `file` among those seen, or the place where it belongs. */
static int find_description(struct fd_capture *cap, const struct fd_file *file, struct fd_file **ret_known, size_t *ret_place)
{
	size_t low = 0, high = cap->order.n;

	*ret_known = NULL;
	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int err = 0, order = compare_descriptions(file, cap->order.items[mid], &err);

		if (err == -ENOSYS)
			return report_fail(cap->rep, err,
			                   "this kernel has no kcmp (CONFIG_KCMP): which descriptors share an open file "
			                   "cannot be told; use a kernel with CONFIG_KCMP");
		if (err && !is_gone(cap, err))
			return report_fail(cap->rep, err, "fd %d of process %d cannot be compared with others: %s",
			                   file->slot_fd, file->proc.pid, strerror(-err));
		if (order == 0) {
			*ret_known = cap->order.items[mid];
			return 0;
		}
		if (order < 0)
			high = mid;
		else
			low = mid + 1;
	}
	*ret_place = low;
	return 0;
}

static int order_insert(struct fd_capture *cap, struct fd_file *file, size_t place)
{
	int err = vec_push(&cap->order, file);

	if (err)
		return err;
	memmove(cap->order.items + place + 1, cap->order.items + place, (cap->order.n - 1 - place) * sizeof(file));
	cap->order.items[place] = file;
	return 0;
}

/* F_SETOWN and F_SETSIG. An owner that is no task any more, or none that the target could name, is none. */
static void read_owner(struct fd_file *file, int copy)
{
	struct f_owner_ex owner;
	int signal = fcntl(copy, F_GETSIG);

	if (signal > 0)
		file->r.owner_signal = signal;
	if (fcntl(copy, F_GETOWN_EX, &owner) || !owner.pid)
		return;
	file->r.owner_type = (uint32_t)owner.type;
	file->r.owner = fd_inner_pid(owner.pid);
}

static int describe(struct fd_capture *cap, struct fd_file *file, const struct proc_fdinfo *info)
{
	AUTO_CLOSE int copy = fd_file_copy(cap, file);
	struct fd_look look = { &file->proc, file->slot_fd, file->link, &file->st, info, copy };

	if (copy < 0)
		return copy;
	file->claim = fd_capture_claim(cap, file->link);
	const char *what;
	const struct stasis_plugin *plugin = fd_plugin_claim(cap, file->link, &file->st, &what);
	file->kind = plugin ? &fd_kind_plugin : file->claim ? &fd_kind_foreign : NULL;
	for (const struct fd_kind *const *k = fd_kinds; !file->kind; k++)
		if (!(*k)->claim || (*k)->claim(&look))
			file->kind = *k;
	if (!(file->r.kind = strdup(file->kind->name)))
		return -ENOMEM;
	if (file->kind->state_schema) {
		if (!(file->state = calloc(1, file->kind->state_schema->size)))
			return -ENOMEM;
		memcpy(file->state, &file->r.id, sizeof(file->r.id));
	}
	if (plugin) {
		struct fd_plugin_state *state = file->state;
		if (!(state->plugin = strdup(plugin->name)) || !(state->what = strdup(what)))
			return -ENOMEM;
	}
	if (!(file->r.flags & O_PATH))
		read_owner(file, copy);
	return file->kind->inspect ? file->kind->inspect(cap, file, &look) : 0;
}

/* The link's text without the kernel's " (deleted)"; whether that was the kernel's is for the kind to tell. */
static char *plain_path(const char *link)
{
	static const char suffix[] = " (deleted)";
	size_t n = strlen(link), m = sizeof(suffix) - 1;

	return strndup(link, n > m && !strcmp(link + n - m, suffix) ? n - m : n);
}

static int read_descriptor(struct fd_capture *cap, const struct fd_process *proc, int dirfd, int fd, struct fd_file *ret_file,
                           struct proc_fdinfo *ret_info)
{
	AUTO_FREE char *text = NULL;
	char number[16];
	size_t size;

	*ret_file = (struct fd_file){ .proc = *proc, .slot_fd = fd, .fd = -1 };
	snprintf(number, sizeof(number), "%d", fd);
	int err = io_readlinkf(&ret_file->link, "/proc/%d/fd/%d", proc->pid, fd);
	if (!err && fstatat(dirfd, number, &ret_file->st, 0))
		ret_file->st = (struct stat){ 0 };
	if (!err)
		err = io_read_filef(&text, &size, "/proc/%d/fdinfo/%d", proc->pid, fd);
	if (!err)
		err = proc_fdinfo_parse(text, size, ret_info);
	if (is_gone(cap, err))
		return err;
	if (err == -EBADMSG)
		return report_fail(cap->rep, err,
		                   "/proc/%d/fdinfo/%d: not understood; this kernel may be too new for this version of stasis",
		                   proc->pid, fd);
	if (err)
		return report_fail(cap->rep, err, "fd %d of process %d: %s", fd, proc->pid, strerror(-err));
	ret_file->r.flags = ret_info->flags & ~(uint32_t)O_CLOEXEC;
	ret_file->serial = ret_info->eventfd_id;
	ret_file->r.pos = (uint64_t)ret_info->pos;
	ret_file->r.mode = ret_file->st.st_mode;
	ret_file->r.dev_major = major(ret_file->st.st_dev);
	ret_file->r.dev_minor = minor(ret_file->st.st_dev);
	ret_file->r.ino = ret_file->st.st_ino;
	ret_file->r.rdev_major = major(ret_file->st.st_rdev);
	ret_file->r.rdev_minor = minor(ret_file->st.st_rdev);
	ret_file->r.path = plain_path(ret_file->link);
	return ret_file->r.path ? 0 : -ENOMEM;
}

/* Adds the description unless it is known; `seen` is given up in any case. */
static int add_description(struct fd_capture *cap, struct fd_file *seen, const struct proc_fdinfo *info, struct fd_file **ret)
{
	struct fd_file *known = NULL, *file = malloc(sizeof(*file));
	size_t place = 0;
	int err = file ? 0 : -ENOMEM;

	if (!err)
		*file = *seen;
	else
		file = NULL;
	if (!err)
		err = find_description(cap, file, &known, &place);
	if (!err && !known) {
		file->r.id = (uint32_t)cap->files.n + 1;
		err = describe(cap, file, info);
		if (!err)
			err = vec_push(&cap->files, file);
		if (!err) {
			*ret = file;
			return order_insert(cap, file, place);
		}
	}
	if (file)
		fd_file_destroy(file);
	else {
		img_schema_clear(&fd_file_schema, &seen->r);
		free(seen->link);
	}
	*ret = known;
	return err;
}

static int add_descriptor(struct fd_capture *cap, const struct fd_process *proc, int dirfd, int fd)
{
	struct proc_fdinfo info = { 0 };
	struct fd_file seen, *file = NULL;
	int err = read_descriptor(cap, proc, dirfd, fd, &seen, &info);

	if (err) {
		img_schema_clear(&fd_file_schema, &seen.r);
		free(seen.link);
	} else {
		size_t known = cap->files.n;
		err = add_description(cap, &seen, &info, &file);
		if (!err)
			err = vec_push(
			        &cap->slots,
			        ((struct fd_slot){ { proc->index, fd, file->r.id, (info.flags & O_CLOEXEC) != 0 }, file }));
		if (!err)
			err = fd_lock_collect(cap, proc, file, &info, cap->files.n > known);
	}
	proc_fdinfo_finish(&info);
	return err;
}

static int list_numbers(int dirfd, int **ret_numbers, size_t *ret_n)
{
	AUTO_CLOSE int dup_fd = fcntl(dirfd, F_DUPFD_CLOEXEC, 0);
	AUTO_CLOSEDIR DIR *dir = dup_fd >= 0 ? fdopendir(dup_fd) : NULL;
	VEC(int) numbers = { 0 };
	struct dirent *entry;

	if (!dir)
		return -errno;
	dup_fd = -1;
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		if (vec_push(&numbers, atoi(entry->d_name))) {
			vec_finish(&numbers);
			return -ENOMEM;
		}
	}
	*ret_numbers = numbers.items;
	*ret_n = numbers.n;
	return 0;
}

static int by_number(const void *a, const void *b)
{
	const int *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

int fd_capture_process(struct fd_capture *cap, const struct fd_process *proc)
{
	AUTO_FREE int *numbers = NULL;
	char path[64];
	size_t n = 0;
	int err;

	snprintf(path, sizeof(path), "/proc/%d/fd", proc->pid);
	AUTO_CLOSE int dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	err = dirfd < 0 ? -errno : list_numbers(dirfd, &numbers, &n);
	if (err)
		return report_fail(cap->rep, err, "process %d: its descriptors cannot be listed (%s): %s", proc->pid, path,
		                   err == -EACCES ? "permission denied; run as root or as the owner of the process"
		                                  : strerror(-err));
	if (vec_push(&cap->procs, *proc))
		return -ENOMEM;
	if (n)
		qsort(numbers, n, sizeof(*numbers), by_number);
	for (size_t i = 0; i < n; i++) {
		err = add_descriptor(cap, proc, dirfd, numbers[i]);
		if (err && !is_gone(cap, err))
			return err;
	}
	return 0;
}
