// SPDX-License-Identifier: LGPL-2.1-or-later
/* Finds the files behind descriptions and mappings of a target, each once, and tells whether a path leads to them.
 *
 * Descriptions and mappings meet by st_dev and st_ino. The dev:ino of /proc/PID/maps are those of the inode inside the file
 * system, which on btrfs (subvolumes) and overlayfs differ from what stat says: then a mapping of our own is asked. */
#include "fd/back.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>

#include "base/io.h"
#include "fd/capture.h"
#include "proc/maps.h"

static struct fd_back *back_by_inode(struct fd_capture *cap, const struct stat *st)
{
	vec_each(&cap->backs, it) {
		const struct fd_back_record *r = &(*it)->r;

		if (r->ino == st->st_ino && makedev(r->dev_major, r->dev_minor) == st->st_dev)
			return *it;
	}
	return NULL;
}

static void back_set_stat(struct fd_back *back, const struct stat *st)
{
	back->r.dev_major = major(st->st_dev);
	back->r.dev_minor = minor(st->st_dev);
	back->r.ino = st->st_ino;
	back->r.size = S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0;
	back->r.mtime_ns = fd_ident_mtime(st);
	back->r.mode = st->st_mode;
	back->r.uid = st->st_uid;
	back->r.gid = st->st_gid;
	back->r.rdev_major = major(st->st_rdev);
	back->r.rdev_minor = minor(st->st_rdev);
}

static int back_new(struct fd_capture *cap, enum fd_back_kind kind, const char *path, const struct fd_process *proc,
                    int slot_fd, const struct stat *st, struct fd_back **ret)
{
	struct fd_back *back = calloc(1, sizeof(*back));

	if (!back)
		return -ENOMEM;
	back->kind = kind;
	back->proc = *proc;
	back->slot_fd = slot_fd;
	back->clone_fd = back->fd_made = back->fd_ro = back->fd_rw = -1;
	back->r.id = (uint32_t)cap->backs.n + 1;
	back->r.kind = strdup(fd_back_kind_name(kind));
	back->r.path = strdup(path);
	back_set_stat(back, st);
	if (!back->r.kind || !back->r.path || vec_push(&cap->backs, back)) {
		fd_back_destroy(back);
		return -ENOMEM;
	}
	*ret = back;
	return 0;
}

/* Whether `path`, as we or the target see it, is the inode of `st` (only st_dev and st_ino are looked at). */
static bool path_leads_to(const struct fd_process *proc, const char *path, const struct stat *st)
{
	char there[PATH_MAX + 32];
	struct stat now;

	if (path[0] != '/')
		return false;
	if (!stat(path, &now) && now.st_dev == st->st_dev && now.st_ino == st->st_ino)
		return true;
	snprintf(there, sizeof(there), "/proc/%d/root%s", proc->pid, path);
	return !stat(there, &now) && now.st_dev == st->st_dev && now.st_ino == st->st_ino;
}

static bool is_memfd(const char *link)
{
	return !strncmp(link, "/memfd:", 7);
}

/* A memfd's name is what follows "/memfd:". */
static const char *memfd_name(const char *path)
{
	return path + 7;
}

static int read_memfd(struct fd_back *back, const struct fd_look *look)
{
	char buf[64];
	struct stat st;
	uint32_t type;
	int seals = fcntl(look->copy, F_GET_SEALS);

	if (seals >= 0) {
		back->r.has_seals = true;
		back->r.seals = (uint32_t)seals;
	}
	fd_ident_fsid(fd_back_proc_path(back, buf, sizeof(buf)), &type);
	if (type == HUGETLBFS_MAGIC && !fstat(look->copy, &st))
		back->r.huge_page = (uint64_t)st.st_blksize; /* huge_page_size (fs/hugetlbfs/inode.c, s_blocksize) */
	return 0;
}

/* A second description may know a name where the first one's was deleted (hard links). */
static int back_learn_path(struct fd_back *back, const struct fd_file *file)
{
	char *path, *kind;

	if (back->kind != FD_BACK_DELETED || !path_leads_to(&file->proc, file->r.path, &file->st))
		return 0;
	path = strdup(file->r.path);
	kind = strdup(fd_back_kind_name(FD_BACK_REGULAR));
	if (!path || !kind) {
		free(path);
		free(kind);
		return -ENOMEM;
	}
	free(back->r.path);
	free(back->r.kind);
	back->r.path = path;
	back->r.kind = kind;
	back->kind = FD_BACK_REGULAR;
	return 0;
}

int fd_back_for_file(struct fd_capture *cap, struct fd_file *file, const struct fd_look *look)
{
	struct fd_back *back = back_by_inode(cap, look->st);
	enum fd_back_kind kind = FD_BACK_DELETED;
	int err;

	/* A name may end in " (deleted)" by its own right. */
	if (strcmp(file->r.path, file->link) && path_leads_to(&file->proc, file->link, look->st)) {
		free(file->r.path);
		if (!(file->r.path = strdup(file->link)))
			return -ENOMEM;
	}
	if (back) {
		file->r.backing = back->r.id;
		return back_learn_path(back, file);
	}
	if (is_memfd(file->link))
		kind = FD_BACK_MEMFD;
	else if (path_leads_to(&file->proc, file->r.path, look->st))
		kind = FD_BACK_REGULAR;
	err = back_new(cap, kind, kind == FD_BACK_MEMFD ? memfd_name(file->r.path) : file->r.path, &file->proc, file->slot_fd,
	               look->st, &back);
	if (err)
		return err;
	file->r.backing = back->r.id;
	return kind == FD_BACK_MEMFD ? read_memfd(back, look) : 0;
}

