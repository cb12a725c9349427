// SPDX-License-Identifier: LGPL-2.1-or-later
/* Sets of pages as sorted ranges: union, intersection, difference and lookup agree, page by page, with plain arrays, whatever
 * the ranges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/ranges.h"
#include "roll.h"

#define N 200

static void make(bool *has, struct ranges *r)
{
	*r = (struct ranges){ 0 };
	memset(has, 0, N);
	for (uint32_t at = roll(20), end; at < N; at = end + roll(20)) {
		end = at + roll(20);
		end = end < N ? end : N;
		assert_int_equal(ranges_add(r, at, end), 0);
		memset(has + at, 1, end - at);
	}
}

static void assert_is(const struct ranges *r, const bool *has)
{
	uint64_t end;
	size_t i = 0;

	for (uint64_t at = 0; at < N; at = end) {
		bool have = ranges_have(r, &i, at, N, &end);
		assert_true(end > at && end <= N);
		for (uint64_t k = at; k < end; k++)
			assert_int_equal(have, has[k]);
	}
}

static void sets_are_as_arrays_have_them(void **state)
{
	int (*const combine[])(struct ranges *, const struct ranges *) = { ranges_intersect, ranges_unite, ranges_subtract };
	bool a[N], b[N];
	struct ranges x, y;

	(void)state;
	for (int round = 0; round < 3000; round++) {
		const int how = round % 3;
		uint64_t bytes = 0;
		make(a, &x);
		make(b, &y);
		assert_is(&x, a);
		assert_int_equal(combine[how](&x, &y), 0);
		for (int i = 0; i < N; i++) {
			a[i] = how == 0 ? a[i] && b[i] : how == 1 ? a[i] || b[i] : a[i] && !b[i];
			bytes += a[i];
		}
		assert_is(&x, a);
		assert_int_equal(ranges_bytes(&x), bytes);
		assert_is(&y, b);
		ranges_finish(&x);
		ranges_finish(&y);
	}
}

static void ranges_that_touch_are_one(void **state)
{
	struct ranges r = { 0 };
	uint64_t end;
	size_t i = 0;

	(void)state;
	assert_int_equal(ranges_add(&r, 10, 20), 0);
	assert_int_equal(ranges_add(&r, 20, 30), 0);
	assert_int_equal(ranges_add(&r, 40, 40), 0);
	assert_int_equal(r.n, 1);
	assert_true(ranges_have(&r, &i, 10, 100, &end));
	assert_int_equal(end, 30);
	assert_false(ranges_have(&r, &i, 30, 100, &end));
	assert_int_equal(end, 100);
	ranges_finish(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sets_are_as_arrays_have_them),
		cmocka_unit_test(ranges_that_touch_are_one),
	};
	return cmocka_run_group_tests_name("base-ranges", tests, NULL, NULL);
}
