/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shows what `check` and `restart --plan` found, to people and as JSON. */
#ifndef STASIS_CLI_FINDINGS_VIEW_H
#define STASIS_CLI_FINDINGS_VIEW_H

#include <jansson.h>
#include <stdio.h>

#include "base/findings.h"

/* A table OBJECT KIND ACTION, then the obstacles with their remedies, then one line with the verdict on `title`: "TITLE can be
 * VERB" or "TITLE cannot be VERB: 2 obstacles". Returns 0 or -ENOMEM. */
int findings_print(const struct findings *f, const char *title, const char *verb, FILE *out);

/* An array of objects with object, kind, action, obstacle and remedy; null where there is none. NULL when memory is short. */
json_t *findings_json(const struct findings *f);

#endif
