/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A cursor over a text that need not end in a NUL and may hold any byte. The parsers of /proc texts are written with it, so
 * that none of them can step outside of its buffer. */
#ifndef STASIS_PROC_TEXT_H
#define STASIS_PROC_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text {
	const char *p, *end; /* p <= end; p == end is "nothing left" */
};

static inline struct text text_init(const char *data, size_t size)
{
	return (struct text){ data, data ? data + size : data };
}

static inline size_t text_left(const struct text *t)
{
	return (size_t)(t->end - t->p);
}

/* Takes the next line, without its newline, off the front of t. The last line needs no newline. False when t is empty. */
bool text_line(struct text *t, struct text *ret_line);

/* Steps over blanks and tabs. */
void text_skip_blanks(struct text *t);

/* Takes one character, or a string, if it is what comes next; else t is unchanged. */
bool text_take_char(struct text *t, char c);
bool text_take(struct text *t, const char *literal);

/* Blanks, then a run of characters that are neither blank nor tab. False when there is none. */
bool text_word(struct text *t, struct text *ret_word);
bool text_is(const struct text *t, const char *literal);

/* Blanks, then a number in `base` (8, 10 or 16; no 0x prefix) up to the first character that is no digit of it. False, with t
 * unchanged, when there is none or when it does not fit. */
bool text_u64(struct text *t, int base, uint64_t *ret);
bool text_i64(struct text *t, uint64_t *ret_magnitude, bool *ret_negative);

/* The same for narrower decimal types; out of range is false as well. */
bool text_u32(struct text *t, int base, uint32_t *ret);
bool text_i32(struct text *t, int32_t *ret);
bool text_s64(struct text *t, int64_t *ret);

/* What is left, less blanks at its end, as an allocated string; NULL when there is no memory. */
char *text_dup(const struct text *t);

#endif
