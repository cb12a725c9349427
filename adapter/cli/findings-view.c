// SPDX-License-Identifier: LGPL-2.1-or-later
/* Shows findings. */
#include "findings-view.h"

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

static int print_obstacle(const struct finding *it, bool colour, FILE *out)
{
	AUTO_FREE char *object = words_clean(it->object ? it->object : "?");
	AUTO_FREE char *kind = it->kind ? words_clean(it->kind) : NULL;
	AUTO_FREE char *obstacle = words_clean(it->obstacle);
	AUTO_FREE char *remedy = it->remedy ? words_clean(it->remedy) : NULL;

	if (!object || !obstacle || (it->kind && !kind) || (it->remedy && !remedy))
		return -ENOMEM;
	fprintf(out, "%s%s%s%s%s%s: %s\n", term_colour_on(colour, TERM_RED), object, kind ? " (" : "", kind ? kind : "", kind ? ")" : "",
		term_colour_off(colour), obstacle);
	if (remedy)
		fprintf(out, "    remedy: %s\n", remedy);
	return 0;
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
			err = print_obstacle(it, colour, out);
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
		json_t *one = json_pack("{s:o, s:o, s:o, s:o, s:o}", "object", words_json(it->object), "kind", words_json(it->kind), "action",
					words_json(it->action), "obstacle", words_json(it->obstacle), "remedy", words_json(it->remedy));
		if (json_array_append_new(list, one)) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}
