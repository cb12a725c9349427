/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finds what somebody may have meant by a word that is not there. */
#ifndef STASIS_CLI_SUGGEST_H
#define STASIS_CLI_SUGGEST_H

#include <stddef.h>

/* Letters to insert, delete, change or swap with their neighbour to make one word of the other; words of more than 63 letters
 * are compared by their first 63. */
size_t suggest_distance(const char *a, const char *b);

/* Offers one more candidate: takes its place in *best when it is nearer to `word` than what is there and near enough to be
 * meant at all (a third of the word's length, at least 1; or the word begins the candidate). Start with *best = NULL. */
void suggest_offer(const char *word, const char *candidate, const char **best);

#endif
