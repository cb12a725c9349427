/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One chunk packed or unpacked by zlib or zstd. A context is reused from chunk to chunk by one thread at a time. */
#ifndef STASIS_IMAGES_CODEC_H
#define STASIS_IMAGES_CODEC_H

#include <stddef.h>

#include "writer.h"

struct codec_pack;
struct codec_unpack;

/* Returns 0 or -ENOMEM. `level` 0 is the codec's default. */
int codec_pack_create(enum img_codec codec, int level, struct codec_pack **ret);
void codec_pack_destroy(struct codec_pack *pack);

/* Packs `size` bytes into at most `size` - 1 bytes at `out`. Returns 0 with *ret_size 0 when it does not shrink. */
int codec_pack_chunk(struct codec_pack *pack, const void *data, size_t size, void *out, size_t *ret_size);

int codec_unpack_create(struct codec_unpack **ret);
void codec_unpack_destroy(struct codec_unpack *unpack);

/* Unpacks into exactly `raw_size` bytes; -EBADMSG when the data is anything else. */
int codec_unpack_chunk(struct codec_unpack *unpack, enum img_codec codec, const void *data, size_t size, void *out,
                       size_t raw_size);

#endif
