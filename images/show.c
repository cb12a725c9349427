// SPDX-License-Identifier: LGPL-2.1-or-later
/* Prints an image for people and as JSON. What a record means is in its schema's table; what comes from the image is
 * escaped, for it may hold anything and ends up on terminals. */
#include "show.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "format.h"

#define SHOW_BYTES 16 /* of a field of bytes, in text */

static const char *const show_codecs[] = { [IMG_CODEC_NONE] = "none", [IMG_CODEC_ZLIB] = "zlib", [IMG_CODEC_ZSTD] = "zstd" };

struct show_totals {
	uint64_t file_bytes, stored_bytes, raw_bytes;
	size_t chunks[ARRAY_SIZE(show_codecs)];
};

/* One space's part of the extent table, which is sorted by space. */
struct show_space {
	uint32_t space;
	uint64_t extents, data_pages, zero_pages, parent_pages;
};

static void show_count(const struct img_reader *r, struct show_totals *ret)
{
	*ret = (struct show_totals){ .file_bytes = img_reader_file_bytes(r) };
	for (size_t i = 0; i < img_reader_chunk_count(r); i++) {
		const struct img_chunk *it = img_reader_chunk_info(r, i);
		ret->stored_bytes += it->stored_bytes;
		ret->raw_bytes += it->raw_bytes;
		ret->chunks[it->codec]++;
	}
}

/* The space that begins at extent *at; moves *at behind it. */
static bool show_next_space(const struct img_reader *r, size_t *at, struct show_space *ret)
{
	size_t n;
	const struct img_extent *it = img_reader_all_extents(r, &n);

	if (*at >= n)
		return false;
	*ret = (struct show_space){ .space = it[*at].space };
	for (; *at < n && it[*at].space == ret->space; ++*at) {
		ret->extents++;
		*(it[*at].zero ? &ret->zero_pages : it[*at].parent ? &ret->parent_pages : &ret->data_pages) += it[*at].n_pages;
	}
	return true;
}

static void show_hex(const void *data, size_t size, char *ret_text)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *p = data;

	for (size_t i = 0; i < size; i++) {
		*ret_text++ = digits[p[i] >> 4];
		*ret_text++ = digits[p[i] & 15];
	}
	*ret_text = '\0';
}

static const struct img_schema *show_schema(const struct img_schema *const *schemas, size_t n, const struct img_raw_record *raw)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(schemas[i]->tag, raw->tag) && schemas[i]->version >= raw->version)
			return schemas[i];
	return NULL;
}

static int show_decode(const struct img_reader *r, const struct img_schema *schema, const struct img_raw_record *raw,
                       void **ret)
{
	AUTO_FREE char *where = NULL;
	AUTO_FREE void *value = malloc(schema->size);

	if (!value || asprintf(&where, "image %s: ", img_reader_path(r)) < 0)
		return report_fail(img_reader_reporter(r), -ENOMEM, "image %s: out of memory for its description",
		                   img_reader_path(r));
	int err = img_schema_decode_at(schema, raw->data, raw->size, img_reader_reporter(r), where, value);
	if (!err)
		*ret = STEAL_PTR(value);
	return err;
}

static bool show_is_utf8(const char *text)
{
	json_t *probe = json_string(text);

	json_decref(probe);
	return probe;
}

/* A number as 64 bits, its sign extended where it has one. */
static uint64_t show_number(const struct img_field *field, const void *p)
{
	switch (field->type) {
	case IMG_U32:
		return *(const uint32_t *)p;
	case IMG_I32:
		return (uint64_t)(int64_t)(*(const int32_t *)p);
	default:
		return *(const uint64_t *)p;
	}
}

