/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The hooks of one command: which events there are, what the hooks are told, and what a plan hook may answer. See
 * stasis-hook(5). */
#ifndef STASIS_CLI_HOOKS_H
#define STASIS_CLI_HOOKS_H

#include <jansson.h>

#include "args.h"
#include "base/findings.h"
#include "base/map.h"
#include "session.h"

struct hooks {
	VEC(char *) programs;
	const char *timeout; /* what is said; NULL: nothing */
	uint64_t timeout_ms;
	unsigned clone; /* the number of the clone that is restarted; 0: none */
};
#define HOOKS_INIT { .timeout_ms = 10000 }

/* --hook is a row of the table with a val, which goes to hooks_add; --hook-timeout must be looked at by hooks_timeout_option. */
#define HOOKS_OPTIONS(h, val)                                                                              \
	{ "hook", '\0', POPT_ARG_STRING, NULL, val,                                                        \
	  "call this program at every event, see man 5 stasis-hook; can be repeated", "PROGRAM" },         \
	{ "hook-timeout", '\0', POPT_ARG_STRING, &(h)->timeout, 0,                                         \
	  "kill a hook that runs for longer (default 10s)", "TIME" }

/* Both return -1 to go on, or CLI_USAGE. */
int hooks_add(const struct cli_command *cmd, struct hooks *h, const char *program);
int hooks_timeout_option(const struct cli_command *cmd, struct hooks *h);

void hooks_finish(struct hooks *h);

enum hooks_event {
	HOOKS_BEFORE_CHECKPOINT,
	HOOKS_AFTER_CHECKPOINT,
	HOOKS_PLAN,
	HOOKS_RECONNECT,
	HOOKS_AFTER_RESTART,
	HOOKS_FAILED
};

/* What they are told besides the event. All borrowed; NULL and 0 = not known (yet). */
struct hooks_about {
	const char *image, *name;
	pid_t pid;
	bool stop;                       /* of a checkpoint */
	const struct findings *findings; /* of a restart */
	struct resource_map *map;        /* likewise; plan hooks add to it */
};

/* Calls the hooks in the order of the command line. The first that fails ends it before a checkpoint, in a plan and at a
 * reconnect; elsewhere it is only warned of. Returns 0, -ECANCELED (not worded) or a negative errno, worded. */
int hooks_run(struct session *s, const struct hooks *h, enum hooks_event event, const struct hooks_about *about);

#endif
