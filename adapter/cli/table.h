/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A table of words in columns as wide as they need to be. */
#ifndef STASIS_CLI_TABLE_H
#define STASIS_CLI_TABLE_H

#include <stddef.h>
#include <stdio.h>

#include "base/vec.h"

struct table {
	size_t columns;
	VEC(char *) cells; /* row by row; the first row is the heading */
};

/* Adds one cell (made harmless for terminals; NULL = "-"), in a new row when the last one is full. Returns 0 or -ENOMEM. */
int table_add(struct table *t, const char *text);

/* Prints it. On a terminal the heading is bold and lines are cut at its width; elsewhere nothing is cut. */
void table_print(const struct table *t, FILE *out);

void table_finish(struct table *t);

#endif
