// SPDX-License-Identifier: LGPL-2.1-or-later
/* The `stasis` program: finds the command in the table and runs it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "args.h"
#include "base/cleanup.h"
#include "command.h"
#include "suggest.h"

static const struct cli_command *const commands[] = {
	&cmd_run, &cmd_check, &cmd_checkpoint, &cmd_restart, &cmd_show, &cmd_verify, &cmd_fold, &cmd_ps,
};

static void print_help(FILE *out)
{
	fputs("Usage: stasis COMMAND [ARGUMENT...]\n"
	      "Freezes a running emulator or virtual machine into an image, and starts it again.\n\n", out);
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(out, "  %-11s %s\n", commands[i]->name, commands[i]->summary);
	fputs("  help        show this help, or that of a command\n\n"
	      "stasis --version says the version; stasis COMMAND --help or man stasis-COMMAND says more.\n", out);
}

static const struct cli_command *find_command(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(commands[i]->name, name))
			return commands[i];
	return NULL;
}

static int unknown_command(const char *name)
{
	const char *best = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		suggest_offer(name, commands[i]->name, &best);
	suggest_offer(name, "help", &best);
	if (best)
		return args_wrong(NULL, "unknown command %s; did you mean stasis %s?", name, best);
	return args_wrong(NULL, "unknown command %s; stasis help lists them", name);
}

static int help_main(int argc, const char **argv)
{
	if (argc < 2) {
		print_help(stdout);
		return CLI_OK;
	}
	const struct cli_command *cmd = find_command(argv[1]);
	if (!cmd)
		return strcmp(argv[1], "help") ? unknown_command(argv[1]) : (print_help(stdout), CLI_OK);
	const char *ask[] = { cmd->name, "--help", NULL };
	return cmd->main(cmd, 2, ask);
}

static int dispatch(int argc, const char **argv)
{
	if (argc < 2) {
		print_help(stderr);
		return CLI_USAGE;
	}
	const char *word = argv[1];
	if (!strcmp(word, "--version") || !strcmp(word, "-V")) {
		puts("stasis " STASIS_VERSION);
		return CLI_OK;
	}
	if (!strcmp(word, "--help") || !strcmp(word, "-h") || !strcmp(word, "help"))
		return help_main(argc - 1, argv + 1);
	if (*word == '-')
		return args_wrong(NULL, "unknown option %s; stasis help lists what there is", word);
	const struct cli_command *cmd = find_command(word);
	return cmd ? cmd->main(cmd, argc - 1, argv + 1) : unknown_command(word);
}

int main(int argc, char **argv)
{
	int status = dispatch(argc, (const char **)argv);

	/* A full disk or a closed pipe must not look like success. */
	if ((fflush(stdout) || ferror(stdout)) && !status) {
		fprintf(stderr, "stasis: cannot write the output: %s\n", strerror(errno));
		status = CLI_FAILED;
	}
	return status;
}
