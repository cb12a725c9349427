/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Helpers for tests of the /proc parsers: texts in heap buffers of exactly their size, so that a sanitizer sees a step outside,
 * and the same text cut at every length. */
#ifndef TEST_PROC_EXACT_H
#define TEST_PROC_EXACT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Calls try_text with every prefix of the text, and with the text once more for each byte turned into a NUL. */
static inline void exact_each_damage(const char *text, size_t size, void (*try_text)(const char *text, size_t size))
{
	for (size_t n = 0; n <= size; n++) {
		char *copy = malloc(n ? n : 1);

		assert_non_null(copy);
		memcpy(copy, text, n);
		try_text(copy, n);
		free(copy);
	}
	for (size_t i = 0; i < size; i++) {
		char *copy = malloc(size);

		assert_non_null(copy);
		memcpy(copy, text, size);
		copy[i] = '\0';
		try_text(copy, size);
		free(copy);
	}
}

#endif
