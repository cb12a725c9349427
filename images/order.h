/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The order in which a target asked for its memory after a lazy restart: pieces of the address space, kept beside the image in an extended
 * attribute of its file (user.stasis.order). It is no part of the image, and may be missing, be old, or say anything. */
#ifndef STASIS_IMAGES_ORDER_H
#define STASIS_IMAGES_ORDER_H

#include <stddef.h>
#include <stdint.h>

#include "reader.h"

#define IMG_ORDER_PIECE 65536ul /* bytes; piece n begins at address n times that */
#define IMG_ORDER_MAX 900       /* pieces: what ext4 has room for */

/* Returns how many there are; 0 when there is nothing, or nothing of this very image. */
size_t img_order_read(const struct img_reader *r, uint32_t order[IMG_ORDER_MAX]);

/* Returns 0 or a negative errno, not worded: -EOPNOTSUPP, -EROFS, -EPERM, -ENOSPC ... */
int img_order_write(const struct img_reader *r, const uint32_t *order, size_t n);

#endif
