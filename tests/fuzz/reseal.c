// SPDX-License-Identifier: LGPL-2.1-or-later
/* Computes anew every checksum of an image in memory. It trusts nothing in it: what lies outside the buffer, or over the
 * header, is left out. */
#include "reseal.h"

#include <endian.h>
#include <stdbool.h>
#include <string.h>
#include <xxhash.h>

#include "format.h"

static bool reseal_inside(size_t size, uint64_t offset, uint64_t length)
{
	return offset >= sizeof(struct disk_header) && offset <= size && length <= size - offset;
}

static void reseal_records(uint8_t *image, size_t size, const struct disk_footer *foot, XXH3_state_t *content)
{
	uint64_t at = le64toh(foot->records_offset), end = at + le64toh(foot->records_bytes);
	struct disk_record head;

	while (at < end && reseal_inside(size, at, sizeof(head))) {
		memcpy(&head, image + at, sizeof(head));
		uint64_t length = le64toh(head.length);
		if (!reseal_inside(size, at + sizeof(head), length))
			return;
		uint64_t sum = htole64(XXH3_64bits(image + at + 8, sizeof(head) - 8 + length));
		memcpy(image + at, &sum, sizeof(sum));
		XXH3_128bits_update(content, &sum, sizeof(sum));
		at += sizeof(head) + length;
	}
}

static void reseal_chunks(uint8_t *image, size_t size, uint64_t table, uint64_t n, XXH3_state_t *content)
{
	for (uint64_t i = 0; i < n; i++) {
		struct disk_chunk it;
		memcpy(&it, image + table + i * sizeof(it), sizeof(it));
		if (reseal_inside(size, le64toh(it.file_offset), le32toh(it.stored_bytes)))
			it.checksum = htole64(XXH3_64bits(image + le64toh(it.file_offset), le32toh(it.stored_bytes)));
		memcpy(image + table + i * sizeof(it), &it, sizeof(it));
		XXH3_128bits_update(content, &it.checksum, sizeof(it.checksum));
	}
}

void reseal_image(uint8_t *image, size_t size)
{
	struct disk_header head;
	struct disk_footer foot;
	XXH3_state_t *content = XXH3_createState();

	if (size < sizeof(head) + sizeof(foot) || !content) {
		XXH3_freeState(content);
		return;
	}
	memcpy(&head, image, sizeof(head));
	head.checksum = htole64(XXH3_64bits(&head, offsetof(struct disk_header, checksum)));
	memcpy(image, &head, sizeof(head));

	uint8_t *end = image + size - sizeof(foot);
	memcpy(&foot, end, sizeof(foot));
	XXH3_128bits_reset(content);
	reseal_records(image, size, &foot, content);
	uint64_t table = le64toh(foot.index_offset), chunks = le64toh(foot.chunk_count), extents = le64toh(foot.extent_count);
	if (chunks <= size && extents <= size) {
		uint64_t chunk_bytes = chunks * sizeof(struct disk_chunk), extent_bytes = extents * sizeof(struct disk_extent);
		if (reseal_inside(size, table, chunk_bytes + extent_bytes)) {
			reseal_chunks(image, size, table, chunks, content);
			XXH3_128bits_update(content, image + table + chunk_bytes, extent_bytes);
			foot.index_checksum = htole64(XXH3_64bits(image + table, chunk_bytes + extent_bytes));
		}
	}
	XXH128_canonical_t id;
	XXH128_canonicalFromHash(&id, XXH3_128bits_digest(content));
	memcpy(foot.content_id, id.digest, sizeof(foot.content_id));
	foot.checksum = htole64(XXH3_64bits(&foot, offsetof(struct disk_footer, checksum)));
	memcpy(end, &foot, sizeof(foot));
	XXH3_freeState(content);
}
