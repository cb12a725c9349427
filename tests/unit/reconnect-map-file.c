// SPDX-License-Identifier: LGPL-2.1-or-later
/* Files of mappings: what is a mapping, what a comment, what is wrong and in which line, and which of two entries counts. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "map-file.h"

struct caught {
	char said[8192];
	int errors;
};

static void catch (void *ctx, enum report_level level, const char *text)
{
	struct caught *c = ctx;
	size_t used = strlen(c->said);

	assert_int_equal(level, REPORT_ERROR);
	snprintf(c->said + used, sizeof(c->said) - used, "%s\n", text);
	c->errors++;
}

static int parse(const char *text, size_t size, struct resource_map *map, struct caught *c)
{
	struct report_sink sink = { .message = catch, .ctx = c };
	struct reporter rep;
	/* Without a terminator behind it, so that reading on is seen by valgrind and the sanitizers. */
	char *copy = malloc(size ? size : 1);

	memset(c, 0, sizeof(*c));
	memcpy(copy, text, size);
	report_init(&rep, &sink, REPORT_DEBUG);
	int err = map_file_parse(&rep, "site.map", copy, size, map);
	report_finish(&rep);
	free(copy);
	return err;
}

static void lines_comments_and_blanks(void **state)
{
	static const char text[] = "# the lab\n\n  \t\nfile:/a/disk.img=/b/disk.img\n\ttap:tap0=tap7  \r\n  # more\n"
	                           "socket:tcp:127.0.0.1:5900=127.0.0.1:5901\nfile:/odd\\=name=/with = blanks # and all";
	struct resource_map map = { 0 };
	struct caught c;

	(void)state;
	assert_int_equal(parse(text, sizeof(text) - 1, &map, &c), 0);
	assert_int_equal(map.list.n, 4);
	assert_string_equal(resource_map_find(&map, "file", "/a/disk.img"), "/b/disk.img");
	assert_string_equal(resource_map_find(&map, "tap", "tap0"), "tap7");
	assert_string_equal(resource_map_find(&map, "socket", "tcp:127.0.0.1:5900"), "127.0.0.1:5901");
	assert_string_equal(resource_map_find(&map, "file", "/odd=name"), "/with = blanks # and all");
	assert_null(resource_map_find(&map, "file", "tap0"));
	resource_map_finish(&map);
	assert_int_equal(parse("", 0, &map, &c), 0);
	assert_int_equal(parse("\n\n#", 3, &map, &c), 0);
	assert_int_equal(map.list.n, 0);
}

static void later_entries_override(void **state)
{
	static const char text[] = "tap:tap0=tap1\nfile:/a=/b\ntap:tap0=tap2\nusb:tap0=x\n";
	struct resource_map map = { 0 };
	struct caught c;

	(void)state;
	assert_int_equal(resource_map_add(&map, NULL, "tap:tap0=tap9"), 0);
	assert_int_equal(parse(text, sizeof(text) - 1, &map, &c), 0);
	assert_int_equal(map.list.n, 3);
	assert_string_equal(resource_map_find(&map, "tap", "tap0"), "tap2");
	assert_int_equal(resource_map_add(&map, NULL, "tap:tap0=tap3"), 0);
	assert_int_equal(map.list.n, 3);
	assert_false(map.list.items[0].used); /* nobody has asked for the new one */
	assert_string_equal(resource_map_find(&map, "tap", "tap0"), "tap3");
	/* What was asked for is told once, mapped or not. */
	assert_string_equal(resource_map_ask(&map, "tap", "tap0"), "tap3");
	assert_null(resource_map_ask(&map, "tap", "tap5"));
	assert_null(resource_map_ask(&map, "tap", "tap5"));
	assert_int_equal(map.asked.n, 2);
	assert_string_equal(map.asked.items[1].from, "tap5");
	resource_map_finish(&map);
}

static void every_wrong_line_is_named(void **state)
{
	static const char text[] = "file:/a=/b\nfile:/c\n\n:x=y\nnonsense\nfile:=/d\nfile:/e=\ntap:a\0b=c\nfile:/f=/g\n";
	struct resource_map map = { 0 };
	struct caught c;

	(void)state;
	assert_int_equal(parse(text, sizeof(text) - 1, &map, &c), -EINVAL);
	assert_int_equal(c.errors, 6);
	assert_non_null(strstr(c.said, "site.map, line 2: \"file:/c\" is no mapping; write KIND:OLD=NEW"));
	for (int line = 4; line <= 8; line++) {
		char where[32];
		snprintf(where, sizeof(where), "site.map, line %d: ", line);
		assert_non_null(strstr(c.said, where));
	}
	assert_int_equal(map.list.n, 2);
	resource_map_finish(&map);
}

static void a_file_of_another_kind_is_refused_in_few_words(void **state)
{
	struct resource_map map = { 0 };
	char text[4000];
	struct caught c;

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = i % 4 == 3 ? '\n' : 'x';
	assert_int_equal(parse(text, sizeof(text), &map, &c), -EINVAL);
	assert_int_equal(c.errors, 11);
	assert_non_null(strstr(c.said, "990 more lines"));
	memset(text, 'y', sizeof(text));
	assert_int_equal(parse(text, sizeof(text), &map, &c), -EINVAL);
	assert_true(strlen(c.said) < 400);
	assert_int_equal(map.list.n, 0);
}

static void files_are_read_up_to_a_limit(void **state)
{
	char path[] = "/tmp/stasis-map-XXXXXX";
	struct resource_map map = { 0 };
	struct caught c = { 0 };
	struct report_sink sink = { .message = catch, .ctx = &c };
	struct reporter rep;
	int fd = mkstemp(path);

	(void)state;
	report_init(&rep, &sink, REPORT_DEBUG);
	assert_int_equal(write(fd, "tap:a=b\n", 8), 8);
	assert_int_equal(map_file_read(&rep, path, &map), 0);
	assert_string_equal(resource_map_find(&map, "tap", "a"), "b");
	close(fd);
	unlink(path);
	assert_int_equal(map_file_read(&rep, path, &map), -ENOENT);
	assert_non_null(strstr(c.said, path));
	assert_int_equal(map_file_read(&rep, "/tmp", &map), -EISDIR);
	assert_int_equal(map_file_read(&rep, "/dev/zero", &map), -EFBIG);
	resource_map_finish(&map);
	report_finish(&rep);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_comments_and_blanks),
		cmocka_unit_test(later_entries_override),
		cmocka_unit_test(every_wrong_line_is_named),
		cmocka_unit_test(a_file_of_another_kind_is_refused_in_few_words),
		cmocka_unit_test(files_are_read_up_to_a_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
