/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Makes one whole image of an incremental one and its parents. */
#ifndef STASIS_IMAGES_FOLD_H
#define STASIS_IMAGES_FOLD_H

#include "reader.h"

/* Writes all that `reader`, opened with its chain, holds into a new image at `path`, which depends on no other. Refuses to
 * replace a file of the chain. Returns 0 or a negative errno, worded; then there is no new image. */
int img_fold(struct reporter *rep, const struct img_reader *reader, const char *path, const struct img_writer_options *options,
             struct img_writer_stats *ret);

#endif
