// SPDX-License-Identifier: LGPL-2.1-or-later
/* Sets of pages as sorted ranges: union, intersection and lookup agree, page by page, with plain arrays, whatever the ranges.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "track/ranges.h"

#define N 200

static uint64_t seed = 88172645463325252u;

static uint32_t roll(uint32_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 16) % n;
}

static void make(bool *has, struct ranges *r)
{
	*r = (struct ranges){ 0 };
	memset(has, 0, N);
	for (uint32_t at = roll(20), end; at < N; at = end + roll(20)) {
		end = at + roll(20) < N ? at + roll(20) : N;
		end = end < at ? at : end;
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
	bool a[N], b[N];
	struct ranges x, y;

	(void)state;
	for (int round = 0; round < 2000; round++) {
		make(a, &x);
		make(b, &y);
		assert_is(&x, a);
		bool both = round & 1;
		assert_int_equal((both ? ranges_intersect : ranges_unite)(&x, &y), 0);
		for (int i = 0; i < N; i++)
			a[i] = both ? a[i] && b[i] : a[i] || b[i];
		assert_is(&x, a);
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
	return cmocka_run_group_tests_name("track-ranges", tests, NULL, NULL);
}
