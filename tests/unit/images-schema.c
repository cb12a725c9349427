// SPDX-License-Identifier: LGPL-2.1-or-later
/* Records through encoder and decoder: every type comes back, and what does not fit its table is refused. */
#include "images-fixture.h"

#include <limits.h>
#include <string.h>

static void *encode(const struct img_schema *schema, const void *value, size_t *ret_size)
{
	void *data = NULL;

	assert_int_equal(img_schema_encode(schema, value, &data, ret_size), 0);
	return data;
}

static void every_type_comes_back(void **state)
{
	struct fixture *f = *state;
	struct sample in = { .u32 = UINT32_MAX,
		             .i32 = INT32_MIN,
		             .u64 = UINT64_MAX,
		             .i64 = INT64_MIN,
		             .yes = true,
		             .text = (char *)"a\xff\n",
		             .bytes = { (void *)"\0x\0", 3 },
		             .mode = 0755,
		             .address = 1 };
	struct sample out;
	size_t size;
	AUTO_FREE void *data = encode(&sample_schema, &in, &size);

	assert_int_equal(size % 8, 0);
	assert_int_equal(img_schema_decode(&sample_schema, data, size, &f->rep, &out), 0);
	assert_true(out.u32 == UINT32_MAX && out.i32 == INT32_MIN && out.u64 == UINT64_MAX && out.i64 == INT64_MIN && out.yes);
	assert_string_equal(out.text, "a\xff\n");
	assert_null(out.absent);
	assert_int_equal(out.bytes.size, 3);
	assert_memory_equal(out.bytes.data, "\0x\0", 3);
	assert_null(out.empty.data);
	assert_int_equal(out.empty.size, 0);
	assert_true(out.mode == 0755 && out.address == 1);
	img_schema_clear(&sample_schema, &out);
	assert_null(out.text);
	assert_int_equal(out.u32, 0);
}

static void an_empty_string_is_not_an_absent_one(void **state)
{
	struct fixture *f = *state;
	struct sample in = { .text = (char *)"" }, out;
	size_t size;
	AUTO_FREE void *data = encode(&sample_schema, &in, &size);

	assert_int_equal(img_schema_decode(&sample_schema, data, size, &f->rep, &out), 0);
	assert_string_equal(out.text, "");
	assert_null(out.absent);
	img_schema_clear(&sample_schema, &out);
}

struct strict {
	char *text;
	struct img_bytes bytes;
};
static const struct img_field strict_fields[] = {
	IMG_FIELD_REQUIRED(1, strict, text, IMG_STR, IMG_DEC),
	IMG_FIELD_REQUIRED(2, strict, bytes, IMG_BYTES, IMG_DEC),
};
static const struct img_schema strict_schema = IMG_SCHEMA("STRC", 1, 0, "strict", strict, strict_fields);

static void a_required_string_must_be_there(void **state)
{
	struct fixture *f = *state;
	struct strict in = { 0 }, out;
	void *data = NULL;
	size_t size = 0;

	assert_int_equal(img_schema_encode(&strict_schema, &in, &data, &size), -EINVAL);
	assert_null(data);
	assert_int_equal(img_schema_decode(&strict_schema, "", 0, &f->rep, &out), -EBADMSG);
	fixture_assert_said(f, "record \"strict\": field \"text\": is missing");
	in.text = (char *)"x";
	data = encode(&strict_schema, &in, &size);
	assert_int_equal(img_schema_decode(&strict_schema, data, size, &f->rep, &out), 0);
	assert_int_equal(out.bytes.size, 0);
	img_schema_clear(&strict_schema, &out);
	free(data);
}

/* One field by hand: id, type, length as claimed, then the value. */
static size_t put_field(uint8_t *at, uint16_t id, uint16_t type, uint32_t length, const void *value, size_t size)
{
	struct disk_field head = { id, type, length };
	size_t padded = (size + 7) & ~(size_t)7;

	memcpy(at, &head, sizeof(head));
	memset(at + sizeof(head), 0, padded);
	memcpy(at + sizeof(head), value, size);
	return sizeof(head) + padded;
}