/* ---- mappings ---- */

static int note(struct fd_capture *cap, const struct fd_mapping *map, const char *kind, const char *action,
                const char *obstacle, const char *remedy)
{
	char object[64];

	snprintf(object, sizeof(object), "mapping %llx-%llx", (unsigned long long)map->start, (unsigned long long)map->end);
	return findings_add(&cap->notes, object, kind, action, obstacle, remedy);
}

/* Asks our own maps how they call the file at `path`. */
static bool maps_call_it(const char *path, const struct fd_mapping *map)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	AUTO_FREE char *text = NULL;
	struct proc_vma *vmas = NULL;
	bool same = false;
	size_t size, n = 0;

	void *p = fd < 0 ? MAP_FAILED : mmap(NULL, IMG_PAGE_SIZE, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return false;
	if (!io_read_filef(&text, &size, "/proc/self/maps") && !proc_maps_parse(text, size, &vmas, &n))
		for (size_t i = 0; i < n; i++)
			if (vmas[i].start <= (uintptr_t)p && (uintptr_t)p < vmas[i].end)
				same = vmas[i].dev_major == map->dev_major && vmas[i].dev_minor == map->dev_minor &&
				       vmas[i].ino == map->ino;
	proc_maps_free(vmas, n);
	munmap(p, IMG_PAGE_SIZE);
	return same;
}

static bool path_is_mapped(const char *path, const struct fd_mapping *map, struct stat *ret_st)
{
	uint32_t type;

	if (stat(path, ret_st) || !(S_ISREG(ret_st->st_mode) || S_ISCHR(ret_st->st_mode)))
		return false;
	if (ret_st->st_ino == map->ino && ret_st->st_dev == makedev(map->dev_major, map->dev_minor))
		return true;
	fd_ident_fsid(path, &type);
	if (ret_st->st_ino == map->ino && type == BTRFS_SUPER_MAGIC)
		return true;
	return (type == BTRFS_SUPER_MAGIC || type == OVERLAYFS_SUPER_MAGIC) && maps_call_it(path, map);
}

/* The file of a mapping by its path, as we or the target see it. */
static bool mapping_stat(const struct fd_process *proc, const struct fd_mapping *map, const char *path, struct stat *ret_st)
{
	char there[PATH_MAX + 32];

	if (path_is_mapped(path, map, ret_st))
		return true;
	snprintf(there, sizeof(there), "/proc/%d/root%s", proc->pid, path);
	return path_is_mapped(there, map, ret_st);
}

static struct fd_back *back_by_mapping(struct fd_capture *cap, const struct fd_mapping *map)
{
	vec_each(&cap->backs, it)
		if ((*it)->has_map_id && (*it)->map_ino == map->ino && (*it)->map_major == map->dev_major &&
		    (*it)->map_minor == map->dev_minor)
			return *it;
	return NULL;
}

static char *mapping_path(const struct fd_mapping *map, bool *ret_deleted)
{
	static const char suffix[] = " (deleted)";
	size_t n = strlen(map->path), m = sizeof(suffix) - 1;

	*ret_deleted = n > m && !strcmp(map->path + n - m, suffix);
	return strndup(map->path, *ret_deleted ? n - m : n);
}

/* Bytes of the huge pages that unnamed mappings get by default. */
static uint64_t default_huge_page(void)
{
	AUTO_FREE char *text = NULL;
	unsigned long long kib = 0;
	const char *line;

	if (io_read_filef(&text, NULL, "/proc/meminfo") || !(line = strstr(text, "Hugepagesize:")))
		return 0;
	return sscanf(line, "Hugepagesize: %llu", &kib) == 1 ? kib * 1024 : 0;
}

/* A shared mapping of a file that no path leads to: an open one, or one that only mappings hold. */
static int back_nameless(struct fd_capture *cap, const struct fd_process *proc, const struct fd_mapping *map, const char *path,
                         struct fd_back **ret)
{
	enum fd_back_kind kind = FD_BACK_DELETED;
	char link[96];
	struct stat st;

