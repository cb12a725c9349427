// SPDX-License-Identifier: LGPL-2.1-or-later
/* What stasis show says of an image: every field, nothing that a terminal would obey, and JSON that a program can read. */
#include "images-fixture.h"

#include <stdlib.h>
#include <string.h>

#include "show.h"

static const struct img_schema *const schemas[] = { &sample_schema };

struct stranger {
	uint32_t number;
};
static const struct img_field stranger_fields[] = { IMG_FIELD(1, stranger, number, IMG_U32, IMG_DEC) };
static const struct img_schema stranger_schema =
        IMG_SCHEMA("STRG", 4, IMG_MUST_UNDERSTAND, "stranger", stranger, stranger_fields);

struct clash {
	uint32_t type, tag;
};
static const struct img_field clash_fields[] = { IMG_FIELD(1, clash, type, IMG_U32, IMG_DEC),
	                                         IMG_FIELD(2, clash, tag, IMG_U32, IMG_DEC) };
static const struct img_schema clash_schema = IMG_SCHEMA("CLSH", 1, 0, "clash", clash, clash_fields);

static struct img_reader *open_image(struct fixture *f, const struct img_schema *schema, const void *value)
{
	struct img_writer_options options = { 0 };
	struct img_writer *w = NULL;
	struct img_reader *r = NULL;
	static char pages[3 * IMG_PAGE_SIZE] = "data";

	assert_int_equal(img_writer_create(&f->rep, f->path, &options, &w), 0);
	assert_int_equal(img_writer_record(w, schema, value), 0);
	assert_int_equal(img_writer_pages(w, 6, 0x1000, pages, sizeof(pages), false), 0);
	assert_int_equal(img_writer_commit(w), 0);
	img_writer_destroy(w);
	assert_int_equal(img_reader_open(&f->rep, f->path, &r), 0);
	return r;
}

static char *text_of(const struct img_reader *r)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_int_equal(img_show_text(r, schemas, ARRAY_SIZE(schemas), out), 0);
	fclose(out);
	return text;
}

static void assert_has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("\"%s\" is not in:\n%s", part, text);
}

static const struct sample sample = {
	.u32 = 4000000000u,
	.i32 = -7,
	.u64 = UINT64_MAX,
	.i64 = INT64_MIN,
	.yes = true,
	.text = (char *)"a\"b\\c\033[31m\n\xff",
	.bytes = { (void *)"0123456789abcdefXYZ", 19 },
	.mode = 0644,
	.address = 0x7fff12340000,
};

static void text_has_every_field_and_no_escape_sequence(void **state)
{
	struct fixture *f = *state;
	struct img_reader *r = open_image(f, &sample_schema, &sample);
	AUTO_FREE char *text = text_of(r);

	assert_has(text, f->path);
	assert_has(text, "\nspace 6: 1 pages, 2 zero pages, in 2 runs\n");
	assert_has(text, "\npages:      4.0 KiB in 1 chunks, stored in 4.0 KiB, 1 none\n");
	assert_has(text, "records:    1\n");
	assert_has(text,
	           "\nsample: u32=4000000000 i32=-7 u64=18446744073709551615 i64=-9223372036854775808 yes=yes "
	           "text=\"a\\\"b\\\\c\\x1b[31m\\x0a\\xff\" bytes=19 bytes (30313233343536373839616263646566...) mode=0644 "
	           "address=0x7fff12340000\n");
	for (const char *p = text; *p; p++)
		assert_true(*p == '\n' || (*p >= ' ' && *p < 0x7f));
	img_reader_destroy(r);
}

static void letters_beyond_ascii_stay_readable(void **state)
{
	struct fixture *f = *state;
	struct sample it = { .text = (char *)"gr\xc3\xbc\xc3\x9f"
		                             "e \xc2\x9b"
		                             "31m" };
	struct img_reader *r = open_image(f, &sample_schema, &it);
	AUTO_FREE char *text = text_of(r);

	assert_has(text, "\"gr\xc3\xbc\xc3\x9f"
	                 "e \\xc2\\x9b31m\"");
	img_reader_destroy(r);
}

