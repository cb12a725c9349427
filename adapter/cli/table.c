// SPDX-License-Identifier: LGPL-2.1-or-later
/* Tables. Columns are counted in characters, taking each UTF-8 character as one column wide. */
#include "table.h"

#include <stdlib.h>
#include <string.h>

#include "term.h"
#include "words.h"

int table_add(struct table *t, const char *text)
{
	char *copy = text && *text ? words_clean(text) : strdup("-");
	int err = copy ? vec_push(&t->cells, copy) : -ENOMEM;

	if (err)
		free(copy);
	return err;
}

static size_t text_columns(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

/* Prints at most `room` characters and returns how many there were. */
static size_t print_cut(const char *text, size_t room, FILE *out)
{
	size_t n = 0;

	for (; *text; text++) {
		if (((unsigned char)*text & 0xc0) != 0x80 && ++n > room)
			return room;
		putc(*text, out);
	}
	return n;
}

static size_t column_width(const struct table *t, size_t column)
{
	size_t widest = 0;

	for (size_t i = column; i < t->cells.n; i += t->columns)
		if (text_columns(t->cells.items[i]) > widest)
			widest = text_columns(t->cells.items[i]);
	return widest;
}

void table_print(const struct table *t, FILE *out)
{
	size_t screen = term_width(out);
	bool colour = term_has_colour(out);

	for (size_t i = 0; i < t->cells.n; i += t->columns) {
		size_t room = screen ? screen : (size_t)-1;

		fputs(i == 0 ? term_colour_on(colour, TERM_BOLD) : "", out);
		for (size_t c = 0; c < t->columns && i + c < t->cells.n; c++) {
			size_t n = print_cut(t->cells.items[i + c], room, out);
			size_t pad = c + 1 < t->columns ? column_width(t, c) + 2 - n : 0;

			room -= n;
			for (; pad && room; pad--, room--)
				putc(' ', out);
		}
		fputs(i == 0 ? term_colour_off(colour) : "", out);
		putc('\n', out);
	}
}

void table_finish(struct table *t)
{
	vec_each(&t->cells, it)
		free(*it);
	vec_finish(&t->cells);
}
