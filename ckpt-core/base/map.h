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
};

/* Adds "KIND:OLD=NEW". KIND ends at the first colon; OLD=NEW is split at the first '=' that is not preceded by a backslash.
 * Returns 0, -ENOMEM, or -EINVAL with what is wrong. */
int resource_map_add(struct resource_map *map, struct reporter *rep, const char *text);

/* NEW for (kind, old), or NULL when the user said nothing; marks the entry used. */
const char *resource_map_find(struct resource_map *map, const char *kind, const char *from);

void resource_map_finish(struct resource_map *map);

#endif
