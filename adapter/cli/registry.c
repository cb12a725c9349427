// SPDX-License-Identifier: LGPL-2.1-or-later
/* The names of this user's targets. Writers hold a lock on the directory; an entry appears by rename, so readers see it whole
 * or not at all. */
#include "registry.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "process.h"
#include "words.h"

enum liveness { ENTRY_LIVES, ENTRY_GONE, ENTRY_FOREIGN };

/* ---- the directory ---- */

static int registry_path(char **ret, bool *ret_chosen)
{
	const char *chosen = getenv("STASIS_RUNTIME_DIR"), *xdg = getenv("XDG_RUNTIME_DIR");
	char *path;
	int n;

	*ret_chosen = chosen && *chosen;
	if (*ret_chosen)
		n = asprintf(&path, "%s", chosen);
	else if (geteuid() == 0)
		n = asprintf(&path, "/run/stasis");
	else if (xdg && *xdg == '/')
		n = asprintf(&path, "%s/stasis", xdg);
	else
		n = asprintf(&path, "/tmp/stasis-%u", (unsigned)geteuid());
	if (n < 0)
		return -ENOMEM;
	*ret = path;
	return 0;
}

/* Others must not be able to put entries there: a name would then lead to a process of theirs. A directory that the user chose
 * may be readable for others, one that we chose has no reason to be. */
static int registry_check(struct reporter *rep, const char *path, int fd, bool chosen)
{
	struct stat st;

	if (fstat(fd, &st))
		return report_fail(rep, -errno, "%s: %s", path, strerror(errno));
	if (st.st_uid != geteuid())
		return report_fail(rep, -EPERM,
				   "%s belongs to user %u, not to you; set STASIS_RUNTIME_DIR to a directory of yours", path,
				   (unsigned)st.st_uid);
	if (st.st_mode & (chosen ? 022 : 077))
		return report_fail(rep, -EPERM, "%s is open to other users (mode %04o); chmod 700 %s", path,
				   (unsigned)st.st_mode & 07777, path);
	return 0;
}

int registry_open(struct reporter *rep, bool make, struct registry *ret)
{
	AUTO_FREE char *path = NULL;
	bool chosen;
	int err = registry_path(&path, &chosen);

	if (err)
		return report_fail(rep, err, "out of memory");
	if (make && mkdir(path, 0700) && errno != EEXIST)
		return report_fail(rep, -errno, "cannot make %s, where names of targets are kept: %s; set STASIS_RUNTIME_DIR",
				   path, strerror(errno));
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && !(errno == ENOENT && !make))
		return report_fail(rep, -errno, "cannot open %s, where names of targets are kept: %s; set STASIS_RUNTIME_DIR",
				   path, strerror(errno));
	if (fd >= 0 && (err = registry_check(rep, path, fd, chosen)))
		return err;
	*ret = (struct registry){ .rep = rep, .path = STEAL_PTR(path), .dirfd = STEAL_FD(fd) };
	return 0;
}

void registry_close(struct registry *reg)
{
	if (reg->path && reg->dirfd >= 0)
		close(reg->dirfd);
	free(reg->path);
	*reg = (struct registry){ .dirfd = -1 };
}

/* ---- names ---- */

static bool name_character(char c)
{
	return isalnum((unsigned char)c) || strchr("._-", c);
}

bool registry_name_valid(const char *name)
{
	size_t n = strlen(name);

	if (!n || n > REGISTRY_NAME_MAX || *name == '.' || *name == '-' || strspn(name, "0123456789") == n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!name_character(name[i]))
			return false;
	return true;
}

char *registry_name_from(const char *text)
{
	char *name = malloc(REGISTRY_NAME_MAX + 1);
	size_t n = 0;

	if (!name)
		return NULL;
	text += strspn(text, ".-");
	if (strspn(text, "0123456789") == strlen(text))
		n = (size_t)sprintf(name, "target%s", *text ? "-" : "");
	for (; *text && n < REGISTRY_NAME_MAX - 8; text++)
		name[n++] = name_character(*text) ? *text : '-';
	name[n] = '\0';
	return name;
}

/* ---- one entry ---- */

void registry_entry_finish(struct registry_entry *entry)
{
	free(entry->name);
	free(entry->boot_id);
	free(entry->command);
	free(entry->image);
	*entry = (struct registry_entry){ 0 };
}

int registry_identify(pid_t pid, struct registry_entry *entry)
{
	AUTO_FREE char *boot_id = NULL;
	struct proc_stat st;
	struct stat ns;

	int err = io_read_filef(&boot_id, NULL, "/proc/sys/kernel/random/boot_id");
	if (!err)
		err = process_stat(pid, &st);
	if (!err && stat("/proc/self/ns/pid", &ns))
		err = -errno;
	if (err)
		return err;
	boot_id[strcspn(boot_id, "\n")] = '\0';
	free(entry->boot_id);
	entry->boot_id = STEAL_PTR(boot_id);
	entry->pid = pid;
	entry->starttime = st.starttime;
	entry->pid_ns = ns.st_ino;
	entry->since = time(NULL);
	return 0;
}

