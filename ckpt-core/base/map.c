// SPDX-License-Identifier: LGPL-2.1-or-later
/* The resource map. */
#include "map.h"

#include <string.h>

#include "cleanup.h"

static void map_entry_clear(struct map_entry *it)
{
	free(it->kind);
	free(it->from);
	free(it->to);
}

/* The '=' between OLD and NEW; backslashes before it are taken out of the text in place. */
static char *map_split(char *text)
{
	char *out = text;

	for (char *p = text; *p; p++) {
		if (*p == '\\' && (p[1] == '=' || p[1] == '\\'))
			p++;
		else if (*p == '=') {
			*out = '\0';
			return p + 1;
		}
		*out++ = *p;
	}
	return NULL;
}

/* Takes the entry over. What was said before about the same thing does not count any more. */
static int map_put(struct resource_map *map, struct map_entry *it)
{
	vec_each(&map->list, old) {
		if (!strcmp(old->kind, it->kind) && !strcmp(old->from, it->from)) {
			map_entry_clear(old);
			*old = *it;
			return 0;
		}
	}
	return vec_push(&map->list, *it);
}

int resource_map_add(struct resource_map *map, struct reporter *rep, const char *text)
{
	const char *colon = strchr(text, ':');
	struct map_entry it = { 0 };

	if (!colon || colon == text)
		return report_fail(rep, -EINVAL, "--map %s: expected KIND:OLD=NEW, for example file:/a/disk.img=/b/disk.img", text);
	it.kind = strndup(text, (size_t)(colon - text));
	it.from = strdup(colon + 1);
	char *to = it.from ? map_split(it.from) : NULL;
	it.to = to ? strdup(to) : NULL;
	int err = 0;
	if (!it.kind || !it.from || (to && !it.to))
		err = -ENOMEM;
	else if (!to || !*it.from || !*it.to)
		err = report_fail(rep, -EINVAL, "--map %s: expected KIND:OLD=NEW, for example file:/a/disk.img=/b/disk.img", text);
	else
		err = map_put(map, &it);
	if (err)
		map_entry_clear(&it);
	return err;
}

const char *resource_map_find(struct resource_map *map, const char *kind, const char *from)
{
	if (!map)
		return NULL;
	vec_each(&map->list, it) {
		if (!strcmp(it->kind, kind) && !strcmp(it->from, from)) {
			it->used = true;
			return it->to;
		}
	}
	return NULL;
}

const char *resource_map_ask(struct resource_map *map, const char *kind, const char *from)
{
	struct map_entry it = { 0 };

	if (!map)
		return NULL;
	vec_each(&map->asked, known)
		if (!strcmp(known->kind, kind) && !strcmp(known->from, from))
			return resource_map_find(map, kind, from);
	it.kind = strdup(kind);
	it.from = strdup(from);
	if (!it.kind || !it.from || vec_push(&map->asked, it))
		map_entry_clear(&it); /* then nobody is told, no more */
	return resource_map_find(map, kind, from);
}

void resource_map_finish(struct resource_map *map)
{
	vec_each(&map->list, it)
		map_entry_clear(it);
	vec_each(&map->asked, it)
		map_entry_clear(it);
	vec_finish(&map->list);
	vec_finish(&map->asked);
}