static void show_text_string(const char *text, FILE *out)
{
	bool utf8 = show_is_utf8(text);

	putc('"', out);
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		/* Controls of ISO 6429 above ASCII (U+0080 to U+009F) steer terminals as well. */
		bool c1 = *p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0;
		if (*p == '"' || *p == '\\')
			fprintf(out, "\\%c", *p);
		else if (*p < ' ' || *p == 0x7f || (*p >= 0x80 && !utf8))
			fprintf(out, "\\x%02x", *p);
		else if (c1)
			fprintf(out, "\\x%02x\\x%02x", p[0], p[1]), p++;
		else
			putc(*p, out);
	}
	putc('"', out);
}

static void show_text_bytes(const struct img_bytes *bytes, FILE *out)
{
	char hex[2 * SHOW_BYTES + 1];
	size_t n = bytes->size < SHOW_BYTES ? bytes->size : SHOW_BYTES;

	show_hex(bytes->data, n, hex);
	fprintf(out, "%zu bytes (%s%s)", bytes->size, hex, n < bytes->size ? "..." : "");
}

static void show_text_number(const struct img_field *field, const void *p, FILE *out)
{
	uint64_t u = show_number(field, p);
	bool is_signed = field->type == IMG_I32 || field->type == IMG_I64;

	if (field->format == IMG_HEX)
		fprintf(out, "0x%" PRIx64, field->type == IMG_I32 ? (uint64_t)(uint32_t)u : u);
	else if (field->format == IMG_OCT)
		fprintf(out, "0%" PRIo64, field->type == IMG_I32 ? (uint64_t)(uint32_t)u : u);
	else if (is_signed)
		fprintf(out, "%" PRId64, (int64_t)u);
	else
		fprintf(out, "%" PRIu64, u);
}

static void show_text_field(const struct img_field *field, const void *value, FILE *out)
{
	const void *p = (const char *)value + field->offset;
	const struct img_bytes *bytes = p;

	if ((field->type == IMG_STR && !*(char *const *)p) || (field->type == IMG_BYTES && !bytes->size))
		return;
	fprintf(out, " %s=", field->name);
	if (field->type == IMG_STR)
		show_text_string(*(char *const *)p, out);
	else if (field->type == IMG_BYTES)
		show_text_bytes(bytes, out);
	else if (field->type == IMG_BOOL)
		fputs(*(const bool *)p ? "yes" : "no", out);
	else
		show_text_number(field, p, out);
}

static int show_text_record(const struct img_reader *r, const struct img_schema *schema, const struct img_raw_record *raw,
                            FILE *out)
{
	void *value;

	if (!schema) {
		fprintf(out, "\"%s\" version %u: %zu bytes%s\n", raw->tag, raw->version, raw->size,
		        raw->flags & IMG_MUST_UNDERSTAND ? ", needed for a restart but not known here" : "");
		return 0;
	}
	int err = show_decode(r, schema, raw, &value);
	if (err)
		return err;
	fprintf(out, "%s:", schema->name);
	for (size_t i = 0; i < schema->n_fields; i++)
		show_text_field(&schema->fields[i], value, out);
	putc('\n', out);
	img_schema_clear(schema, value);
	free(value);
	return 0;
}

static void show_text_size(uint64_t bytes, FILE *out)
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB" };
	double size = (double)bytes / 1024;
	size_t i = 0;

	for (; size >= 1024 && i + 1 < ARRAY_SIZE(units); i++)
		size /= 1024;
	fprintf(out, "%.1f %s", size, units[i]);
}

