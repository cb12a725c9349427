// SPDX-License-Identifier: LGPL-2.1-or-later
/* Wraps zlib and zstd for chunks of known size, and reads the user's word for a codec. */
#include "codec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

struct codec_pack {
	enum img_codec codec;
	int level;
	ZSTD_CCtx *zstd;
	z_stream zlib;
};

struct codec_unpack {
	ZSTD_DCtx *zstd;
	z_stream zlib;
	bool zlib_ready;
};

int img_parse_codec(struct reporter *rep, const char *text, enum img_codec *ret_codec, int *ret_level)
{
	static const char *const names[] = { [IMG_CODEC_NONE] = "none", [IMG_CODEC_ZLIB] = "zlib", [IMG_CODEC_ZSTD] = "zstd" };
	const int max[] = { [IMG_CODEC_NONE] = 0, [IMG_CODEC_ZLIB] = 9, [IMG_CODEC_ZSTD] = ZSTD_maxCLevel() };
	size_t n = strcspn(text, ":");
	int codec = IMG_CODEC_NONE;

	while (codec <= IMG_CODEC_ZSTD && (strlen(names[codec]) != n || strncmp(names[codec], text, n)))
		codec++;
	if (codec > IMG_CODEC_ZSTD)
		return report_fail(rep, -EINVAL, "compression \"%s\": not known; say none, zlib, zstd, zlib:1-9 or zstd:1-%d",
		                   text, max[IMG_CODEC_ZSTD]);
	long level = 0;
	if (text[n]) {
		char *end;
		errno = 0;
		level = strtol(text + n + 1, &end, 10);
		if (errno || end == text + n + 1 || *end || level < 1 || level > max[codec]) {
			if (!max[codec])
				return report_fail(rep, -EINVAL, "compression \"%s\": \"none\" takes no level", text);
			return report_fail(rep, -EINVAL, "compression \"%s\": the level of %s is a number from 1 to %d", text,
			                   names[codec], max[codec]);
		}
	}
	*ret_codec = codec;
	*ret_level = (int)level;
	return 0;
}

int codec_pack_create(enum img_codec codec, int level, struct codec_pack **ret)
{
	struct codec_pack *pack = calloc(1, sizeof(*pack));

	if (!pack)
		return -ENOMEM;
	pack->level = level ? level : 1;
	if (codec == IMG_CODEC_ZSTD) {
		pack->zstd = ZSTD_createCCtx();
		if (!pack->zstd || ZSTD_isError(ZSTD_CCtx_setParameter(pack->zstd, ZSTD_c_compressionLevel, pack->level)))
			goto fail;
	} else if (codec == IMG_CODEC_ZLIB) {
		if (deflateInit(&pack->zlib, pack->level) != Z_OK)
			goto fail;
	}
	pack->codec = codec;
	*ret = pack;
	return 0;
fail:
	codec_pack_destroy(pack);
	return -ENOMEM;
}

void codec_pack_destroy(struct codec_pack *pack)
{
	if (!pack)
		return;
	ZSTD_freeCCtx(pack->zstd);
	if (pack->codec == IMG_CODEC_ZLIB)
		deflateEnd(&pack->zlib);
	free(pack);
}

int codec_pack_chunk(struct codec_pack *pack, const void *data, size_t size, void *out, size_t *ret_size)
{
	size_t room = size ? size - 1 : 0;

	*ret_size = 0;
	if (pack->codec == IMG_CODEC_ZSTD) {
		size_t n = ZSTD_compress2(pack->zstd, out, room, data, size);
		if (ZSTD_isError(n))
			return ZSTD_getErrorCode(n) == ZSTD_error_dstSize_tooSmall ? 0 : -ENOMEM;
		*ret_size = n;
	} else if (pack->codec == IMG_CODEC_ZLIB) {
		z_stream *z = &pack->zlib;
		if (deflateReset(z) != Z_OK)
			return -EIO;
		z->next_in = (Bytef *)(uintptr_t)data;
		z->avail_in = (uInt)size;
		z->next_out = out;
		z->avail_out = (uInt)room;
		if (deflate(z, Z_FINISH) == Z_STREAM_END)
			*ret_size = room - z->avail_out;
	}
	return 0;
}

int codec_unpack_create(struct codec_unpack **ret)
{
	struct codec_unpack *unpack = calloc(1, sizeof(*unpack));

	if (!unpack)
		return -ENOMEM;
	*ret = unpack;
	return 0;
}

void codec_unpack_destroy(struct codec_unpack *unpack)
{
	if (!unpack)
		return;
	ZSTD_freeDCtx(unpack->zstd);
	if (unpack->zlib_ready)
		inflateEnd(&unpack->zlib);
	free(unpack);
}

static int codec_unpack_zlib(struct codec_unpack *unpack, const void *data, size_t size, void *out, size_t raw_size)
{
	z_stream *z = &unpack->zlib;

	if (!unpack->zlib_ready && inflateInit(z) != Z_OK)
		return -ENOMEM;
	unpack->zlib_ready = true;
	if (inflateReset(z) != Z_OK)
		return -EIO;
	z->next_in = (Bytef *)(uintptr_t)data;
	z->avail_in = (uInt)size;
	z->next_out = out;
	z->avail_out = (uInt)raw_size;
	int rc = inflate(z, Z_FINISH);
	if (rc == Z_MEM_ERROR)
		return -ENOMEM;
	return rc == Z_STREAM_END && !z->avail_out && !z->avail_in ? 0 : -EBADMSG;
}

int codec_unpack_chunk(struct codec_unpack *unpack, enum img_codec codec, const void *data, size_t size, void *out,
                       size_t raw_size)
{
	if (codec == IMG_CODEC_ZLIB)
		return codec_unpack_zlib(unpack, data, size, out, raw_size);
	if (!unpack->zstd && !(unpack->zstd = ZSTD_createDCtx()))
		return -ENOMEM;
	size_t n = ZSTD_decompressDCtx(unpack->zstd, out, raw_size, data, size);
	if (ZSTD_isError(n) && ZSTD_getErrorCode(n) == ZSTD_error_memory_allocation)
		return -ENOMEM;
	return ZSTD_isError(n) || n != raw_size ? -EBADMSG : 0;
}
