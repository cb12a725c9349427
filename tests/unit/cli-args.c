// SPDX-License-Identifier: LGPL-2.1-or-later
/* Command lines: what is read, where the program's own words begin, and one line for each thing that is wrong. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "args.h"

static const struct cli_command command = {
	.name = "test", .summary = "", .usage = "WORD [OPTION...]", .description = "Says nothing.\n",
};

struct parsed {
	struct args_common common;
	char *output;
	int number, each_calls;
	char each_last[32];
	struct args args;
	char said[1024];
};

static int note_each(const struct cli_command *cmd, int val, const char *text, void *ctx)
{
	struct parsed *p = ctx;

	assert_ptr_equal(cmd, &command);
	assert_int_equal(val, 7);
	p->each_calls++;
	snprintf(p->each_last, sizeof(p->each_last), "%s", text);
	return strcmp(text, "stop") ? -1 : 42;
}

/* Runs args_parse on the words (NULL-terminated) with stderr and stdout caught. */
static int parse(struct parsed *p, int flags, const char **argv)
{
	struct poptOption table[] = {
		{ "output", 'o', POPT_ARG_STRING, &p->output, 0, "where to", "FILE" },
		{ "number", '\0', POPT_ARG_INT, &p->number, 0, "how many", "N" },
		{ "each", '\0', POPT_ARG_STRING, NULL, 7, "again and again", "TEXT" },
		ARGS_JSON(&p->common),
		ARGS_TALK(&p->common),
		ARGS_HELP(&p->common),
		POPT_TABLEEND,
	};
	int argc = 0, caught = memfd_create("caught", MFD_CLOEXEC);

	memset(p, 0, sizeof(*p));
	while (argv[argc])
		argc++;
	fflush(stdout);
	int out = dup(1), err = dup(2);
	dup2(caught, 1);
	dup2(caught, 2);
	int status = args_parse(&command, argc, argv, table, flags, &p->common, note_each, p, &p->args);
	fflush(stdout);
	dup2(out, 1);
	dup2(err, 2);
	close(out);
	close(err);
	ssize_t n = pread(caught, p->said, sizeof(p->said) - 1, 0);
	p->said[n > 0 ? n : 0] = '\0';
	close(caught);
	return status;
}

static void finish(struct parsed *p)
{
	args_finish(&p->args);
	free(p->output);
}

#define WORDS(...) ((const char *[]){ "test", __VA_ARGS__, NULL })

static void options_may_stand_anywhere(void **state)
{
	struct parsed p;

	(void)state;
	assert_int_equal(parse(&p, 0, WORDS("target", "-o", "file", "-qv", "--number=12", "more")), -1);
	assert_string_equal(p.output, "file");
	assert_int_equal(p.number, 12);
	assert_true(p.common.quiet && p.common.verbose && !p.common.json);
	assert_int_equal(p.args.n_words, 2);
	assert_string_equal(p.args.words[0], "target");
	assert_string_equal(p.args.words[1], "more");
	assert_string_equal(p.said, "");
	finish(&p);
}

static void the_programs_own_options_are_left_alone(void **state)
{
	struct parsed p;

	(void)state;
	assert_int_equal(parse(&p, ARGS_STOP_AT_WORD, WORDS("-o", "file", "prog", "-o", "other", "--help", "--", "-x")), -1);
	assert_string_equal(p.output, "file");
	assert_int_equal(p.args.n_words, 6);
	assert_string_equal(p.args.words[0], "prog");
	assert_string_equal(p.args.words[4], "--");
	assert_null(p.args.words[6]);
	finish(&p);
	assert_int_equal(parse(&p, ARGS_STOP_AT_WORD, WORDS("--", "-prog", "-q")), -1);
	assert_string_equal(p.args.words[0], "-prog");
	assert_string_equal(p.args.words[1], "-q");
	assert_int_equal(p.common.quiet, 0);
	finish(&p);
}

static void repeated_options_come_one_by_one(void **state)
{
	struct parsed p;

	(void)state;
	assert_int_equal(parse(&p, 0, WORDS("--each", "a=b", "--each=c")), -1);
	assert_int_equal(p.each_calls, 2);
	assert_string_equal(p.each_last, "c");
	finish(&p);
	assert_int_equal(parse(&p, 0, WORDS("--each=stop", "--each=c")), 42);
	assert_int_equal(p.each_calls, 1);
	finish(&p);
}

