/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A cursor over a bounded text: lines, words and numbers. Nothing here reads a byte at or after `end`. */
#include "proc/text.h"

#include <stdlib.h>
#include <string.h>

bool text_line(struct text *t, struct text *ret_line)
{
	const char *nl;

	if (t->p == t->end)
		return false;
	nl = memchr(t->p, '\n', text_left(t));
	*ret_line = (struct text){ t->p, nl ? nl : t->end };
	t->p = nl ? nl + 1 : t->end;
	return true;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

void text_skip_blanks(struct text *t)
{
	while (t->p < t->end && is_blank(*t->p))
		t->p++;
}

bool text_take_char(struct text *t, char c)
{
	if (t->p == t->end || *t->p != c)
		return false;
	t->p++;
	return true;
}

bool text_take(struct text *t, const char *literal)
{
	size_t n = strlen(literal);

	if (text_left(t) < n || memcmp(t->p, literal, n) != 0)
		return false;
	t->p += n;
	return true;
}

bool text_word(struct text *t, struct text *ret_word)
{
	const char *start;

	text_skip_blanks(t);
	start = t->p;
	while (t->p < t->end && !is_blank(*t->p))
		t->p++;
	if (t->p == start)
		return false;
	*ret_word = (struct text){ start, t->p };
	return true;
}

bool text_is(const struct text *t, const char *literal)
{
	size_t n = strlen(literal);

	return text_left(t) == n && memcmp(t->p, literal, n) == 0;
}

static int digit_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return 16;
}

bool text_u64(struct text *t, int base, uint64_t *ret)
{
	struct text c = *t;
	uint64_t value = 0;
	bool any = false;

	text_skip_blanks(&c);
	for (; c.p < c.end && digit_of(*c.p) < base; c.p++) {
		if (__builtin_mul_overflow(value, (uint64_t)base, &value) ||
		    __builtin_add_overflow(value, (uint64_t)digit_of(*c.p), &value))
			return false;
		any = true;
	}
	if (!any)
		return false;
	*t = c;
	*ret = value;
	return true;
}

bool text_i64(struct text *t, uint64_t *ret_magnitude, bool *ret_negative)
{
	struct text c = *t;
	bool negative;

	text_skip_blanks(&c);
	negative = text_take_char(&c, '-');
	if (c.p == c.end || is_blank(*c.p) || !text_u64(&c, 10, ret_magnitude))
		return false;
	*t = c;
	*ret_negative = negative;
	return true;
}

bool text_u32(struct text *t, int base, uint32_t *ret)
{
	struct text c = *t;
	uint64_t value;

	if (!text_u64(&c, base, &value) || value > UINT32_MAX)
		return false;
	*t = c;
	*ret = (uint32_t)value;
	return true;
}

bool text_s64(struct text *t, int64_t *ret)
{
	struct text c = *t;
	uint64_t magnitude;
	bool negative;

	if (!text_i64(&c, &magnitude, &negative) || magnitude > (uint64_t)INT64_MAX + (negative ? 1 : 0))
		return false;
	*t = c;
	*ret = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
	return true;
}

bool text_i32(struct text *t, int32_t *ret)
{
	struct text c = *t;
	int64_t value;

	if (!text_s64(&c, &value) || value < INT32_MIN || value > INT32_MAX)
		return false;
	*t = c;
	*ret = (int32_t)value;
	return true;
}

char *text_dup(const struct text *t)
{
	size_t n = text_left(t);
	char *s;

	while (n > 0 && is_blank(t->p[n - 1]))
		n--;
	s = malloc(n + 1);
	if (!s)
		return NULL;
	if (n > 0)
		memcpy(s, t->p, n);
	s[n] = '\0';
	return s;
}
