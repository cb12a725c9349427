/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a command of the `stasis` program is: a row of the table in main.c, one file each. Exit statuses are here as well,
 * because scripts depend on them. */
#ifndef STASIS_CLI_COMMAND_H
#define STASIS_CLI_COMMAND_H

/* Statuses above 2 are those that env(1) and the shells use, since `run` and `restart` otherwise end with the status of the
 * program itself. A cancelled command ends with 128 + the signal. */
enum {
	CLI_OK = 0,
	CLI_FAILED = 1,
	CLI_USAGE = 2,
	CLI_NOT_STARTED = 125, /* run, restart: Stasis itself failed */
	CLI_CANNOT_RUN = 126,
	CLI_NOT_FOUND = 127,
};

struct cli_command {
	const char *name;
	const char *summary;     /* one line, for `stasis help` */
	const char *usage;       /* what follows "stasis NAME" */
	const char *description; /* for `stasis NAME --help` */
	/* argv[0] is the command's name. Returns the exit status. */
	int (*main)(const struct cli_command *cmd, int argc, const char **argv);
};

extern const struct cli_command cmd_run;
extern const struct cli_command cmd_ps;
extern const struct cli_command cmd_check;
extern const struct cli_command cmd_checkpoint;
extern const struct cli_command cmd_restart;
extern const struct cli_command cmd_show;
extern const struct cli_command cmd_verify;
extern const struct cli_command cmd_fold;

#endif
