// SPDX-License-Identifier: LGPL-2.1-or-later
/* `stasis run`: gives a program a name and becomes that program. Being the very same process, it has the terminal, signals
 * and exit status of the program by nature. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "bwlimit-option.h"
#include "every.h"
#include "recorder-path.h"
#include "registry.h"
#include "session.h"

static char *join_words(const char **words)
{
	size_t size = 1;

	for (int i = 0; words[i]; i++)
		size += strlen(words[i]) + 1;
	char *text = malloc(size), *end = text;
	if (!text)
		return NULL;
	*end = '\0';
	for (int i = 0; words[i]; i++)
		end += sprintf(end, "%s%s", i ? " " : "", words[i]);
	return text;
}

/* Writes the entry of this process under `name`, or under a name made of the program's. */
static int run_register(struct registry *reg, const char *name, const char **words, char **ret_name)
{
	const char *slash = strrchr(words[0], '/');
	struct registry_entry entry = { .command = join_words(words) };

	entry.name = name ? strdup(name) : registry_name_from(slash ? slash + 1 : words[0]);
	int err = entry.name && entry.command ? registry_identify(getpid(), &entry) : -ENOMEM;
	if (err)
		report_fail(reg->rep, err, "cannot register the target: %s", strerror(-err));
	else
		err = registry_add(reg, &entry, !name);
	if (!err)
		*ret_name = STEAL_PTR(entry.name);
	registry_entry_finish(&entry);
	return err;
}

/* Puts the recorder in front of whatever else is to be preloaded. Without it everything works but hardware that needs it. */
static void run_preload(struct session *s)
{
	const char *others = getenv("LD_PRELOAD");
	AUTO_FREE char *path = recorder_path(), *value = NULL;

	if (!path) {
		report_warn(s->rep, "%s is not found: virtual machines of KVM cannot be checkpointed; install stasis completely", RECORDER_LIBRARY);
		return;
	}
	if (asprintf(&value, "%s%s%s", path, others && *others ? ":" : "", others ? others : "") < 0) {
		value = NULL;
		return;
	}
	setenv("LD_PRELOAD", value, 1);
}

/* Returns only when the program cannot be started. */
static int run_program(struct session *s, const char **words, bool record)
{
	if (record)
		run_preload(s);
	/* Under Yama's ptrace_scope 1 only parents may trace; this lets a later `stasis checkpoint` of the same user do so. It
	 * is kept over exec (Documentation/admin-guide/LSM/Yama.rst); without Yama it fails, which does not matter. */
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
	execvp(words[0], (char **)words);
	int err = errno;
	report_fail(s->rep, -err, "%s: %s", words[0],
		    err == ENOENT && !strchr(words[0], '/') ? "command not found" : strerror(err));
	return err == ENOENT ? CLI_NOT_FOUND : CLI_CANNOT_RUN;
}

static int run_main(const struct cli_command *cmd, int argc, const char **argv)
{
	AUTO_FREE char *name = NULL, *registered = NULL, *period = NULL, *prefix = NULL, *bwlimit = NULL;
	struct every every = { 0 };
	int keep = 10;
	struct args_common common = { 0 };
	int no_recorder = 0;
	struct poptOption table[] = {
		{ "name", 'n', POPT_ARG_STRING, &name, 0, "the target's name (default: the program's, numbered when taken)",
		  "NAME" },
		{ "no-recorder", '\0', POPT_ARG_NONE, &no_recorder, 0,
		  "do not preload the recorder, which KVM needs to be checkpointed", NULL },
		{ "every", '\0', POPT_ARG_STRING, &period, 0, "make a checkpoint each time this has passed: 90s, 5m, 2h", "TIME" },
		{ "keep", '\0', POPT_ARG_INT, &keep, 0, "with --every: keep the last N images, and what they need (default 10)", "N" },
		{ "output", 'o', POPT_ARG_STRING, &prefix, 0,
		  "with --every: a directory for the images, or how their names begin (default: the target's name)", "DIR|PREFIX" },
		BWLIMIT_OPTION(&bwlimit),
		ARGS_HELP(&common),
		POPT_TABLEEND,
	};
	struct registry reg = { .dirfd = -1 };
	struct session s;
	struct args args;

	int status = args_parse(cmd, argc, argv, table, ARGS_STOP_AT_WORD, &common, NULL, NULL, &args);
	if (status < 0 && !args.n_words)
		status = args_wrong(cmd, "the program to run is missing; usage: stasis run %s", cmd->usage);
	if (status < 0 && name && !registry_name_valid(name))
		status = args_wrong(cmd, "--name %s: " REGISTRY_NAME_RULE, name, REGISTRY_NAME_MAX);
	if (status < 0)
		status = args_time(cmd, "--every", period, 1000, EVERY_MAX_MS, &every.period_ms);
	if (status < 0 && keep < 1)
		status = args_wrong(cmd, "--keep %d: at least one image must be kept", keep);
	if (status < 0 && (prefix || bwlimit) && !period)
		status = args_wrong(cmd, "%s goes with --every", prefix ? "-o" : "--bwlimit");
	if (status < 0)
		status = bwlimit_option(cmd, bwlimit, &every.bwlimit);
	if (status >= 0) {
		args_finish(&args);
		return status;
	}
	if (session_init(&s, cmd, &common, false)) {
		args_finish(&args);
		return CLI_NOT_STARTED;
	}
	int every_err = 0, err = registry_open(s.rep, true, &reg);
	if (!err)
		err = run_register(&reg, name, args.words, &registered);
	const char *slash = strrchr(args.words[0], '/');
	every.keep = (unsigned)keep;
	every.prefix = prefix;
	every.name = registered ? registered : slash ? slash + 1 : args.words[0];
	if (!(err && name) && every.period_ms && (every_err = every_begin(cmd, s.rep, &every)) && registered)
		registry_remove(&reg, registered, getpid());
	if ((err && name) || every_err) {
		status = CLI_NOT_STARTED;
	} else {
		/* Without a name it can still be reached by its pid. What is wrong has been said. */
		status = run_program(&s, args.words, !no_recorder);
		if (registered)
			registry_remove(&reg, registered, getpid());
	}
	registry_close(&reg);
	session_finish(&s);
	args_finish(&args);
	return status;
}

const struct cli_command cmd_run = {
	.name = "run",
	.summary = "start a program as a target",
	.usage = "[--name NAME] [--] PROGRAM [ARGUMENT...]",
	.description = "Gives the program a name for the other commands and becomes it: same pid, terminal,\n"
		       "signals and exit status. Ends with 127 when the program is not found, with 126 when\n"
		       "it cannot be executed, with 125 when the name is taken.\n",
	.main = run_main,
};