static void show_text_summary(const struct img_reader *r, FILE *out)
{
	char id[33];
	struct show_totals totals;
	struct show_space space;
	size_t at = 0;

	show_count(r, &totals);
	show_hex(img_reader_content_id(r), 16, id);
	fputs("image:      ", out);
	show_text_string(img_reader_path(r), out);
	fprintf(out, "\ncontent id: %s\nformat:     version %u\nsize:       ", id, IMG_VERSION);
	show_text_size(totals.file_bytes, out);
	fprintf(out, " (%" PRIu64 " bytes)\npages:      ", totals.file_bytes);
	show_text_size(totals.raw_bytes, out);
	fprintf(out, " in %zu chunks, stored in ", img_reader_chunk_count(r));
	show_text_size(totals.stored_bytes, out);
	for (size_t i = 0; i < ARRAY_SIZE(show_codecs); i++)
		if (totals.chunks[i])
			fprintf(out, ", %zu %s", totals.chunks[i], show_codecs[i]);
	putc('\n', out);
	if (img_reader_parent(r)) {
		fputs("parent:     ", out);
		show_text_string(img_reader_parent(r)->path, out);
		show_hex(img_reader_parent(r)->content_id.data, 16, id);
		fprintf(out, ", content id %s\n", id);
	}
	while (show_next_space(r, &at, &space)) {
		fprintf(out, "space %u: %" PRIu64 " pages, %" PRIu64 " zero pages, in %" PRIu64 " runs", space.space,
		        space.data_pages, space.zero_pages, space.extents);
		if (space.parent_pages)
			fprintf(out, "; %" PRIu64 " as in the parent", space.parent_pages);
		putc('\n', out);
	}
	fprintf(out, "records:    %zu\n\n", img_reader_record_count(r));
}

int img_show_text(const struct img_reader *r, const struct img_schema *const *schemas, size_t n_schemas, FILE *out)
{
	struct img_raw_record raw;

	show_text_summary(r, out);
	for (size_t i = 0; img_reader_record(r, i, &raw); i++) {
		int err = show_text_record(r, show_schema(schemas, n_schemas, &raw), &raw, out);
		if (err)
			return err;
	}
	if (fflush(out) || ferror(out))
		return report_fail(img_reader_reporter(r), -EIO, "image %s: its description could not be written to the output",
		                   img_reader_path(r));
	return 0;
}

/* A string as it is when it is UTF-8, else with each byte above ASCII, and each backslash, as \xNN. */
static json_t *show_json_string(const char *text)
{
	json_t *json = json_string(text);

	if (json)
		return json;
	AUTO_FREE char *escaped = malloc(4 * strlen(text) + 1);
	if (!escaped)
		return NULL;
	char *at = escaped;
	for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
		if (*p >= 0x80 || *p == '\\')
			at += sprintf(at, "\\x%02x", *p);
		else
			*at++ = (char)*p;
	}
	*at = '\0';
	return json_string(escaped);
}

static json_t *show_json_bytes(const struct img_bytes *bytes)
{
	AUTO_FREE char *hex = malloc(2 * bytes->size + 1);

	if (!hex)
		return NULL;
	show_hex(bytes->data, bytes->size, hex);
	return json_string(hex);
}

static json_t *show_json_number(uint64_t u, bool is_signed)
{
	char hex[19];

	if (is_signed || u <= INT64_MAX)
		return json_integer((json_int_t)u);
	snprintf(hex, sizeof(hex), "0x%" PRIx64, u);
	return json_string(hex);
}

static json_t *show_json_field(const struct img_field *field, const void *value)
{
	const void *p = (const char *)value + field->offset;

	switch (field->type) {
	case IMG_STR:
		return *(char *const *)p ? show_json_string(*(char *const *)p) : json_null();
	case IMG_BYTES:
		return show_json_bytes(p);
	case IMG_BOOL:
		return json_boolean(*(const bool *)p);
	default:
		return show_json_number(show_number(field, p), field->type != IMG_U64);
	}
}

/* Steals `value`, like json_object_set_new, and takes its NULL for lack of memory. */
static int show_json_set(json_t *object, const char *key, json_t *value)
{
	return value && !json_object_set_new(object, key, value) ? 0 : -ENOMEM;
}

