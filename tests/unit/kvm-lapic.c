// SPDX-License-Identifier: LGPL-2.1-or-later
/* The timer of a saved LAPIC is moved on by the time that the other clocks of its machine have gone on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "kvm/kvm.h"

enum { ONE_SHOT, PERIODIC, DEADLINE };

static void put(struct kvm_lapic_state *l, size_t reg, uint32_t value)
{
	memcpy(l->regs + reg, &value, sizeof(value));
}

/* `divide`: the register's value. Returns the current count after `gained` ns. */
static uint32_t advanced(uint32_t mode, uint32_t divide, uint32_t initial, uint32_t count, int64_t gained, uint64_t cycle_ns)
{
	struct kvm_lapic_state l = { 0 };

	put(&l, 0x320, mode << 17 | 0x30);
	put(&l, 0x3e0, divide);
	put(&l, 0x380, initial);
	put(&l, 0x390, count);
	kvm_lapic_advance(&l, gained, cycle_ns);
	memcpy(&count, l.regs + 0x390, sizeof(count));
	return count;
}

static void one_shot_has_less_to_go(void **state)
{
	(void)state;
	assert_int_equal(advanced(ONE_SHOT, 0xb, 5000, 4000, 1500, 1), 2500); /* divide by 1 */
	assert_int_equal(advanced(ONE_SHOT, 0x0, 5000, 4000, 1500, 1), 3250); /* by 2 */
	assert_int_equal(advanced(ONE_SHOT, 0x3, 5000, 4000, 1600, 1), 3900); /* by 16 */
	assert_int_equal(advanced(ONE_SHOT, 0xa, 5000, 4000, 1280, 1), 3990); /* by 128 */
	assert_int_equal(advanced(ONE_SHOT, 0xb, 5000, 4000, 1500, 25), 3940); /* a slower bus */
}

static void one_shot_that_was_due_goes_off_at_once(void **state)
{
	(void)state;
	assert_int_equal(advanced(ONE_SHOT, 0xb, 5000, 4000, 4000, 1), 0);
	assert_int_equal(advanced(ONE_SHOT, 0xb, 5000, 4000, 1000000000000, 1), 0);
}

static void periodic_keeps_its_phase(void **state)
{
	(void)state;
	assert_int_equal(advanced(PERIODIC, 0xb, 5000, 4000, 1500, 1), 2500);
	assert_int_equal(advanced(PERIODIC, 0xb, 5000, 4000, 4001, 1), 4999);
	assert_int_equal(advanced(PERIODIC, 0xb, 5000, 4000, 4000 + 3 * 5000 + 7, 1), 4993);
}

static void what_does_not_count_stays(void **state)
{
	(void)state;
	assert_int_equal(advanced(DEADLINE, 0xb, 5000, 4000, 1500, 1), 4000);
	assert_int_equal(advanced(ONE_SHOT, 0xb, 0, 0, 1500, 1), 0);
	assert_int_equal(advanced(ONE_SHOT, 0xb, 5000, 0, 1500, 1), 0); /* has gone off */
	assert_int_equal(advanced(ONE_SHOT, 0xb, 5000, 4000, -5, 1), 4000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_shot_has_less_to_go),
		cmocka_unit_test(one_shot_that_was_due_goes_off_at_once),
		cmocka_unit_test(periodic_keeps_its_phase),
		cmocka_unit_test(what_does_not_count_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
