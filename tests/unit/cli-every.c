// SPDX-License-Identifier: LGPL-2.1-or-later
/* Periodic checkpoints: no image goes that a kept one needs. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "every.h"

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
	const struct CMUnitTest tests[] = { cmocka_unit_test(what_is_needed_stays) };

	return cmocka_run_group_tests_name("cli-every", tests, NULL, NULL);
}
