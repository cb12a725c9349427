// SPDX-License-Identifier: LGPL-2.1-or-later
/* Words and numbers for people and for JSON. */
#include "words.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Length of the well-formed UTF-8 character at `p`, 0 if there is none. Overlong forms, surrogates and what lies above
 * U+10FFFF are none, as RFC 3629 has it. */
static size_t utf8_length(const unsigned char *p)
{
	static const struct {
		unsigned char from, to, second_from, second_to, length;
	} forms[] = {
		{ 0x00, 0x7f, 0, 0, 1 },       { 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 },
		{ 0xe1, 0xec, 0x80, 0xbf, 3 }, { 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
		{ 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		if (*p < forms[i].from || *p > forms[i].to)
			continue;
		if (forms[i].length > 1 && (p[1] < forms[i].second_from || p[1] > forms[i].second_to))
			return 0;
		for (size_t k = 2; k < forms[i].length; k++)
			if ((p[k] & 0xc0) != 0x80)
				return 0;
		return forms[i].length;
	}
	return 0;
}

/* C0 and C1 control characters and DEL: what a terminal may obey. A tab is harmless. */
static bool is_control(const unsigned char *p, size_t length)
{
	if (length == 1)
		return (*p < 0x20 && *p != '\t') || *p == 0x7f;
	return length == 2 && p[0] == 0xc2 && p[1] < 0xa0;
}

static char *words_escape(const char *text, bool controls)
{
	char *copy = malloc(strlen(text) * 4 + 1), *out = copy;
	const unsigned char *p = (const unsigned char *)text;

	if (!copy)
		return NULL;
	while (*p) {
		size_t length = utf8_length(p);

		if (length && !(controls && is_control(p, length))) {
			memcpy(out, p, length);
			out += length;
		} else {
			length = length ? length : 1;
			for (size_t i = 0; i < length; i++)
				out += sprintf(out, "\\x%02x", p[i]);
		}
		p += length;
	}
	*out = '\0';
	return copy;
}

char *words_clean(const char *text)
{
	return words_escape(text, true);
}

char *words_size(uint64_t bytes, char buf[WORDS_SIZE_ROOM])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double value = (double)bytes;
	size_t unit = 0;

	while (value >= 1023.95 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		value /= 1024;
		unit++;
	}
	int digits = unit == 0 ? 0 : value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
	snprintf(buf, WORDS_SIZE_ROOM, "%.*f %s", digits, value, units[unit]);
	return buf;
}

char *words_time(uint64_t us, char buf[WORDS_TIME_ROOM])
{
	if (us < 1000)
		snprintf(buf, WORDS_TIME_ROOM, "%u us", (unsigned)us);
	else if (us < 1000000)
		snprintf(buf, WORDS_TIME_ROOM, "%.*f ms", us < 100000 ? 1 : 0, (double)us / 1e3);
	else if (us < 60000000)
		snprintf(buf, WORDS_TIME_ROOM, "%.2f s", (double)us / 1e6);
	else
		snprintf(buf, WORDS_TIME_ROOM, "%llu min %02llu s", (unsigned long long)(us / 60000000),
			 (unsigned long long)(us / 1000000 % 60));
	return buf;
}

json_t *words_json(const char *text)
{
	if (!text)
		return json_null();
	char *escaped = words_escape(text, false);
	json_t *value = escaped ? json_string(escaped) : NULL;
	free(escaped);
	return value;
}
