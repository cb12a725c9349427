/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Shows an image's records to people and as JSON, from the schema tables. */
#ifndef STASIS_IMAGES_SHOW_H
#define STASIS_IMAGES_SHOW_H

#include <jansson.h>
#include <stdio.h>

#include "reader.h"

/* Text: a summary (file, content id, sizes, codec, pages per space), then one line or block per record; bytes in short
 * hex. Records without a schema are listed by tag and size. */
int img_show_text(const struct img_reader *r, const struct img_schema *const *schemas, size_t n_schemas, FILE *out);

/* The same as one JSON object {"image": {...}, "records": [{"type": name, "tag":..., fields...}]}; addresses are numbers
 * where they fit a signed 64-bit integer, strings in hex else; strings that are not UTF-8 are escaped, bytes are hex. */
int img_show_json(const struct img_reader *r, const struct img_schema *const *schemas, size_t n_schemas, json_t **ret_json);

#endif
