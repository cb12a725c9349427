/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files of mappings for a restart: a line `KIND:OLD=NEW` each, as --map takes it. Empty lines and lines that begin with `#` are
 * comments; blanks around a line do not count. */
#ifndef STASIS_MAP_FILE_H
#define STASIS_MAP_FILE_H

#include <stddef.h>

#include "base/map.h"

#define MAP_FILE_MAX (256u << 10) /* bytes; a longer file is refused */

/* Adds all mappings of `text` to `map`; `name` is what the text is called in messages. Every wrong line is said, with its
 * number. Returns 0, -ENOMEM, or -EINVAL when a line was wrong (the others are in the map all the same). */
int map_file_parse(struct reporter *rep, const char *name, const char *text, size_t size, struct resource_map *map);

/* The same with the file `path`. Returns 0 or a negative errno, worded. */
int map_file_read(struct reporter *rep, const char *path, struct resource_map *map);

#endif