static void refused(struct fixture *f, const uint8_t *data, size_t size, const char *why)
{
	struct sample out, zero;

	memset(&zero, 0, sizeof(zero));
	memset(&out, 0xa5, sizeof(out));
	assert_int_equal(img_schema_decode(&sample_schema, data, size, &f->rep, &out), -EBADMSG);
	assert_memory_equal(&out, &zero, sizeof(out));
	fixture_assert_said(f, why);
	assert_int_equal(img_schema_decode(&sample_schema, data, size, NULL, &out), -EBADMSG);
}

static void what_does_not_fit_the_table_is_refused(void **state)
{
	struct fixture *f = *state;
	uint8_t data[256];
	size_t n = put_field(data, 1, IMG_U32, 4, "\1\0\0\0", 4);

	refused(f, data, 0, "\"u32\": is missing");
	for (size_t i = 1; i < n; i++)
		refused(f, data, i, "ends in the middle of a field");
	size_t m = n + put_field(data + n, 1, IMG_U32, 4, "\2\0\0\0", 4);
	refused(f, data, m, "\"u32\": is there twice");
	m = n + put_field(data + n, 3, IMG_U32, 4, "\2\0\0\0", 4);
	refused(f, data, m, "\"u64\": has the wrong type");
	m = n + put_field(data + n, 3, IMG_U64, 4, "\2\0\0\0\0\0\0\0", 8);
	refused(f, data, m, "\"u64\": has the wrong length");
	m = n + put_field(data + n, 5, IMG_BOOL, 1, "\2", 1);
	refused(f, data, m, "\"yes\": has a value out of range");
	m = n + put_field(data + n, 6, IMG_STR, 5, "ab\0cd", 5);
	refused(f, data, m, "\"text\": has a value out of range");
	m = n + put_field(data + n, 6, IMG_STR, UINT32_MAX, "abc", 3);
	refused(f, data, m, "ends in the middle of a field");
	m = n + put_field(data + n, 8, IMG_BYTES, 9, "12345678", 8);
	refused(f, data, m, "ends in the middle of a field");
	/* A string before the fault must not leak or stay in the struct (the sanitizer build watches). */
	m = n + put_field(data + n, 6, IMG_STR, 3, "abc", 3);
	m += put_field(data + m, 8, IMG_BYTES, 3, "abc", 3);
	m += put_field(data + m, 6, IMG_STR, 3, "abc", 3);
	refused(f, data, m, "\"text\": is there twice");
}

static void unknown_fields_are_skipped(void **state)
{
	struct fixture *f = *state;
	uint8_t data[256];
	struct sample out;
	size_t n = put_field(data, 999, 77, 13, "of the future", 13);

	n += put_field(data + n, 1, IMG_U32, 4, "\5\0\0\0", 4);
	n += put_field(data + n, 1000, 0, 0, "", 0);
	assert_int_equal(img_schema_decode(&sample_schema, data, n, &f->rep, &out), 0);
	assert_int_equal(out.u32, 5);
	assert_int_equal(f->n_errors, 0);
}

/* The bytes of a record are part of the format, not of the machine that wrote them. */
static void the_encoding_is_the_documented_one(void **state)
{
	struct strict in = { .text = (char *)"ab", .bytes = { (void *)"12345678", 8 } };
	static const uint8_t expected[] = { 1, 0, IMG_STR,   0, 2, 0, 0, 0, 'a', 'b', 0,   0,   0,   0,   0,   0,
		                            2, 0, IMG_BYTES, 0, 8, 0, 0, 0, '1', '2', '3', '4', '5', '6', '7', '8' };
	size_t size;
	AUTO_FREE void *data = encode(&strict_schema, &in, &size);

	(void)state;
	assert_int_equal(size, sizeof(expected));
	assert_memory_equal(data, expected, size);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_type_comes_back, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(an_empty_string_is_not_an_absent_one, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(a_required_string_must_be_there, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(what_does_not_fit_the_table_is_refused, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(unknown_fields_are_skipped, fixture_setup, fixture_teardown),
		cmocka_unit_test(the_encoding_is_the_documented_one),
	};

	return cmocka_run_group_tests_name("images-schema", tests, NULL, NULL);
}
