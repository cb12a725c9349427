// SPDX-License-Identifier: LGPL-2.1-or-later
/* The working set beside an image: what was written is read, of another image or none it is nothing, and whatever somebody else has put
 * there is read without harm. */
#include "images-fixture.h"

#include <errno.h>
#include <string.h>
#include <sys/xattr.h>

#include "order.h"

#define NAME "user.stasis.order"

static struct img_reader *sample(struct fixture *f)
{
	struct img_reader *r = NULL;

	sample_write_image(f, f->path, IMG_CODEC_NONE);
	assert_int_equal(img_reader_open(&f->rep, f->path, &r), 0);
	if (setxattr(f->path, NAME, "", 0, 0) && errno == ENOTSUP)
		skip(); /* a file system without extended attributes */
	return r;
}

static void what_was_written_is_read(void **state)
{
	struct img_reader *r = sample(*state);
	uint32_t in[IMG_ORDER_MAX + 1], out[IMG_ORDER_MAX];

	for (uint32_t i = 0; i < IMG_ORDER_MAX + 1; i++)
		in[i] = i * 0x9e3779b9u;
	assert_int_equal(img_order_read(r, out), 0);
	assert_int_equal(img_order_write(r, in, 3), 0);
	assert_int_equal(img_order_read(r, out), 3);
	assert_memory_equal(in, out, 3 * sizeof(in[0]));
	assert_int_equal(img_order_write(r, in, IMG_ORDER_MAX + 1), 0); /* no more than there is room for */
	assert_int_equal(img_order_read(r, out), IMG_ORDER_MAX);
	assert_memory_equal(in, out, sizeof(out));
	img_reader_destroy(r);
}

static void of_another_image_it_is_nothing(void **state)
{
	struct fixture *f = *state;
	struct img_reader *r = sample(f);
	uint32_t order[IMG_ORDER_MAX] = { 1, 2, 3 };
	uint8_t value[64];

	assert_int_equal(img_order_write(r, order, 3), 0);
	ssize_t n = getxattr(f->path, NAME, value, sizeof(value));
	assert_int_equal(n, 16 + 12);
	value[5] ^= 1;
	assert_int_equal(setxattr(f->path, NAME, value, (size_t)n, 0), 0);
	assert_int_equal(img_order_read(r, order), 0);
	img_reader_destroy(r);
}

static void odd_sizes_are_harmless(void **state)
{
	struct fixture *f = *state;
	struct img_reader *r = sample(f);
	uint32_t order[IMG_ORDER_MAX];
	uint8_t value[4000];

	memset(value, 0x5a, sizeof(value));
	memcpy(value, img_reader_content_id(r), 16);
	for (size_t n = 0; n < 24; n++) {
		assert_int_equal(setxattr(f->path, NAME, value, n, 0), 0);
		assert_int_equal(img_order_read(r, order), n < 16 ? 0 : (n - 16) / 4);
	}
	assert_int_equal(setxattr(f->path, NAME, value, 3900, 0), 0); /* more than there may be */
	assert_int_equal(img_order_read(r, order), 0);
	img_reader_destroy(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_was_written_is_read, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(of_another_image_it_is_nothing, fixture_setup, fixture_teardown),
		cmocka_unit_test_setup_teardown(odd_sizes_are_harmless, fixture_setup, fixture_teardown),
	};
	return cmocka_run_group_tests_name("images-order", tests, NULL, NULL);
}