static void every_fault_is_one_line_with_a_hint(void **state)
{
	static const struct {
		const char *words[4];
		const char *said;
	} cases[] = {
		{ { "test", "--ouptut=x" }, "stasis: test: unknown option --ouptut; did you mean --output?\n" },
		{ { "test", "--jsn" }, "stasis: test: unknown option --jsn; did you mean --json?\n" },
		{ { "test", "--frobnicate" }, "stasis: test: unknown option --frobnicate; see stasis test --help\n" },
		{ { "test", "-z" }, "stasis: test: unknown option -z; see stasis test --help\n" },
		{ { "test", "-o" }, "stasis: test: option -o needs an argument; see stasis test --help\n" },
		{ { "test", "--number", "many" },
		  "stasis: test: many is not a whole number that fits; see stasis test --help\n" },
		{ { "test", "--json=yes" }, "stasis: test: option --json=yes takes no argument\n" },
		{ { "test", "--\033[31m" }, "stasis: test: unknown option --\\x1b[31m; see stasis test --help\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct parsed p;
		const char *words[4];

		memcpy(words, cases[i].words, sizeof(words));
		assert_int_equal(parse(&p, 0, words), CLI_USAGE);
		assert_string_equal(p.said, cases[i].said);
		finish(&p);
	}
}

static void help_names_command_and_options(void **state)
{
	struct parsed p;

	(void)state;
	assert_int_equal(parse(&p, 0, WORDS("--help")), CLI_OK);
	assert_non_null(strstr(p.said, "Usage: stasis test WORD [OPTION...]\n"));
	assert_non_null(strstr(p.said, "--number=N"));
	assert_non_null(strstr(p.said, "Says nothing."));
	assert_non_null(strstr(p.said, "man stasis-test"));
	finish(&p);
}

static void words_are_counted(void **state)
{
	struct args none = { .n_words = 0 }, one = { .n_words = 1, .words = (const char *[]){ "a", NULL } },
		    two = { .n_words = 2, .words = (const char *[]){ "a", "b", NULL } };

	(void)state;
	assert_int_equal(args_need_words(&command, &none, 1, "the WORD"), CLI_USAGE);
	assert_int_equal(args_need_words(&command, &one, 1, "the WORD"), -1);
	assert_int_equal(args_need_words(&command, &two, 1, "the WORD"), CLI_USAGE);
}

static void choices_are_found_by_index(void **state)
{
	static const char *const choices[] = { "auto", "copy", "none", NULL };

	(void)state;
	int i = 7;
	assert_int_equal(args_choice(&command, "--disk", NULL, choices, &i), -1);
	assert_int_equal(i, 7);
	assert_int_equal(args_choice(&command, "--disk", "auto", choices, &i), -1);
	assert_int_equal(i, 0);
	assert_int_equal(args_choice(&command, "--disk", "none", choices, &i), -1);
	assert_int_equal(i, 2);
	assert_int_equal(args_choice(&command, "--disk", "non", choices, &i), CLI_USAGE);
	assert_int_equal(args_choice(&command, "--disk", "", choices, &i), CLI_USAGE);
	assert_int_equal(i, 2);
}

static void times_are_understood(void **state)
{
	static const struct {
		const char *text;
		uint64_t ms;
	} good[] = { { "1", 1000 }, { "500ms", 500 }, { "90s", 90000 }, { "5m", 300000 }, { "2h", 7200000 } };
	static const char *const bad[] = { "", "s", "0", "-5", "5x", "5mm", "1d", " 5", "1.5", "499ms", "3h", "99999999999999999999h" };
	uint64_t ms = 7;

	(void)state;
	assert_int_equal(args_time(&command, "--every", NULL, 500, 7200000, &ms), -1);
	assert_int_equal(ms, 7);
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(args_time(&command, "--every", good[i].text, 500, 7200000, &ms), -1);
		assert_int_equal(ms, good[i].ms);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(args_time(&command, "--every", bad[i], 500, 7200000, &ms), CLI_USAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_may_stand_anywhere),
		cmocka_unit_test(the_programs_own_options_are_left_alone),
		cmocka_unit_test(repeated_options_come_one_by_one),
		cmocka_unit_test(every_fault_is_one_line_with_a_hint),
		cmocka_unit_test(help_names_command_and_options),
		cmocka_unit_test(words_are_counted),
		cmocka_unit_test(choices_are_found_by_index),
		cmocka_unit_test(times_are_understood),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