static enum liveness entry_liveness(const struct registry_entry *entry)
{
	struct registry_entry now = { 0 };
	struct proc_stat st;
	enum liveness live = ENTRY_GONE;

	if (registry_identify(getpid(), &now))
		return ENTRY_FOREIGN;
	if (strcmp(entry->boot_id, now.boot_id))
		live = ENTRY_GONE;
	else if (entry->pid_ns != now.pid_ns)
		live = ENTRY_FOREIGN;
	else if (!process_stat(entry->pid, &st) && st.starttime == entry->starttime)
		live = ENTRY_LIVES;
	registry_entry_finish(&now);
	return live;
}

static int entry_read(struct registry *reg, const char *name, struct registry_entry *ret)
{
	AUTO_FREE char *text = NULL;
	char file[REGISTRY_NAME_MAX + 8];
	const char *boot_id, *command = NULL, *image = NULL;
	json_int_t pid, starttime, pid_ns, since, keeper = 0;

	snprintf(file, sizeof(file), "%s.json", name);
	int err = reg->dirfd < 0 ? -ENOENT : io_read_file_at(reg->dirfd, file, &text, NULL);
	if (err)
		return err;
	json_t *value = json_loads(text, 0, NULL);
	struct registry_entry entry = { 0 };
	if (!value ||
	    json_unpack(value, "{s:I, s:I, s:s, s:I, s:I, s?s, s?s, s?I}", "pid", &pid, "starttime", &starttime, "boot_id",
			&boot_id, "pid_ns", &pid_ns, "since", &since, "command", &command, "image", &image, "keeper", &keeper))
		err = -EBADMSG;
	else {
		entry = (struct registry_entry){ .pid = (pid_t)pid,
						 .starttime = (uint64_t)starttime,
						 .pid_ns = (uint64_t)pid_ns,
						 .since = since,
						 .keeper = (pid_t)keeper };
		entry.name = strdup(name);
		entry.boot_id = strdup(boot_id);
		entry.command = command ? strdup(command) : NULL;
		entry.image = image ? strdup(image) : NULL;
		if (!entry.name || !entry.boot_id || (command && !entry.command) || (image && !entry.image))
			err = -ENOMEM;
	}
	json_decref(value);
	if (err)
		registry_entry_finish(&entry);
	else
		*ret = entry;
	return err;
}