static int show_json_known(const struct img_reader *r, const struct img_schema *schema, const struct img_raw_record *raw,
                           json_t *object)
{
	void *value;
	int err = show_decode(r, schema, raw, &value);

	if (err)
		return err;
	err = show_json_set(object, "type", json_string(schema->name));
	for (size_t i = 0; !err && i < schema->n_fields; i++) {
		const char *name = schema->fields[i].name;
		/* A record's own field of that name gives way: what kind of record it is comes first. */
		if (!strcmp(name, "type") || !strcmp(name, "tag"))
			name = !strcmp(name, "type") ? "type_" : "tag_";
		err = show_json_set(object, name, show_json_field(&schema->fields[i], value));
	}
	img_schema_clear(schema, value);
	free(value);
	return err;
}

static int show_json_record(const struct img_reader *r, const struct img_schema *schema, const struct img_raw_record *raw,
                            json_t *records)
{
	json_t *object = json_object();
	int err = object ? show_json_set(object, "tag", json_string(raw->tag)) : -ENOMEM;

	if (!err && schema) {
		err = show_json_known(r, schema, raw, object);
	} else if (!err) {
		err = show_json_set(object, "type", json_null());
		err = err ? err : show_json_set(object, "version", json_integer(raw->version));
		err = err ? err : show_json_set(object, "bytes", json_integer((json_int_t)raw->size));
		err = err ? err : show_json_set(object, "must_understand", json_boolean(raw->flags & IMG_MUST_UNDERSTAND));
	}
	if (err) {
		json_decref(object);
		return err;
	}
	return json_array_append_new(records, object) ? -ENOMEM : 0;
}

static json_t *show_json_spaces(const struct img_reader *r)
{
	json_t *array = json_array();
	struct show_space it;
	size_t at = 0;

	while (array && show_next_space(r, &at, &it))
		json_array_append_new(array, json_pack("{s:I, s:I, s:I, s:I, s:I}", "space", (json_int_t)it.space, "data_pages",
		                                       (json_int_t)it.data_pages, "zero_pages", (json_int_t)it.zero_pages,
		                                       "parent_pages", (json_int_t)it.parent_pages,
		                                       "extents", (json_int_t)it.extents));
	return array;
}

static json_t *show_json_summary(const struct img_reader *r)
{
	char id[33];
	struct show_totals totals;
	json_t *codecs = json_object();

	show_count(r, &totals);
	show_hex(img_reader_content_id(r), 16, id);
	for (size_t i = 0; i < ARRAY_SIZE(show_codecs); i++)
		if (totals.chunks[i])
			json_object_set_new(codecs, show_codecs[i], json_integer((json_int_t)totals.chunks[i]));
	return json_pack("{s:o, s:s, s:i, s:I, s:i, s:I, s:I, s:I, s:o, s:o}", "path", show_json_string(img_reader_path(r)),
	                 "content_id", id, "format_version", (int)IMG_VERSION, "file_bytes", (json_int_t)totals.file_bytes,
	                 "page_size", (int)IMG_PAGE_SIZE, "chunks", (json_int_t)img_reader_chunk_count(r), "stored_bytes",
	                 (json_int_t)totals.stored_bytes, "page_bytes", (json_int_t)totals.raw_bytes, "codecs", codecs,
	                 "spaces", show_json_spaces(r));
}

int img_show_json(const struct img_reader *r, const struct img_schema *const *schemas, size_t n_schemas, json_t **ret_json)
{
	json_t *records = json_array(), *root = NULL;
	struct img_raw_record raw;
	int err = records ? 0 : -ENOMEM;

	for (size_t i = 0; !err && img_reader_record(r, i, &raw); i++)
		err = show_json_record(r, show_schema(schemas, n_schemas, &raw), &raw, records);
	if (!err && !(root = json_pack("{s:o, s:O}", "image", show_json_summary(r), "records", records)))
		err = -ENOMEM;
	json_decref(records);
	if (err == -ENOMEM)
		return report_fail(img_reader_reporter(r), err, "image %s: out of memory for its description",
		                   img_reader_path(r));
	if (!err)
		*ret_json = root;
	return err;
}
