/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `restart --detach`: the work is done by a process in a session of its own, which stays as the target's parent; the one that
 * was called waits for its result and returns it. */
#ifndef STASIS_CLI_DETACH_H
#define STASIS_CLI_DETACH_H

#include "base/report.h"

struct detach {
	int fd; /* to the process that was called; -1 when there is none */
};

/* Goes on as the detached process, with -1; in the process that was called, returns its exit status once the other has said it.
 * `*ret` is valid in the former only, which keeps no other descriptor than `*keep` (its number may change; -1: it could not be kept;
 * `keep` may be NULL). Both keep the caller's standard streams until then. */
int detach_start(struct reporter *rep, int *keep, struct detach *ret);

/* Tells the process that was called its exit status, then lets go of the caller's streams and directory. Does nothing when
 * d->fd is -1. */
void detach_done(struct detach *d, int status);

#endif