static void json_has_every_field(void **state)
{
	struct fixture *f = *state;
	struct img_reader *r = open_image(f, &sample_schema, &sample);
	json_t *json = NULL;

	assert_int_equal(img_show_json(r, schemas, ARRAY_SIZE(schemas), &json), 0);
	json_t *image = json_object_get(json, "image"), *record = json_array_get(json_object_get(json, "records"), 0);
	assert_string_equal(json_string_value(json_object_get(image, "path")), f->path);
	assert_int_equal(strlen(json_string_value(json_object_get(image, "content_id"))), 32);
	assert_int_equal(json_integer_value(json_object_get(image, "page_bytes")), IMG_PAGE_SIZE);
	json_t *space = json_array_get(json_object_get(image, "spaces"), 0);
	assert_int_equal(json_integer_value(json_object_get(space, "space")), 6);
	assert_int_equal(json_integer_value(json_object_get(space, "zero_pages")), 2);
	assert_string_equal(json_string_value(json_object_get(record, "type")), "sample");
	assert_string_equal(json_string_value(json_object_get(record, "tag")), "SMPL");
	assert_true(json_integer_value(json_object_get(record, "u32")) == 4000000000);
	assert_true(json_integer_value(json_object_get(record, "i32")) == -7);
	assert_true(json_integer_value(json_object_get(record, "i64")) == INT64_MIN);
	assert_true(json_integer_value(json_object_get(record, "address")) == 0x7fff12340000);
	assert_string_equal(json_string_value(json_object_get(record, "u64")), "0xffffffffffffffff");
	assert_true(json_is_true(json_object_get(record, "yes")));
	assert_string_equal(json_string_value(json_object_get(record, "text")), "a\"b\\x5cc\033[31m\n\\xff");
	assert_string_equal(json_string_value(json_object_get(record, "bytes")), "3031323334353637383961626364656658595a");
	assert_true(json_is_null(json_object_get(record, "absent")));
	/* It must come out as text, and go in again. */
	char *dump = json_dumps(json, 0);
	assert_non_null(dump);
	json_t *again = json_loads(dump, 0, NULL);
	assert_true(json_equal(json, again));
	json_decref(again);
	json_decref(json);
	free(dump);
	img_reader_destroy(r);
}

static void unknown_records_are_listed(void **state)
{
	struct fixture *f = *state;
	struct stranger it = { 5 };
	struct img_reader *r = open_image(f, &stranger_schema, &it);
	AUTO_FREE char *text = text_of(r);
	json_t *json = NULL;

	assert_has(text, "\n\"STRG\" version 4: 16 bytes, needed for a restart but not known here\n");
	assert_int_equal(img_show_json(r, schemas, ARRAY_SIZE(schemas), &json), 0);
	json_t *record = json_array_get(json_object_get(json, "records"), 0);
	assert_string_equal(json_string_value(json_object_get(record, "tag")), "STRG");
	assert_true(json_is_null(json_object_get(record, "type")));
	assert_int_equal(json_integer_value(json_object_get(record, "bytes")), 16);
	assert_true(json_is_true(json_object_get(record, "must_understand")));
	json_decref(json);
	img_reader_destroy(r);
}

static void fields_called_type_or_tag_give_way(void **state)
{
	struct fixture *f = *state;
	struct clash it = { 5, 6 };
	const struct img_schema *list[] = { &clash_schema };
	struct img_reader *r = open_image(f, &clash_schema, &it);
	json_t *json = NULL;

	assert_int_equal(img_show_json(r, list, 1, &json), 0);
	json_t *record = json_array_get(json_object_get(json, "records"), 0);
	assert_string_equal(json_string_value(json_object_get(record, "type")), "clash");
	assert_int_equal(json_integer_value(json_object_get(record, "type_")), 5);
	assert_int_equal(json_integer_value(json_object_get(record, "tag_")), 6);
	json_decref(json);
	img_reader_destroy(r);
}

static void a_record_that_cannot_be_decoded_is_an_error(void **state)
{
	struct fixture *f = *state;
	struct stranger it = { 5 };
	struct img_schema lie = stranger_schema;
	json_t *json = NULL;
	char *text = NULL;
	size_t size;

	memcpy(lie.tag, sample_schema.tag, sizeof(lie.tag));
	lie.version = 1;
	lie.fields = (const struct img_field[]){ IMG_FIELD(2, stranger, number, IMG_U32, IMG_DEC) };
	struct img_reader *r = open_image(f, &lie, &it);
	assert_int_equal(img_show_json(r, schemas, ARRAY_SIZE(schemas), &json), -EBADMSG);
	fixture_assert_said(f, "\"i32\": has the wrong type");
	FILE *out = open_memstream(&text, &size);
	assert_int_equal(img_show_text(r, schemas, ARRAY_SIZE(schemas), out), -EBADMSG);
	fixture_assert_said(f, f->path);
	fclose(out);
	free(text);
	img_reader_destroy(r);
}

static void an_output_that_fails_is_an_error(void **state)
{
	struct fixture *f = *state;
	struct img_reader *r = open_image(f, &sample_schema, &sample);
	FILE *out = fopen("/dev/full", "w");

	assert_non_null(out);
	assert_int_equal(img_show_text(r, schemas, ARRAY_SIZE(schemas), out), -EIO);
	fixture_assert_said(f, "could not be written");
	fclose(out);
	img_reader_destroy(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(text_has_every_field_and_no_escape_sequence, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(letters_beyond_ascii_stay_readable, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(json_has_every_field, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(unknown_records_are_listed, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(fields_called_type_or_tag_give_way, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(a_record_that_cannot_be_decoded_is_an_error, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(an_output_that_fails_is_an_error, fixture_setup, fixture_teardown),
	};

	return cmocka_run_group_tests_name("images-show", tests, NULL, NULL);
}
