// SPDX-License-Identifier: LGPL-2.1-or-later
/* What people read: names made harmless, numbers with units, the progress bar, suggestions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "suggest.h"
#include "term.h"
#include "words.h"

static void expect_clean(const char *text, const char *expected)
{
	char *clean = words_clean(text);

	assert_string_equal(clean, expected);
	free(clean);
}

static void nothing_that_a_terminal_obeys_gets_through(void **state)
{
	(void)state;
	expect_clean("plain text\twith tab", "plain text\twith tab");
	expect_clean("\033[31mred\r\n\a\177", "\\x1b[31mred\\x0d\\x0a\\x07\\x7f");
	expect_clean("\302\233[31m", "\\xc2\\x9b[31m"); /* a C1 control */
	expect_clean("gr\303\274n \342\202\254 \360\237\230\200", "gr\303\274n \342\202\254 \360\237\230\200");
}

static void what_is_not_utf8_is_escaped_byte_by_byte(void **state)
{
	(void)state;
	expect_clean("\377\376", "\\xff\\xfe");
	expect_clean("a\303", "a\\xc3");             /* cut off */
	expect_clean("\300\257", "\\xc0\\xaf");      /* overlong */
	expect_clean("\340\200\257", "\\xe0\\x80\\xaf");
	expect_clean("\355\240\200", "\\xed\\xa0\\x80"); /* a surrogate */
	expect_clean("\364\220\200\200", "\\xf4\\x90\\x80\\x80"); /* above U+10FFFF */
	expect_clean("\342\202a", "\\xe2\\x82" "a");
}

static void json_takes_any_bytes(void **state)
{
	(void)state;
	json_t *value = words_json("\377 \033 \303\274");
	assert_string_equal(json_string_value(value), "\\xff \033 \303\274");
	json_decref(value);
	value = words_json(NULL);
	assert_true(json_is_null(value));
}

static void sizes_and_times_have_three_digits(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} sizes[] = { { 0, "0 B" },
		      { 1023, "1023 B" },
		      { 1024, "1.00 KiB" },
		      { 39 << 20, "39.0 MiB" },
		      { 312 << 20, "312 MiB" },
		      { 1023ull << 20 | 0xfffff, "1.00 GiB" },
		      { 1ull << 30, "1.00 GiB" },
		      { UINT64_MAX, "16.0 EiB" } };
	static const struct {
		uint64_t us;
		const char *text;
	} times[] = { { 0, "0 us" }, { 999, "999 us" }, { 31400, "31.4 ms" }, { 640000, "640 ms" }, { 2310000, "2.31 s" },
		      { 185000000, "3 min 05 s" } };
	char size[WORDS_SIZE_ROOM], time[WORDS_TIME_ROOM];

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		assert_string_equal(words_size(sizes[i].bytes, size), sizes[i].text);
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++)
		assert_string_equal(words_time(times[i].us, time), times[i].text);
	words_time(UINT64_MAX, time);
}

static void the_bar_fits_the_terminal(void **state)
{
	char buf[256];

	(void)state;
	term_bar(buf, sizeof(buf), 79, "write", 512 << 20, 1 << 30, 2000000000);
	assert_string_equal(buf, "write     [==========>         ]  50%  512 MiB of 1.00 GiB  256 MiB/s");
	term_bar(buf, sizeof(buf), 120, "write", 512 << 20, 1 << 30, 2000000000);
	assert_string_equal(buf, "write     [===============>              ]  50%  512 MiB of 1.00 GiB  256 MiB/s  0:02 left");
	term_bar(buf, sizeof(buf), 79, "collect", 0, 0, 2000000000);
	assert_string_equal(buf, "collect  ");
	term_bar(buf, sizeof(buf), 79, "write", 3, 2, 0); /* more than was expected, in no time */
	assert_string_equal(buf, "write     [====================] 100%  3 B of 2 B");
	for (unsigned width = 0; width < 140; width++) {
		term_bar(buf, sizeof(buf), width, "a phase with a long name", UINT64_MAX - 1, UINT64_MAX, 123456789012345);
		assert_true(strlen(buf) <= width);
		term_bar(buf, width + 1, 500, "write", 5, 10, 2000000000);
		assert_true(strlen(buf) <= width);
	}
}

static const char *meant(const char *word)
{
	static const char *const words[] = { "check", "checkpoint", "restart", "run", "show", "verify", "ps" };
	const char *best = NULL;

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		suggest_offer(word, words[i], &best);
	return best;
}

static void near_words_are_suggested_and_far_ones_not(void **state)
{
	(void)state;
	assert_int_equal(suggest_distance("", "abc"), 3);
	assert_int_equal(suggest_distance("kitten", "sitting"), 3);
	assert_int_equal(suggest_distance("chekc", "check"), 1); /* neighbours swapped */
	assert_int_equal(suggest_distance("same", "same"), 0);
	assert_string_equal(meant("chekpoint"), "checkpoint");
	assert_string_equal(meant("check-point"), "checkpoint");
	assert_string_equal(meant("chekc"), "check");
	assert_string_equal(meant("ver"), "verify"); /* a beginning */
	assert_string_equal(meant("sp"), "ps");
	assert_null(meant("frobnicate"));
	assert_null(meant(""));
	char longword[200];
	memset(longword, 'z', sizeof(longword) - 1);
	longword[sizeof(longword) - 1] = '\0';
	assert_null(meant(longword));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_that_a_terminal_obeys_gets_through),
		cmocka_unit_test(what_is_not_utf8_is_escaped_byte_by_byte),
		cmocka_unit_test(json_takes_any_bytes),
		cmocka_unit_test(sizes_and_times_have_three_digits),
		cmocka_unit_test(the_bar_fits_the_terminal),
		cmocka_unit_test(near_words_are_suggested_and_far_ones_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
