// SPDX-License-Identifier: LGPL-2.1-or-later
/* Shows findings. */
#include "findings-view.h"

#include <string.h>

#include "base/cleanup.h"
#include "table.h"
#include "term.h"
#include "words.h"

static int print_table(const struct findings *f, FILE *out)
{
	struct table t = { .columns = 3 };
	int err = 0;

	if (table_add(&t, "OBJECT") || table_add(&t, "KIND") || table_add(&t, "ACTION"))
		err = -ENOMEM;
	vec_each(&f->list, it)
		if (!err && (table_add(&t, it->object) || table_add(&t, it->kind) ||
			     table_add(&t, it->obstacle ? "obstacle, see below" : it->action)))
			err = -ENOMEM;
	if (!err)
		table_print(&t, out);
	table_finish(&t);
	return err;
}

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

static bool same_obstacle(const struct finding *a, const struct finding *b)
{
	return a->obstacle && same_text(a->obstacle, b->obstacle) && same_text(a->remedy, b->remedy);
}

static int print_clean(const char *before, const char *text, const char *after, FILE *out)
{
	AUTO_FREE char *clean = words_clean(text);

	if (!clean)
		return -ENOMEM;
	fprintf(out, "%s%s%s", before, clean, after);
	return 0;
}

/* The obstacle at `first`, with everything it stands in the way of; nothing when it was printed with an earlier one. */
static int print_obstacle(const struct findings *f, const struct finding *first, bool colour, FILE *out)
{
	int err = 0;

	for (const struct finding *it = f->list.items; it < first; it++)
		if (same_obstacle(it, first))
			return 0;
	fputs(term_colour_on(colour, TERM_RED), out);
	vec_each(&f->list, it) {
		if (err || !same_obstacle(it, first))
			continue;
		err = print_clean(it == first ? "" : ", ", it->object ? it->object : "?", "", out);
		if (!err && it->kind)
			err = print_clean(" (", it->kind, ")", out);
	}
	fprintf(out, "%s: ", term_colour_off(colour));
	if (!err)
		err = print_clean("", first->obstacle, "\n", out);
	if (!err && first->remedy)
		err = print_clean("    remedy: ", first->remedy, "\n", out);
	return err;
}

int findings_print(const struct findings *f, const char *title, const char *verb, FILE *out)
{
	AUTO_FREE char *clean = words_clean(title);
	bool colour = term_has_colour(out);
	int err = clean ? 0 : -ENOMEM;

	if (!err && f->list.n)
		err = print_table(f, out);
	if (err)
		return err;
	if (f->obstacles)
		putc('\n', out);
	vec_each(&f->list, it)
		if (!err && it->obstacle)
			err = print_obstacle(f, it, colour, out);
	if (err)
		return err;
	if (f->list.n)
		putc('\n', out);
	if (f->obstacles)
		fprintf(out, "%s cannot be %s: %zu obstacle%s\n", clean, verb, f->obstacles, f->obstacles == 1 ? "" : "s");
	else
		fprintf(out, "%s can be %s\n", clean, verb);
	return 0;
}

json_t *findings_json(const struct findings *f)
{
	json_t *list = json_array();

	vec_each(&f->list, it) {
		json_t *one = json_pack("{s:o, s:o, s:o, s:o, s:o}", "object", words_json(it->object), "kind",
					words_json(it->kind), "action", words_json(it->action), "obstacle",
					words_json(it->obstacle), "remedy", words_json(it->remedy));
		if (json_array_append_new(list, one)) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}
