/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Numbers for tests that try many cases: the same in each run. */
#ifndef STASIS_TESTS_ROLL_H
#define STASIS_TESTS_ROLL_H

#include <stdint.h>

/* From 0 to n - 1 (xorshift64). */
static inline uint32_t roll(uint32_t n)
{
	static uint64_t seed = 88172645463325252u;

	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 16) % n;
}

#endif
