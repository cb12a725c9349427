/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The resource map of a restart: what the user said with --map KIND:OLD=NEW. */
#ifndef STASIS_BASE_MAP_H
#define STASIS_BASE_MAP_H

#include "report.h"
#include "vec.h"

struct map_entry {
	char *kind; /* "file", "socket", "tap", ... */
	char *from, *to;
	bool used; /* somebody asked for it: an unused entry is worth a warning */
};

struct resource_map {
	VEC(struct map_entry) list;
	VEC(struct map_entry) asked; /* what the image names that could be mapped (resource_map_ask); `to` is NULL */
};

/* Adds "KIND:OLD=NEW", in the place of an earlier entry for the same KIND:OLD. KIND ends at the first colon; OLD=NEW is split at the first '=' that is not preceded by a backslash.
 * Returns 0, -ENOMEM, or -EINVAL with what is wrong. */
int resource_map_add(struct resource_map *map, struct reporter *rep, const char *text);

/* NEW for (kind, old), or NULL when the user said nothing; marks the entry used. */
const char *resource_map_find(struct resource_map *map, const char *kind, const char *from);

/* The same, and keeps in mind that it was asked for, so that people and hooks can be told what there is to be mapped. */
const char *resource_map_ask(struct resource_map *map, const char *kind, const char *from);

void resource_map_finish(struct resource_map *map);

#endif
