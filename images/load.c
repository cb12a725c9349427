// SPDX-License-Identifier: LGPL-2.1-or-later
/* Gives out what an opened image lists: records, raw or as C structs, and runs of pages by space. */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "opened.h"

size_t img_reader_record_count(const struct img_reader *r)
{
	return r->n_records;
}

bool img_reader_record(const struct img_reader *r, size_t i, struct img_raw_record *ret)
{
	struct disk_record head;

	if (i >= r->n_records)
		return false;
	const char *at = r->records + r->record_at[i];
	memcpy(&head, at, sizeof(head));
	*ret = (struct img_raw_record){ .version = le16toh(head.version),
		                        .flags = le16toh(head.flags),
		                        .data = at + sizeof(head),
		                        .size = le64toh(head.length) };
	memcpy(ret->tag, head.tag, sizeof(head.tag));
	return true;
}

/* Is this a record of the schema, of a version that it covers? One that is newer and must be understood is -EBADMSG. */
static int reader_covers(const struct img_reader *r, const struct img_schema *schema, const struct img_raw_record *raw,
                         bool *ret)
{
	*ret = false;
	if (strcmp(raw->tag, schema->tag))
		return 0;
	if (raw->version <= schema->version)
		*ret = true;
	else if (raw->flags & IMG_MUST_UNDERSTAND)
		return report_fail(r->rep, -EBADMSG,
		                   "image %s: record \"%s\" of version %u, this stasis knows version %u; use a newer stasis",
		                   r->path, schema->name, raw->version, schema->version);
	return 0;
}

int img_reader_load(const struct img_reader *r, const struct img_schema *schema, void **ret_array, size_t *ret_n)
{
	struct img_raw_record raw;
	AUTO_FREE char *where = NULL;
	size_t n = 0, done = 0;
	bool mine;
	int err = 0;

	for (size_t i = 0; !err && img_reader_record(r, i, &raw); i++)
		if (!(err = reader_covers(r, schema, &raw, &mine)) && mine)
			n++;
	if (err)
		return err;
	char *array = calloc(n + 1, schema->size);
	if (!array || asprintf(&where, "image %s: ", r->path) < 0)
		err = report_fail(r->rep, -ENOMEM, "image %s: out of memory for its records", r->path);
	for (size_t i = 0; !err && img_reader_record(r, i, &raw); i++) {
		if (reader_covers(r, schema, &raw, &mine) || !mine)
			continue;
		err = img_schema_decode_at(schema, raw.data, raw.size, r->rep, where, array + done * schema->size);
		done += !err;
	}
	if (err) {
		img_schema_free_array(schema, array, done);
		return err;
	}
	*ret_array = array;
	*ret_n = n;
	return 0;
}

void img_schema_free_array(const struct img_schema *schema, void *array, size_t n)
{
	for (size_t i = 0; array && i < n; i++)
		img_schema_clear(schema, (char *)array + i * schema->size);
	free(array);
}

int img_reader_require_known(const struct img_reader *r, const struct img_schema *const *schemas, size_t n_schemas)
{
	struct img_raw_record raw;

	for (size_t i = 0; img_reader_record(r, i, &raw); i++) {
		bool known = false, mine = false;
		for (size_t k = 0; k < n_schemas && !known; k++) {
			int err = reader_covers(r, schemas[k], &raw, &mine);
			if (err)
				return err;
			known = mine;
		}
		if (!known && (raw.flags & IMG_MUST_UNDERSTAND))
			return report_fail(r->rep, -EBADMSG,
			                   "image %s: record \"%s\" is needed for a restart and not known to this stasis; use "
			                   "a newer stasis or install the plugin that wrote it",
			                   r->path, raw.tag);
	}
	return 0;
}

const struct img_extent *img_reader_all_extents(const struct img_reader *r, size_t *ret_n)
{
	*ret_n = r->n_extents;
	return r->extents;
}

/* The first extent whose space is not below `space`. */
static size_t reader_lower_bound(const struct img_reader *r, uint64_t space)
{
	size_t low = 0, high = r->n_extents;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (r->extents[mid].space < space)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

const struct img_extent *img_reader_extents(const struct img_reader *r, uint32_t space, size_t *ret_n)
{
	size_t first = reader_lower_bound(r, space), end = reader_lower_bound(r, (uint64_t)space + 1);

	*ret_n = end - first;
	return end > first ? &r->extents[first] : NULL;
}
