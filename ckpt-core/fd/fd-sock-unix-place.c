/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names of unix sockets at restart: where a name goes on this host, whether it is free, and how it is bound so that a restart
 * that fails leaves everything as it was.
 *
 * Order: the name that getsockname shows is the text given to bind, so that a socket cannot be bound aside and moved to its
 * place. A stale file is therefore renamed first; abandon puts it back, commit removes it. */
#include "fd/fd-sock-unix.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define STALE ".stasis-stale" /* behind the name of what is set aside */

/* net/unix/af_unix.c, unix_find_bsd: nobody bound is ECONNREFUSED, somebody of another type EPROTOTYPE, and a datagram socket
 * learns nothing from being connected to. */
int unix_path_alive(const char *path)
{
	AUTO_CLOSE int probe = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	AUTO_CLOSE int file = open(path, O_PATH | O_CLOEXEC);
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (file < 0 || probe < 0)
		return errno == ENOENT ? 0 : -errno;
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d", file);
	if (!connect(probe, (struct sockaddr *)&address, sizeof(address)))
		return 1;
	return errno == EPROTOTYPE || errno == EPERM ? 1 : errno == ECONNREFUSED ? 0 : -errno;
}

int unix_address(const char *name, struct sockaddr_un *ret_address, socklen_t *ret_size)
{
	size_t n = strlen(name);

	if (n == 0 || n > sizeof(ret_address->sun_path))
		return -ENAMETOOLONG;
	*ret_address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(ret_address->sun_path, name, n);
	if (name[0] == '@')
		ret_address->sun_path[0] = '\0';
	else if (n < sizeof(ret_address->sun_path)) /* Linux lets a path fill sun_path and leave no room for its NUL */
		n++;
	*ret_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
	return 0;
}

static int set_name(struct unix_place *place, const char *name)
{
	int err = unix_address(name, &place->address, &place->size);

	if (!err)
		place->is_path = name[0] != '@';
	return err;
}

