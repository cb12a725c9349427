// SPDX-License-Identifier: LGPL-2.1-or-later
/* Command lines. popt does the reading; what it says about faults is put into words here. */
#include "args.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "suggest.h"
#include "words.h"

int args_wrong(const struct cli_command *cmd, const char *fmt, ...)
{
	AUTO_FREE char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	AUTO_FREE char *clean = text ? words_clean(text) : NULL;
	fprintf(stderr, "stasis: %s%s%s\n", cmd ? cmd->name : "", cmd ? ": " : "", clean ? clean : "out of memory");
	return CLI_USAGE;
}

static void suggest_options(const struct poptOption *table, const char *word, const char **best)
{
	for (const struct poptOption *it = table; it->longName || it->shortName || it->arg; it++) {
		if ((it->argInfo & POPT_ARG_MASK) == POPT_ARG_INCLUDE_TABLE)
			suggest_options(it->arg, word, best);
		else if (it->longName)
			suggest_offer(word, it->longName, best);
	}
}

static int args_bad_option(const struct cli_command *cmd, const struct poptOption *table, const char *bad, int err)
{
	int length = (int)strcspn(bad, "="), begin = (int)strspn(bad, "-");
	const char *best = NULL;
	char word[64];

	switch (err) {
	case POPT_ERROR_BADOPT:
		snprintf(word, sizeof(word), "%.*s", length - begin, bad + begin);
		suggest_options(table, word, &best);
		if (best && begin == 2)
			return args_wrong(cmd, "unknown option %.*s; did you mean --%s?", length, bad, best);
		return args_wrong(cmd, "unknown option %.*s; see stasis %s --help", length, bad, cmd->name);
	case POPT_ERROR_NOARG:
		return args_wrong(cmd, "option %s needs an argument; see stasis %s --help", bad, cmd->name);
	case POPT_ERROR_UNWANTEDARG:
		return args_wrong(cmd, "option %s takes no argument", bad);
	case POPT_ERROR_BADNUMBER:
	case POPT_ERROR_OVERFLOW:
		return args_wrong(cmd, "%s is not a whole number that fits; see stasis %s --help", bad, cmd->name);
	default:
		return args_wrong(cmd, "option %s: %s", bad, poptStrerror(err));
	}
}

static int args_show_help(const struct cli_command *cmd, poptContext con)
{
	poptSetOtherOptionHelp(con, cmd->usage);
	poptPrintHelp(con, stdout, 0);
	printf("\n%s\nMore: man stasis-%s\n", cmd->description, cmd->name);
	return CLI_OK;
}

int args_parse(const struct cli_command *cmd, int argc, const char **argv, const struct poptOption *table, int flags,
	       const struct args_common *common, args_each each, void *ctx, struct args *ret)
{
	AUTO_FREE char *title = NULL;
	int val;

	*ret = (struct args){ 0 };
	if (asprintf(&title, "stasis %s", cmd->name) < 0) {
		title = NULL;
		return args_wrong(cmd, "out of memory");
	}
	/* popt calls the program by argv[0] in its help. It copies what it keeps of the name, not of the other words. */
	argv[0] = title;
	ret->con = poptGetContext(NULL, argc, argv, table, flags & ARGS_STOP_AT_WORD ? POPT_CONTEXT_POSIXMEHARDER : 0);
	if (!ret->con)
		return args_wrong(cmd, "out of memory");
	int status = -1;
	while (status < 0 && (val = poptGetNextOpt(ret->con)) > 0) {
		AUTO_FREE char *text = poptGetOptArg(ret->con);
		if (each)
			status = each(cmd, val, text, ctx);
	}
	if (status < 0 && val < -1)
		status = args_bad_option(cmd, table, poptBadOption(ret->con, POPT_BADOPTION_NOALIAS), val);
	else if (status < 0 && common->help)
		status = args_show_help(cmd, ret->con);
	argv[0] = cmd->name;
	if (status >= 0)
		return status;
	ret->words = poptGetArgs(ret->con);
	while (ret->words && ret->words[ret->n_words])
		ret->n_words++;
	return -1;
}

void args_finish(struct args *args)
{
	if (args->con)
		poptFreeContext(args->con);
	*args = (struct args){ 0 };
}

int args_choice(const struct cli_command *cmd, const char *option, const char *text, const char *const *choices, int *ret)
{
	char list[256] = "";
	const char *best = NULL;

	for (int i = 0; text && choices[i]; i++) {
		if (!strcmp(text, choices[i])) {
			*ret = i;
			return -1;
		}
		size_t at = strlen(list);
		snprintf(list + at, sizeof(list) - at, "%s%s", i ? (choices[i + 1] ? ", " : " or ") : "", choices[i]);
		suggest_offer(text, choices[i], &best);
	}
	if (!text)
		return -1;
	if (best)
		return args_wrong(cmd, "%s=%s: did you mean %s? (%s)", option, text, best, list);
	return args_wrong(cmd, "%s=%s: expected %s", option, text, list);
}

int args_time(const struct cli_command *cmd, const char *option, const char *text, uint64_t min_ms, uint64_t max_ms, uint64_t *ret_ms)
{
	static const struct {
		const char *name;
		uint64_t ms;
	} units[] = { { "", 1000 }, { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 } };
	char *end = NULL;
	uint64_t n = text && isdigit((unsigned char)*text) ? strtoull(text, &end, 10) : 0, unit = 0;

	for (size_t i = 0; end && i < ARRAY_SIZE(units); i++)
		if (!strcmp(end, units[i].name))
			unit = units[i].ms;
	if (text && (!unit || n > max_ms / unit || n * unit < min_ms))
		return args_wrong(cmd, "%s %s: give a time such as 500ms, 30s, 5m or 2h, from %lu %s to %lu s", option, text,
				  min_ms < 1000 ? min_ms : min_ms / 1000, min_ms < 1000 ? "ms" : "s", max_ms / 1000);
	if (text)
		*ret_ms = n * unit;
	return -1;
}

int args_need_words(const struct cli_command *cmd, const struct args *args, int n, const char *what)
{
	if (args->n_words < n)
		return args_wrong(cmd, "%s is missing; usage: stasis %s %s", what, cmd->name, cmd->usage);
	if (args->n_words > n)
		return args_wrong(cmd, "%s is one too many; usage: stasis %s %s", args->words[n], cmd->name, cmd->usage);
	return -1;
}
