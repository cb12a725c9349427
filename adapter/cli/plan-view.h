/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shows the plan of a restart: what the image needs, what is here, what will be used, and all that is missing. */
#ifndef STASIS_CLI_PLAN_VIEW_H
#define STASIS_CLI_PLAN_VIEW_H

#include <jansson.h>
#include <stdio.h>

#include "base/findings.h"
#include "base/map.h"

/* The findings grouped (the host, files, descriptors, then the rest), the mappings, the obstacles with their remedies, the
 * verdict. Returns 0 or -ENOMEM. */
int plan_print(const struct findings *f, const struct resource_map *map, const char *image, FILE *out);

/* An array of objects with object, kind, action, needs, offers, uses, obstacle and remedy; null where there is none or it is
 * not known. NULL when memory is short. */
json_t *plan_needs_json(const struct findings *f);

/* An array of objects with kind, old, new, and whether anything asked for it so far. NULL when memory is short. */
json_t *plan_map_json(const struct resource_map *map);

/* An array of objects with kind, old and new: what the image names that could be mapped, but for files, which are among the
 * needs; new is null when it is not mapped. NULL when memory is short. */
json_t *plan_resources_json(const struct resource_map *map);

#endif
