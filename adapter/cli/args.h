/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reads a command's options with popt: help, what is wrong in one line with a suggestion, and the words that remain. */
#ifndef STASIS_CLI_ARGS_H
#define STASIS_CLI_ARGS_H

#include <popt.h>
#include <stdint.h>

#include "command.h"

/* Switches that most commands have. */
struct args_common {
	int quiet, verbose, json, help;
};

#define ARGS_HELP(c) { "help", 'h', POPT_ARG_NONE, &(c)->help, 0, "show this help", NULL }
#define ARGS_TALK(c)                                                                                       \
	{ "quiet", 'q', POPT_ARG_NONE, &(c)->quiet, 0, "say nothing but errors; no progress bar", NULL },  \
	{ "verbose", 'v', POPT_ARG_NONE, &(c)->verbose, 0, "say more, also where nobody looks on", NULL }
#define ARGS_JSON(c) { "json", '\0', POPT_ARG_NONE, &(c)->json, 0, "print the result as JSON on standard output", NULL }

struct args {
	poptContext con;
	const char **words; /* what is no option, NULL-terminated; lives as long as `con` */
	int n_words;
};

/* Called for every option of the table with a val that is not 0; `text` is its argument (may be NULL), to be copied. Returns
 * -1 to go on, or an exit status. */
typedef int (*args_each)(const struct cli_command *cmd, int val, const char *text, void *ctx);

enum { ARGS_STOP_AT_WORD = 1 }; /* the first word ends the options, as POSIX has it */

/* Reads the options into the table's places. `common` may say `help` afterwards, which is then already dealt with. Returns -1
 * to go on, or the exit status to end with; `*ret` is to be given back with args_finish in either case. */
int args_parse(const struct cli_command *cmd, int argc, const char **argv, const struct poptOption *table, int flags,
	       const struct args_common *common, args_each each, void *ctx, struct args *ret);
void args_finish(struct args *args);

/* Says on stderr what is wrong with the command line. Returns CLI_USAGE. `cmd` NULL: the program itself. */
__attribute__((format(printf, 2, 3))) int args_wrong(const struct cli_command *cmd, const char *fmt, ...);

/* The index of `text` in the NULL-terminated list; NULL leaves `*ret` as it is. Returns -1 to go on, or CLI_USAGE after saying
 * what could have been meant. */
int args_choice(const struct cli_command *cmd, const char *option, const char *text, const char *const *choices, int *ret);

#define ARGS_DAY_MS (86400ull * 1000)

/* "90" or "90s", "500ms", "5m", "2h": milliseconds, from `min_ms` to `max_ms`; NULL leaves `*ret_ms` as it is. Returns -1 to go
 * on, or CLI_USAGE. */
int args_time(const struct cli_command *cmd, const char *option, const char *text, uint64_t min_ms, uint64_t max_ms, uint64_t *ret_ms);

/* Says so unless there are exactly `n` words. Returns -1 to go on, or CLI_USAGE. `what` names them: "a TARGET". */
int args_need_words(const struct cli_command *cmd, const struct args *args, int n, const char *what);

#endif
