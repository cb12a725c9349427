/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One run of one command: its reporter prints on the terminal, its engine job (if it needs one) reports through the same. */
#ifndef STASIS_CLI_SESSION_H
#define STASIS_CLI_SESSION_H

#include <jansson.h>

#include "args.h"
#include "command.h"
#include "plugin/directory.h"
#include "stasis.h"
#include "term.h"

/* What all processes of a job have in common: the engine works in children of ours, and they talk, too. */
struct session_shared {
	struct term term;
	bool muted;        /* the terminal is the target's: no bar any more */
	size_t used;       /* of `errors` */
	char errors[8192]; /* what was said as an error, one NUL-terminated text after the other, as far as it fits */
};

struct session {
	const struct cli_command *cmd;
	struct reporter *rep; /* `own`, or the job's once there is one */
	struct reporter own;
	struct stasis_job *job;
	struct fd_claim *claims; /* what is known of hardware without a plugin, lent to the job */
	struct plugin_list plugins;
	struct session_shared *shared;
	uint64_t begin_us; /* of the stopwatch, for the times of debugging messages */
	bool json;
};

/* Returns 0 or -ENOMEM, worded. To be given back with session_finish. `bar`: show progress on a terminal. */
int session_init(struct session *s, const struct cli_command *cmd, const struct args_common *common, bool bar);

/* The plugins there are: built in, then those of STASIS_PLUGINS (or the directory that stasis was installed with). Loaded once; what
 * cannot be loaded is warned about. Borrowed. */
const struct stasis_plugin *const *session_plugins(struct session *s, size_t *ret_n);

/* Makes s->job, which knows the plugins, reports through the session and is cancelled by signals from now on (see cancel.h).
 * STASIS_FAULT in the environment arms fault points. Returns 0 or -ENOMEM, worded. */
int session_start_job(struct session *s);

void session_finish(struct session *s);

/* Takes the progress bar away for good. */
void session_mute(struct session *s);

/* Says why the work failed with `err` when nobody has said it yet: `cancelled` after -ECANCELED, else what the errno means. */
void session_explain(struct session *s, int err, const char *cancelled);

/* The exit status for a piece of work that failed: 128 + signal when it was cancelled, else `status`. */
int session_failed(int status);

/* Takes the bar away, and prints {"ok": false, "errors": [...]} when --json was said. */
void session_print_failure(struct session *s);

/* Prints and gives back `value` (NULL = memory was short, which is said). Returns CLI_OK or CLI_FAILED. */
int session_print_json(struct session *s, json_t *value);

#endif
