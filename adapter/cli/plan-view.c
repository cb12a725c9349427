// SPDX-License-Identifier: LGPL-2.1-or-later
/* Shows the plan of a restart. */
#include "plan-view.h"

#include <string.h>

#include "base/cleanup.h"
#include "findings-view.h"
#include "table.h"
#include "words.h"

enum group { GROUP_HOST, GROUP_FILES, GROUP_DESCRIPTORS, GROUP_N };

static enum group group_of(const struct finding *it)
{
	const char *object = it->object ? it->object : "";

	if (!strncmp(object, "fd ", 3))
		return GROUP_DESCRIPTORS;
	return !strncmp(object, "file ", 5) || *object == '/' ? GROUP_FILES : GROUP_HOST;
}

/* A view of the findings: the texts stay those of `f`. */
static int sorted(const struct findings *f, struct findings *ret)
{
	int err = 0;

	*ret = (struct findings){ .obstacles = f->obstacles };
	for (enum group g = 0; g < GROUP_N; g++)
		vec_each(&f->list, it)
			if (!err && group_of(it) == g)
				err = vec_push(&ret->list, *it);
	return err;
}

static int print_map(const struct resource_map *map, FILE *out)
{
	struct table t = { .columns = 2 };
	int err = table_add(&t, "MAPPING") ?: table_add(&t, "USED");

	vec_each(&map->list, it) {
		AUTO_FREE char *text = NULL;
		if (err || asprintf(&text, "%s:%s=%s", it->kind, it->from, it->to) < 0) {
			text = NULL;
			err = -ENOMEM;
			break;
		}
		err = table_add(&t, text) ?: table_add(&t, it->used ? "yes" : "no: the image has no such thing");
	}
	if (!err)
		table_print(&t, out);
	if (!err)
		putc('\n', out);
	table_finish(&t);
	return err;
}

int plan_print(const struct findings *f, const struct resource_map *map, const char *image, FILE *out)
{
	struct findings view;
	int err = sorted(f, &view);

	if (!err && map && map->list.n)
		err = print_map(map, out);
	if (!err)
		err = findings_print(&view, image, "restarted here", out);
	vec_finish(&view.list);
	return err;
}

json_t *plan_needs_json(const struct findings *f)
{
	json_t *list = findings_json(f);
	size_t i = 0;

	vec_each(&f->list, it) {
		json_t *one = list ? json_array_get(list, i++) : NULL;
		if (one && (json_object_set_new(one, "needs", words_json(it->needs)) ||
		            json_object_set_new(one, "offers", words_json(it->offers)) ||
		            json_object_set_new(one, "uses", words_json(it->uses)))) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

json_t *plan_map_json(const struct resource_map *map)
{
	json_t *list = json_array();

	vec_each(&map->list, it) {
		json_t *one = json_pack("{s:o, s:o, s:o, s:b}", "kind", words_json(it->kind), "old", words_json(it->from),
		                        "new", words_json(it->to), "used", it->used);
		if (json_array_append_new(list, one)) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static const char *mapped_to(const struct resource_map *map, const struct map_entry *asked)
{
	vec_each(&map->list, it)
		if (!strcmp(it->kind, asked->kind) && !strcmp(it->from, asked->from))
			return it->to;
	return NULL;
}

json_t *plan_resources_json(const struct resource_map *map)
{
	json_t *list = json_array();

	vec_each(&map->asked, it) {
		json_t *one = json_pack("{s:o, s:o, s:o}", "kind", words_json(it->kind), "old", words_json(it->from), "new",
		                        words_json(mapped_to(map, it)));
		if (json_array_append_new(list, one)) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}