	/* Opening such a link takes privilege, and so does stat through it; open descriptions go by the inode either way. */
	snprintf(link, sizeof(link), "/proc/%d/map_files/%llx-%llx", proc->pid, (unsigned long long)map->start,
	         (unsigned long long)map->end);
	if (stat(link, &st)) {
		st = (struct stat){ .st_dev = makedev(map->dev_major, map->dev_minor),
			            .st_ino = map->ino,
			            .st_mode = S_IFREG | 0600,
			            .st_uid = geteuid(),
			            .st_gid = getegid() };
	}
	*ret = back_by_inode(cap, &st);
	if (*ret)
		return 0;
	if (is_memfd(path)) {
		kind = FD_BACK_MEMFD;
		path = memfd_name(path);
	} else if (!strcmp(path, "/dev/zero") || !strcmp(path, "/anon_hugepage")) {
		kind = FD_BACK_SHM;
	}
	int err = back_new(cap, kind, path, proc, -1, &st, ret);
	if (err)
		return err;
	uint32_t type;
	fd_ident_fsid(link, &type);
	if (type == HUGETLBFS_MAGIC)
		(*ret)->r.huge_page = (uint64_t)st.st_blksize;
	else if (!strcmp(path, "/anon_hugepage"))
		(*ret)->r.huge_page = default_huge_page();
	return 0;
}

static int add_window(struct fd_back *back, const struct fd_process *proc, const struct fd_mapping *map)
{
	uint64_t end = map->offset + (map->end - map->start);

	if (!back->has_map_id) {
		back->has_map_id = true;
		back->map_major = map->dev_major;
		back->map_minor = map->dev_minor;
		back->map_ino = map->ino;
	}
	if (map->shared)
		back->r.mapped |= FD_MAPPED_SHARED | (map->writable ? FD_MAPPED_SHARED_WRITE : 0);
	else
		back->r.mapped |= FD_MAPPED_PRIVATE;
	/* A private mapping shows the process's own pages where it has written: contents are read through others. */
	if (!map->shared || back->slot_fd >= 0 || back->kind == FD_BACK_REGULAR || back->kind == FD_BACK_DEVICE)
		return 0;
	/* Where the size cannot be asked for (no privilege, see above) it is what the mappings show. */
	if (back->r.size < end && !back->r.mtime_ns)
		back->r.size = end;
	return vec_push(&back->windows, ((struct fd_window){ proc->pid, map->start, map->end, map->offset }));
}

/* Mappings that no file can stand behind at a restart. Returns 1 when it was one. */
static int refuse_special(struct fd_capture *cap, const struct fd_mapping *map, const char *path)
{
	const struct fd_claim *claim = fd_capture_claim(cap, map->path);
	int err = 0;

	if (claim)
		err = note(cap, map, claim->kind, NULL, claim->obstacle, claim->remedy);
	else if (!strncmp(path, "/[aio]", 6))
		err = note(cap, map, "aio context", NULL, "contexts of io_setup(2) cannot be made again yet",
		           "have the program use threads for its I/O (QEMU: aio=threads)");
	else if (!strncmp(path, "/SYSV", 5))
		err = note(cap, map, path, NULL, "System V shared memory cannot be restored yet",
		           "have the program use POSIX shared memory or memfd");
	else if (path[0] != '/')
		err = note(cap, map, path, NULL, "a mapping of this kind cannot be restored",
		           "have the program unmap it first");
	else
		return 0;
	return err ? err : 1;
}

/* Devices can be mapped again when all they give is memory. */
static int refuse_device(struct fd_capture *cap, const struct fd_mapping *map, const char *path, const struct stat *st)
{
	if (!S_ISCHR(st->st_mode) || (major(st->st_rdev) == 1 && minor(st->st_rdev) == 5))
		return 0;
	int err =
	        note(cap, map, path, NULL, "memory of a device cannot be restored", "have the program close the device first");

	return err ? err : 1;
}

static int back_of_mapping(struct fd_capture *cap, const struct fd_process *proc, const struct fd_mapping *map,
                           struct fd_back **ret)
{
	bool deleted;
	AUTO_FREE char *path = mapping_path(map, &deleted);
	struct stat st;

	if (!path)
		return -ENOMEM;
	int err = refuse_special(cap, map, path);
	if (err)
		return err < 0 ? err : 0;
	/* A name may end in " (deleted)" by its own right. */
	bool named = mapping_stat(proc, map, map->path, &st);
	if (named && deleted) {
		free(path);
		if (!(path = strdup(map->path)))
			return -ENOMEM;
	}
	if (!named) {
		if (map->shared)
			return back_nameless(cap, proc, map, path, ret);
		return note(cap, map, path, "all its pages are saved: no path leads to its file any more", NULL, NULL);
	}
	err = refuse_device(cap, map, path, &st);
	if (err)
		return err < 0 ? err : 0;
	*ret = back_by_inode(cap, &st);
	if (*ret)
		return 0;
	return back_new(cap, S_ISCHR(st.st_mode) ? FD_BACK_DEVICE : FD_BACK_REGULAR, path, proc, -1, &st, ret);
}

int fd_capture_mapping(struct fd_capture *cap, const struct fd_process *proc, const struct fd_mapping *map,
                       uint32_t *ret_backing)
{
	struct fd_back *back = back_by_mapping(cap, map);
	int err = 0;

	if (!back)
		err = back_of_mapping(cap, proc, map, &back);
	if (!err && back)
		err = add_window(back, proc, map);
	if (!err)
		*ret_backing = back ? back->r.id : 0;
	return err;
}
