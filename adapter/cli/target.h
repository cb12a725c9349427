/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finds the process that a TARGET on the command line means: a pid, or a name that `run` or `restart` gave. */
#ifndef STASIS_CLI_TARGET_H
#define STASIS_CLI_TARGET_H

#include <sys/types.h>

#include "base/report.h"

struct target {
	pid_t pid;
	char *name;    /* NULL when it has none */
	char *command; /* as it was called */
};

/* Returns 0 or a negative errno, worded. To be given back with target_finish. */
int target_find(struct reporter *rep, const char *text, struct target *ret);
void target_finish(struct target *t);

/* How to call it in messages: "NAME (pid 12)" or "pid 12". Owned by the caller, NULL when memory is short. */
char *target_title(const struct target *t);

#endif
