/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* `stasis restart --clones N`: the same image, N times at once. */
#ifndef STASIS_CLI_CLONES_H
#define STASIS_CLI_CLONES_H

#include "restart-plan.h"

#define CLONES_MAX 10000

/* A copy of `text` with every "{n}" replaced by the number; NULL when memory is short. */
char *clones_word(const char *text, unsigned number);

/* Starts clones 1 to a->clones, some at a time, each by `start` in a process of its own, with arguments in which "{n}" is its
 * number. All of them, or none: if one fails those that run are ended. Returns the exit status. */
int clones_start(const struct cli_command *cmd, struct restart_args *a, const struct stasis_restart_options *options,
                 int (*start)(const struct cli_command *cmd, struct restart_args *a, struct stasis_restart_options *options));

/* In a clone that is ready: waits until all are. Returns 0, or -ECANCELED: then this one has to go. */
int clones_gate(struct restart_args *a, const struct reporter *rep);

/* In a clone: tells the pid of its target, so that it can be ended. */
void clones_tell(const struct restart_args *a, pid_t pid);

#endif
