// SPDX-License-Identifier: LGPL-2.1-or-later
/* Periodic checkpoints: how times are written, and that no image goes that a kept one needs. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "every.h"

static void times_are_understood(void **state)
{
	static const struct {
		const char *text;
		unsigned seconds;
	} good[] = { { "1", 1 }, { "90s", 90 }, { "5m", 300 }, { "2h", 7200 } };
	static const char *const bad[] = { "", "s", "0", "-5", "5x", "5mm", "1d", " 5", "99999999999h" };
	unsigned seconds;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_true(every_parse(good[i].text, &seconds));
		assert_int_equal(seconds, good[i].seconds);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(every_parse(bad[i], &seconds));
}

/* Chains of any length: the last `keep` and all that they go back to stay, and never more than one chain too many. */
static void what_is_needed_stays(void **state)
{
	unsigned chain[200];

	(void)state;
	for (unsigned keep = 1; keep < 12; keep++) {
		for (unsigned n = 0; n < ARRAY_SIZE(chain); n++) {
			chain[n] = n / keep * keep;
			unsigned gone = every_expired(chain, n + 1, keep);
			for (unsigned k = n + 1 > keep ? n + 1 - keep : 0; k <= n; k++)
				assert_true(gone <= chain[k]);
			assert_true(n + 1 - gone <= 2 * keep - 1);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(times_are_understood), cmocka_unit_test(what_is_needed_stays) };

	return cmocka_run_group_tests_name("cli-every", tests, NULL, NULL);
}