static int join(char out[PATH_MAX], const char *dir, const char *name)
{
	int n = snprintf(out, PATH_MAX, "%s%s%s", *dir && name[0] != '/' ? dir : "", *dir && name[0] != '/' ? "/" : "", name);

	return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

/* NEW of --map: "/path" or "@abstract", either after "unix:". */
static int set_mapped(struct unix_place *place, const char *to)
{
	int err;

	if (!strncmp(to, "unix:", 5))
		to += 5;
	err = set_name(place, to);
	return err ? err : join(place->path, "", place->is_path ? to : "");
}

/* --map socket:unix:/old=/new by the whole name, else --map file:/dir=/dir2 for where it lies. */
static int locate(struct fd_plan *plan, const struct fd_file *file, struct unix_place *place)
{
	const struct sock_state *s = file->state;
	char name[sizeof(place->address.sun_path) + 1], whole[PATH_MAX + 8];
	AUTO_FREE char *owned = NULL;
	const char *to = NULL;
	bool mapped;
	int err;

	if (!sock_address_path(s->local.data, s->local.size, name)) {
		to = plan->o.map ? resource_map_find(plan->o.map, "socket", s->local_text ? s->local_text : "") : NULL;
		if (to)
			return set_mapped(place, to);
		if (s->local.size > sizeof(place->address))
			return -ENAMETOOLONG;
		memcpy(&place->address, s->local.data, s->local.size);
		place->size = (socklen_t)s->local.size;
		return 0;
	}
	err = join(place->path, s->dir && *name != '/' ? s->dir : "", name);
	if (err)
		return err;
	snprintf(whole, sizeof(whole), "unix:%s", place->path);
	if (plan->o.map)
		to = resource_map_ask(plan->o.map, "socket", whole);
	if (to)
		return set_mapped(place, to);
	const char *where = *name == '/' ? name : s->dir ? s->dir : ".";
	err = fd_plan_path(plan, where, &owned, &mapped);
	if (err)
		return err;
	to = owned ? owned : where;
	if (*name == '/')
		return set_name(place, to) ?: join(place->path, "", to);
	return set_name(place, name) ?: join(place->dir, "", to) ?: join(place->path, to, name);
}

static void check_directory(const struct unix_place *place, struct fd_verdict *v)
{
	AUTO_FREE char *dir = strdup(place->path);
	char *slash = dir ? strrchr(dir, '/') : NULL;

	if (!dir) {
		v->err = -ENOMEM;
		return;
	}
	if (slash)
		slash[slash == dir ? 1 : 0] = '\0';
	if (!faccessat(AT_FDCWD, slash ? dir : ".", W_OK | X_OK, AT_EACCESS))
		return;
	fd_verdict_obstacle(v, "make the directory, or name another path with --map socket:unix:OLD=NEW",
			    "the socket %s cannot be made: %s", place->path, strerror(errno));
}

static void check_path(const struct unix_place *place, struct fd_verdict *v)
{
	struct stat st;

	if (lstat(place->path, &st)) {
		check_directory(place, v);
		return;
	}
	if (!S_ISSOCK(st.st_mode)) {
		fd_verdict_obstacle(v, "move it away, or name another path with --map socket:unix:OLD=NEW",
				    "%s is needed for a socket, but something else is there", place->path);
		return;
	}
	int alive = unix_path_alive(place->path);
	if (alive > 0)
		fd_verdict_obstacle(v, "stop who uses it (the original?), or name another path with --map socket:unix:OLD=NEW",
				    "the socket %s is in use", place->path);
	else if (alive < 0)
		fd_verdict_obstacle(v, "remove it, or name another path with --map socket:unix:OLD=NEW",
				    "whether the socket %s is in use cannot be told: %s", place->path, strerror(-alive));
	else
		check_directory(place, v);
}

static void check_abstract(const struct fd_file *file, const struct unix_place *place, struct fd_verdict *v)
{
	const struct sock_state *s = file->state;
	AUTO_CLOSE int probe = socket(AF_UNIX, (int)s->type | SOCK_CLOEXEC, 0);

	if (probe >= 0 && bind(probe, (const struct sockaddr *)&place->address, place->size) && errno == EADDRINUSE)
		fd_verdict_obstacle(v, "stop who uses it (the original?), or name another with --map socket:unix:@OLD=@NEW",
				    "the abstract socket %s is in use", s->local_text ? s->local_text : "");
}

int unix_place_plan(struct fd_plan *plan, struct fd_file *file, struct fd_verdict *v)
{
	const struct sock_state *s = file->state;
	struct unix_place *place = calloc(1, sizeof(*place));
	int err;

	if (!place)
		return -ENOMEM;
	free(file->own_ptr);
	file->own_ptr = place;
	place->is_path = ((const struct sockaddr_un *)s->local.data)->sun_path[0] != '\0';
	place->unlink_at_commit = s->unlinked;
	err = locate(plan, file, place);
	if (err == -ENAMETOOLONG) {
		fd_verdict_obstacle(v, "name a shorter path with --map socket:unix:OLD=NEW",
				    "the new name of the socket %s is empty or longer than 108 characters",
				    s->local_text ? s->local_text : "");
		return 0;
	}
	if (err || !v || s->unlinked)
		return err;
	if (place->is_path)
		check_path(place, v);
	else
		check_abstract(file, place, v);
	return 0;
}

/* Calls bind or connect with the place's address, in its directory. */
static int in_place(const struct unix_place *place, int fd, int (*call)(int, const struct sockaddr *, socklen_t))
{
	AUTO_CLOSE int back = -1;
	int err = 0;

	if (place->dir[0]) {
		back = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (back < 0 || chdir(place->dir))
			return -errno;
	}
	if (call(fd, (const struct sockaddr *)&place->address, place->size))
		err = -errno;
	if (back >= 0 && fchdir(back))
		return -errno;
	return err;
}

static int call_bind(int fd, const struct sockaddr *address, socklen_t size)
{
	return bind(fd, address, size);
}

static int call_connect(int fd, const struct sockaddr *address, socklen_t size)
{
	return connect(fd, address, size);
}

int unix_place_connect(const struct fd_file *file, int fd)
{
	const struct unix_place *place = file->own_ptr;

	return place ? in_place(place, fd, call_connect) : -EDESTADDRREQ;
}

/* A socket that nobody is bound to any more. */
static bool is_stale(const char *path)
{
	struct stat st;

	return !lstat(path, &st) && S_ISSOCK(st.st_mode) && unix_path_alive(path) == 0;
}

static int set_stale_aside(struct unix_place *place)
{
	char aside[PATH_MAX];

	if (!is_stale(place->path))
		return -EADDRINUSE;
	int n = snprintf(aside, sizeof(aside), "%s" STALE, place->path); /* over one that a killed restart has left */
	if (n < 0 || n >= (int)sizeof(aside))
		return -ENAMETOOLONG;
	if (rename(place->path, aside))
		return -errno;
	memcpy(place->aside, aside, sizeof(aside));
	return 0;
}

/* What a restart that was killed has set aside, before it could put anything in its place, goes when this one is well. */
static void find_left_aside(struct unix_place *place)
{
	char aside[PATH_MAX];
	int n = snprintf(aside, sizeof(aside), "%s" STALE, place->path);

	if (!place->aside[0] && n > 0 && n < (int)sizeof(aside) && is_stale(aside))
		memcpy(place->aside, aside, sizeof(aside));
}

/* The target's own path was gone already: any name will do, only a listening socket needs one. */
static int bind_anywhere(int fd)
{
	struct sockaddr_un any = { .sun_family = AF_UNIX };

	return bind(fd, (struct sockaddr *)&any, sizeof(any.sun_family)) ? -errno : 0;
}

static void dress(struct fd_plan *plan, const struct fd_file *file, const struct unix_place *place)
{
	const struct sock_state *s = file->state;
	struct stat st;

	if (lstat(place->path, &st))
		return;
	if ((st.st_uid != s->uid || st.st_gid != s->gid) && lchown(place->path, s->uid, s->gid))
		report_warn(plan->rep, "socket %s: its owner %u:%u could not be set: %s", place->path, s->uid, s->gid,
			    strerror(errno));
	if (chmod(place->path, s->mode & 07777))
		report_warn(plan->rep, "socket %s: its mode %04o could not be set: %s", place->path, s->mode & 07777,
			    strerror(errno));
}

int unix_place_bind(struct fd_plan *plan, struct fd_file *file, int fd)
{
	const struct sock_state *s = file->state;
	struct unix_place *place = file->own_ptr;
	struct stat st;
	int err = in_place(place, fd, call_bind);

	if (err == -EADDRINUSE && place->is_path && !s->unlinked) {
		err = set_stale_aside(place);
		if (!err)
			err = in_place(place, fd, call_bind);
	}
	if (err && s->unlinked)
		return bind_anywhere(fd);
	if (err)
		return report_fail(plan->rep, err,
				   "socket %s cannot be bound again: %s; name another with --map socket:unix:OLD=NEW",
				   s->local_text ? s->local_text : place->path, strerror(-err));
	if (!place->is_path || lstat(place->path, &st))
		return 0;
	place->dev = st.st_dev;
	place->ino = st.st_ino;
	find_left_aside(place);
	if (!s->unlinked)
		dress(plan, file, place);
	return 0;
}

static void remove_own(const struct unix_place *place)
{
	struct stat st;

	if (place->ino && !lstat(place->path, &st) && st.st_dev == place->dev && st.st_ino == place->ino)
		unlink(place->path);
}

int unix_place_commit(struct fd_plan *plan, struct fd_file *file)
{
	struct unix_place *place = file->own_ptr;

	if (!place)
		return 0;
	if (place->aside[0] && unlink(place->aside))
		report_warn(plan->rep, "the stale socket %s could not be removed: %s", place->aside, strerror(errno));
	place->aside[0] = '\0';
	if (place->unlink_at_commit)
		remove_own(place);
	place->ino = 0;
	return 0;
}

void unix_place_abandon(struct fd_file *file)
{
	struct unix_place *place = file->own_ptr;

	if (!place)
		return;
	remove_own(place);
	if (place->aside[0] && renameat2(AT_FDCWD, place->aside, AT_FDCWD, place->path, RENAME_NOREPLACE))
		unlink(place->aside); /* somebody else has bound there meanwhile */
	place->aside[0] = '\0';
	place->ino = 0;
}
