// SPDX-License-Identifier: LGPL-2.1-or-later
/* `stasis check`: what a target holds, what a checkpoint will do with each thing, and all that stands in its way. */
#include <string.h>

#include "base/cleanup.h"
#include "disk-option.h"
#include "findings-view.h"
#include "session.h"
#include "target.h"
#include "tcp-option.h"
#include "words.h"

static int check_show(struct session *s, const struct target *t, const struct findings *found)
{
	if (s->json) {
		json_t *target = json_pack("{s:i, s:o, s:o}", "pid", (int)t->pid, "name", words_json(t->name), "command",
					   words_json(t->command));
		return session_print_json(s, json_pack("{s:b, s:o, s:I, s:o}", "ok", found->obstacles == 0, "target", target,
						       "obstacles", (json_int_t)found->obstacles, "findings",
						       findings_json(found)));
	}
	AUTO_FREE char *title = target_title(t);
	if (!title || findings_print(found, title, "checkpointed", stdout)) {
		report_fail(s->rep, -ENOMEM, "out of memory");
		return CLI_FAILED;
	}
	return CLI_OK;
}

static int check_target(struct session *s, const char *word, const struct stasis_checkpoint_options *options)
{
	struct findings found = { 0 };
	struct target t = { 0 };
	int status = CLI_FAILED;

	int err = session_start_job(s);
	if (!err)
		err = target_find(s->rep, word, &t);
	if (!err)
		err = stasis_check(s->job, t.pid, options, &found);
	if (err) {
		session_explain(s, err, "cancelled");
		session_print_failure(s);
	} else {
		status = check_show(s, &t, &found);
	}
	if (!err && found.obstacles)
		status = CLI_FAILED;
	findings_finish(&found);
	target_finish(&t);
	return session_failed(status);
}

static int check_main(const struct cli_command *cmd, int argc, const char **argv)
{
	AUTO_FREE char *disk = NULL;
	AUTO_FREE char *tcp = NULL;
	struct args_common common = { 0 };
	struct stasis_checkpoint_options options = { 0 };
	struct poptOption table[] = {
		{ "disk", '\0', POPT_ARG_STRING, &disk, 0, "as for checkpoint: auto, copy or none", "HOW" },
		{ "tcp", '\0', POPT_ARG_STRING, &tcp, 0, "as for checkpoint: reset or repair", "HOW" },
		ARGS_JSON(&common),
		ARGS_TALK(&common),
		ARGS_HELP(&common),
		POPT_TABLEEND,
	};
	struct session s;
	struct args args;

	int status = args_parse(cmd, argc, argv, table, 0, &common, NULL, NULL, &args);
	if (status < 0)
		status = args_need_words(cmd, &args, 1, "the TARGET");
	if (status < 0)
		status = disk_option(cmd, disk, &options.disk);
	if (status < 0)
		status = tcp_option(cmd, tcp, &options.tcp);
	if (status < 0) {
		status = CLI_FAILED;
		if (!session_init(&s, cmd, &common, false)) {
			status = check_target(&s, args.words[0], &options);
			session_finish(&s);
		}
	}
	args_finish(&args);
	return status;
}

const struct cli_command cmd_check = {
	.name = "check",
	.summary = "show what a target holds and whether it can be checkpointed",
	.usage = "TARGET [OPTION...]",
	.description = "TARGET is a pid or a name (see stasis ps). Nothing is stopped or changed.\n"
		       "Ends with 0 when the target can be checkpointed, with 1 when not.\n",
	.main = check_main,
};