static int entry_write(struct registry *reg, const struct registry_entry *entry)
{
	char file[REGISTRY_NAME_MAX + 8], aside[REGISTRY_NAME_MAX + 8];
	json_t *value = json_pack("{s:s, s:I, s:I, s:s, s:I, s:I, s:o, s:o*, s:I}", "name", entry->name, "pid",
				  (json_int_t)entry->pid, "starttime", (json_int_t)entry->starttime, "boot_id", entry->boot_id,
				  "pid_ns", (json_int_t)entry->pid_ns, "since", (json_int_t)entry->since, "command",
				  words_json(entry->command ? entry->command : ""), "image",
				  entry->image ? words_json(entry->image) : NULL, "keeper", (json_int_t)entry->keeper);
	AUTO_FREE char *text = value ? json_dumps(value, JSON_INDENT(2)) : NULL;

	json_decref(value);
	if (!text)
		return report_fail(reg->rep, -ENOMEM, "out of memory");
	snprintf(file, sizeof(file), "%s.json", entry->name);
	snprintf(aside, sizeof(aside), ".%s", entry->name);
	AUTO_CLOSE int fd = openat(reg->dirfd, aside, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	int err = fd < 0 ? -errno : io_write_all(fd, text, strlen(text));
	if (!err && renameat(reg->dirfd, aside, reg->dirfd, file))
		err = -errno;
	if (!err)
		return 0;
	unlinkat(reg->dirfd, aside, 0);
	return report_fail(reg->rep, err, "cannot write %s/%s: %s", reg->path, file, strerror(-err));
}

/* ---- entries ---- */

/* Whether the name is free, when called with the lock held. `ret_holder` is filled when it is not. */
static bool name_is_free(struct registry *reg, const char *name, struct registry_entry *ret_holder)
{
	struct registry_entry holder = { 0 };

	if (entry_read(reg, name, &holder))
		return true;
	if (entry_liveness(&holder) == ENTRY_GONE) {
		registry_entry_finish(&holder);
		return true;
	}
	*ret_holder = holder;
	return false;
}

static int refuse_name(struct registry *reg, const struct registry_entry *holder)
{
	if (entry_liveness(holder) == ENTRY_FOREIGN)
		return report_fail(reg->rep, -EEXIST,
				   "the name %s is taken by a process of another pid namespace; choose another "
				   "--name, or remove %s/%s.json",
				   holder->name, reg->path, holder->name);
	return report_fail(reg->rep, -EEXIST, "the name %s is taken by pid %d; choose another --name", holder->name,
			   holder->pid);
}

int registry_add(struct registry *reg, struct registry_entry *entry, bool numbered)
{
	struct registry_entry holder = { 0 };
	AUTO_FREE char *name = strdup(entry->name);
	int err = 0;

	/* A lock on an own description of the directory: it goes when the descriptor is closed, whatever happens. */
	AUTO_CLOSE int lock = openat(reg->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (!name)
		return report_fail(reg->rep, -ENOMEM, "out of memory");
	if (lock < 0 || flock(lock, LOCK_EX))
		return report_fail(reg->rep, -errno, "cannot lock %s: %s", reg->path, strerror(errno));
	for (unsigned n = 2; !err && !name_is_free(reg, name, &holder); n++) {
		char *next = NULL;
		if (!numbered)
			err = refuse_name(reg, &holder);
		else if (asprintf(&next, "%.*s-%u", REGISTRY_NAME_MAX - 12, entry->name, n) < 0)
			err = report_fail(reg->rep, -ENOMEM, "out of memory");
		registry_entry_finish(&holder);
		if (!err) {
			free(name);
			name = next;
		}
	}
	if (err)
		return err;
	free(entry->name);
	entry->name = STEAL_PTR(name);
	return entry_write(reg, entry);
}

void registry_remove(struct registry *reg, const char *name, pid_t pid)
{
	struct registry_entry entry = { 0 };
	char file[REGISTRY_NAME_MAX + 8];

	if (reg->dirfd < 0)
		return;
	AUTO_CLOSE int lock = openat(reg->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (lock < 0 || flock(lock, LOCK_EX) || entry_read(reg, name, &entry))
		return;
	if (entry.pid == pid) {
		snprintf(file, sizeof(file), "%s.json", name);
		unlinkat(reg->dirfd, file, 0);
	}
	registry_entry_finish(&entry);
}

static int compare_entries(const void *a, const void *b)
{
	return strcmp(((const struct registry_entry *)a)->name, ((const struct registry_entry *)b)->name);
}

/* Puts the entry of one directory item on the list if its process lives. */
static int list_item(struct registry *reg, const char *file, bool sweep, struct registry_list *list)
{
	char name[REGISTRY_NAME_MAX + 1];
	size_t n = strlen(file);
	struct registry_entry entry = { 0 };

	if (n < 6 || n - 5 > REGISTRY_NAME_MAX || strcmp(file + n - 5, ".json"))
		return 0;
	memcpy(name, file, n - 5);
	name[n - 5] = '\0';
	if (!registry_name_valid(name))
		return 0;
	int err = entry_read(reg, name, &entry);
	if (err == -EBADMSG)
		report_warn(reg->rep, "%s/%s is no entry of a target; remove it", reg->path, file);
	if (err)
		return err == -ENOMEM ? err : 0;
	enum liveness live = entry_liveness(&entry);
	if (live == ENTRY_LIVES && !(err = vec_push(&list->list, entry)))
		return 0;
	if (live == ENTRY_GONE && sweep)
		registry_remove(reg, name, entry.pid);
	registry_entry_finish(&entry);
	return err;
}

int registry_list(struct registry *reg, bool sweep, struct registry_list *ret)
{
	struct registry_list list = { 0 };
	struct dirent *item;
	int err = 0;

	if (reg->dirfd < 0) {
		*ret = list;
		return 0;
	}
	int fd = openat(reg->dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO_CLOSEDIR DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		err = -errno;
		if (fd >= 0)
			close(fd);
		return report_fail(reg->rep, err, "cannot list %s: %s", reg->path, strerror(-err));
	}
	while (!err && (item = readdir(dir)))
		err = list_item(reg, item->d_name, sweep, &list);
	if (err) {
		registry_list_finish(&list);
		return report_fail(reg->rep, err, "out of memory");
	}
	if (list.list.n)
		qsort(list.list.items, list.list.n, sizeof(*list.list.items), compare_entries);
	*ret = list;
	return 0;
}

void registry_list_finish(struct registry_list *list)
{
	vec_each(&list->list, it)
		registry_entry_finish(it);
	vec_finish(&list->list);
}

int registry_find(struct registry *reg, const char *name, struct registry_entry *ret)
{
	struct registry_entry entry = { 0 };
	int err = entry_read(reg, name, &entry);

	if (err)
		return err == -ENOMEM ? report_fail(reg->rep, err, "out of memory") : -ENOENT;
	if (entry_liveness(&entry) != ENTRY_LIVES) {
		registry_entry_finish(&entry);
		return -ENOENT;
	}
	*ret = entry;
	return 0;
}

int registry_find_pid(struct registry *reg, pid_t pid, struct registry_entry *ret)
{
	struct registry_list list = { 0 };
	int err = registry_list(reg, false, &list);

	if (err)
		return err;
	err = -ENOENT;
	vec_each(&list.list, it) {
		if (it->pid != pid)
			continue;
		*ret = *it;
		*it = (struct registry_entry){ 0 };
		err = 0;
		break;
	}
	registry_list_finish(&list);
	return err;
}
