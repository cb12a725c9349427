// SPDX-License-Identifier: LGPL-2.1-or-later
/* What a channel of a saved PIT has still to count after the time that the other clocks of its machine have gone on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kvm/kvm.h"

#define MS 1000000ll /* ns: 1193 ticks */

static uint32_t left(uint8_t mode, uint32_t count, int64_t elapsed)
{
	struct kvm_pit_channel_state c = { .mode = mode, .count = count };

	kvm_pit_advance(&c, elapsed);
	return c.count;
}

static void one_shot_has_less_to_go(void **state)
{
	(void)state;
	assert_int_equal(left(0, 0x10000, 10 * MS), 0x10000 - 11931);
	assert_int_equal(left(0, 0, 10 * MS), 0x10000 - 11931); /* 0 is the longest count */
	assert_int_equal(left(4, 30000, 10 * MS), 30000 - 11931);
	assert_int_equal(left(0, 30000, -5), 30000);
}

static void one_shot_that_was_over_stays_over(void **state)
{
	(void)state;
	assert_int_equal(left(0, 1193, 1 * MS), 1);
	assert_int_equal(left(0, 0x10000, 3600 * 1000 * MS), 1);
	assert_int_equal(left(4, 30000, 292ll * 365 * 86400 * 1000 * MS), 1);
}

static void period_is_kept_whole(void **state)
{
	(void)state;
	assert_int_equal(left(2, 11932, 3 * MS), 11932);
	assert_int_equal(left(3, 0x10000, 3 * MS), 0x10000);
	assert_int_equal(left(1, 500, 3 * MS), 500); /* waits for its gate */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_shot_has_less_to_go),
		cmocka_unit_test(one_shot_that_was_over_stays_over),
		cmocka_unit_test(period_is_kept_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
