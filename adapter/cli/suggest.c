// SPDX-License-Identifier: LGPL-2.1-or-later
/* Suggestions for mistyped words. The distance is the "optimal string alignment" one: edits plus swaps of neighbours. */
#include "suggest.h"

#include <string.h>

#define SUGGEST_MAX 63

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

size_t suggest_distance(const char *a, const char *b)
{
	size_t row[3][SUGGEST_MAX + 1];
	size_t n = strnlen(a, SUGGEST_MAX), m = strnlen(b, SUGGEST_MAX);

	for (size_t j = 0; j <= m; j++)
		row[0][j] = j;
	for (size_t i = 1; i <= n; i++) {
		size_t *now = row[i % 3], *before = row[(i + 2) % 3], *before2 = row[(i + 1) % 3];

		now[0] = i;
		for (size_t j = 1; j <= m; j++) {
			now[j] = least(least(before[j], now[j - 1]) + 1, before[j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				now[j] = least(now[j], before2[j - 2] + 1);
		}
	}
	return row[n % 3][m];
}

void suggest_offer(const char *word, const char *candidate, const char **best)
{
	size_t length = strnlen(word, SUGGEST_MAX), distance = suggest_distance(word, candidate);

	if (length >= 2 && !strncmp(word, candidate, length))
		distance = 1;
	if (distance > (length / 3 ? length / 3 : 1))
		return;
	if (!*best || distance < suggest_distance(word, *best))
		*best = candidate;
}
