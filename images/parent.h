/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The tie between an incremental image and its parent: the record that names it, and how the path in it is made. */
#ifndef STASIS_IMAGES_PARENT_H
#define STASIS_IMAGES_PARENT_H

#include "schema.h"

/* The first record of an incremental image. */
struct img_parent {
	struct img_bytes content_id; /* 16 bytes */
	char *path;                  /* of the parent when this was written, relative to the directory of the image */
};
extern const struct img_schema img_parent_schema;

/* The way from the directory `dir` to the file `path`; both must exist. Absolute when there is no other. `*ret` is allocated.
 * Returns 0 or a negative errno. */
int img_parent_path(const char *dir, const char *path, char **ret);

#endif
