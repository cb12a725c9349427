/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Inside of the unix sockets: the place a name is bound at, and the callbacks of the restoring half. */
#ifndef STASIS_FD_SOCK_UNIX_H
#define STASIS_FD_SOCK_UNIX_H

#include <limits.h>
#include <sys/un.h>

#include "fd/fd-sock.h"

/* Where a unix socket is bound at restart. Lives in file->own_ptr, so it owns nothing. */
struct unix_place {
	struct sockaddr_un address; /* as given to bind: relative names stay relative */
	socklen_t size;             /* of the above */
	bool is_path;
	char dir[PATH_MAX];    /* to be in while binding; "" = anywhere */
	char path[PATH_MAX];   /* of the file, absolute unless the name is */
	char aside[PATH_MAX];  /* where the stale file went that was in the way; "" = there was none */
	dev_t dev;             /* of the file we made; 0 = none made */
	ino_t ino;
	bool unlink_at_commit; /* the recorded one was unlinked, too */
};

/* Works the place out (through the user's map) and, with a verdict, says what stands in its way. Changes nothing but
 * file->own_ptr. Returns 0 or a negative errno. */
int unix_place_plan(struct fd_plan *plan, struct fd_file *file, struct fd_verdict *v);

/* Binds fd there, setting a stale file aside, and gives the file its mode and owner. Returns 0 or a negative errno, worded. */
int unix_place_bind(struct fd_plan *plan, struct fd_file *file, int fd);

/* Connects fd to what is bound there. Returns 0 or a negative errno, not worded. */
int unix_place_connect(const struct fd_file *file, int fd);

int unix_place_commit(struct fd_plan *plan, struct fd_file *file);
void unix_place_abandon(struct fd_file *file);

/* Whether somebody is bound to this path: a datagram socket connects to it, which the other side does not notice. Returns 1, 0
 * (the file is stale or none), or a negative errno. */
int unix_path_alive(const char *path);

/* "/path" (relative ones stay so) or "@abstract" as an address. Returns 0, or -ENAMETOOLONG when it is empty or does not fit. */
int unix_address(const char *name, struct sockaddr_un *ret_address, socklen_t *ret_size);

int unix_plan(struct fd_plan *plan, struct fd_file *file, struct fd_verdict *v);
int unix_prepare(struct fd_plan *plan, struct fd_file *file);
int unix_install(struct fd_plan *plan, struct fd_file *file, uint32_t process);
int unix_commit(struct fd_plan *plan, struct fd_file *file);
void unix_abandon(struct fd_plan *plan, struct fd_file *file);

#endif
