// SPDX-License-Identifier: LGPL-2.1-or-later
/* Encodes and decodes records by their tables of fields. The decoder is the place where bytes from outside become C
 * structs, so every length is checked here. */
#include "schema.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "format.h"

static size_t schema_padded(size_t n)
{
	return (n + 7) & ~(size_t)7;
}

static size_t schema_width(uint8_t type)
{
	switch (type) {
	case IMG_U32:
	case IMG_I32:
		return 4;
	case IMG_U64:
	case IMG_I64:
		return 8;
	case IMG_BOOL:
		return 1;
	default:
		return 0;
	}
}

/* What a string or bytes field of a struct holds; a number's bytes are put together by the caller. */
static const void *schema_blob(const struct img_field *field, const void *value, size_t *ret_size)
{
	const void *p = (const char *)value + field->offset;

	if (field->type == IMG_STR) {
		const char *text = *(char *const *)p;
		*ret_size = text ? strlen(text) : 0;
		return text;
	}
	const struct img_bytes *bytes = p;
	*ret_size = bytes->size;
	if (bytes->size)
		return bytes->data;
	return field->required ? "" : NULL;
}

static int schema_encode_field(const struct img_field *field, const void *value, char *out, size_t *ret_size)
{
	const void *p = (const char *)value + field->offset;
	size_t n = schema_width(field->type);
	uint8_t number[8] = { 0 };

	if (n) {
		uint64_t u64 = 0;
		uint32_t u32 = 0;
		if (n == 8) {
			memcpy(&u64, p, 8);
			u64 = htole64(u64);
			memcpy(number, &u64, 8);
		} else if (n == 4) {
			memcpy(&u32, p, 4);
			u32 = htole32(u32);
			memcpy(number, &u32, 4);
		} else {
			number[0] = *(const bool *)p;
		}
		p = number;
	} else {
		p = schema_blob(field, value, &n);
		if (!p && field->required)
			return -EINVAL;
		if (!p) {
			*ret_size = 0;
			return 0;
		}
		if (n > UINT32_MAX - 8)
			return -EFBIG;
	}
	if (out) {
		struct disk_field head = { htole16(field->id), htole16(field->type), htole32((uint32_t)n) };
		memcpy(out, &head, sizeof(head));
		memcpy(out + sizeof(head), p, n);
		memset(out + sizeof(head) + n, 0, schema_padded(n) - n);
	}
	*ret_size = sizeof(struct disk_field) + schema_padded(n);
	return 0;
}

int img_schema_encode(const struct img_schema *schema, const void *value, void **ret_data, size_t *ret_size)
{
	size_t total = 0, n = 0;

	for (size_t i = 0; i < schema->n_fields; i++) {
		int err = schema_encode_field(&schema->fields[i], value, NULL, &n);
		if (err)
			return err;
		total += n;
	}
	char *data = malloc(total ? total : 1);
	if (!data)
		return -ENOMEM;
	size_t at = 0;
	for (size_t i = 0; i < schema->n_fields; i++) {
		schema_encode_field(&schema->fields[i], value, data + at, &n);
		at += n;
	}
	*ret_data = data;
	*ret_size = total;
	return 0;
}

static int schema_decode_number(const struct img_field *field, const char *value, void *p)
{
	uint64_t u64;
	uint32_t u32;

	switch (schema_width(field->type)) {
	case 8:
		memcpy(&u64, value, 8);
		u64 = le64toh(u64);
		memcpy(p, &u64, 8);
		return 0;
	case 4:
		memcpy(&u32, value, 4);
		u32 = le32toh(u32);
		memcpy(p, &u32, 4);
		return 0;
	default:
		if ((uint8_t)*value > 1)
			return -EBADMSG;
		*(bool *)p = *value;
		return 0;
	}
}

static int schema_decode_blob(const struct img_field *field, const char *value, size_t n, void *p)
{
	if (field->type == IMG_STR) {
		if (memchr(value, '\0', n))
			return -EBADMSG;
		char *text = strndup(value, n);
		if (!text)
			return -ENOMEM;
		*(char **)p = text;
		return 0;
	}
	if (!n)
		return 0;
	struct img_bytes *bytes = p;
	if (!(bytes->data = malloc(n)))
		return -ENOMEM;
	memcpy(bytes->data, value, n);
	bytes->size = n;
	return 0;
}

static const struct img_field *schema_find(const struct img_schema *schema, uint16_t id, size_t *ret_i)
{
	for (size_t i = 0; i < schema->n_fields; i++) {
		if (schema->fields[i].id == id) {
			*ret_i = i;
			return &schema->fields[i];
		}
	}
	return NULL;
}

/* One field at `data`; its name (for what is said) when it is known. `seen` has one flag per field of the schema. */
static int schema_decode_field(const struct img_schema *schema, const char *data, size_t size, void *value, bool *seen,
                               size_t *ret_used, const char **ret_name, const char **ret_why)
{
	struct disk_field head;
	size_t i;

	*ret_name = "?";
	*ret_why = "it ends in the middle of a field";
	if (size < sizeof(head))
		return -EBADMSG;
	memcpy(&head, data, sizeof(head));
	size_t n = le32toh(head.length);
	if (n > size - sizeof(head) || schema_padded(n) > size - sizeof(head))
		return -EBADMSG;
	*ret_used = sizeof(head) + schema_padded(n);
	const struct img_field *field = schema_find(schema, le16toh(head.id), &i);
	if (!field)
		return 0;
	*ret_name = field->name;
	*ret_why = "has the wrong type";
	if (le16toh(head.type) != field->type)
		return -EBADMSG;
	*ret_why = "is there twice";
	if (seen[i])
		return -EBADMSG;
	seen[i] = true;
	*ret_why = "has the wrong length";
	size_t width = schema_width(field->type);
	if (width && width != n)
		return -EBADMSG;
	*ret_why = "has a value out of range";
	void *p = (char *)value + field->offset;
	return width ? schema_decode_number(field, data + sizeof(head), p)
	             : schema_decode_blob(field, data + sizeof(head), n, p);
}

int img_schema_decode_at(const struct img_schema *schema, const void *data, size_t size, struct reporter *rep,
                         const char *where, void *ret_value)
{
	AUTO_FREE bool *seen = calloc(schema->n_fields + 1, sizeof(*seen));
	const char *at = data, *name = "", *why = "";
	int err = seen ? 0 : -ENOMEM;

	memset(ret_value, 0, schema->size);
	while (!err && size) {
		size_t used = 0;
		err = schema_decode_field(schema, at, size, ret_value, seen, &used, &name, &why);
		at += used;
		size -= used;
	}
	for (size_t i = 0; !err && i < schema->n_fields; i++) {
		if (schema->fields[i].required && !seen[i]) {
			err = -EBADMSG;
			name = schema->fields[i].name;
			why = "is missing";
		}
	}
	if (!err)
		return 0;
	img_schema_clear(schema, ret_value);
	if (err == -ENOMEM)
		return report_fail(rep, err, "%srecord \"%s\": out of memory", where, schema->name);
	return report_fail(rep, err, "%srecord \"%s\": field \"%s\": %s; the image is damaged or was made by other software",
	                   where, schema->name, name, why);
}

int img_schema_decode(const struct img_schema *schema, const void *data, size_t size, struct reporter *rep, void *ret_value)
{
	return img_schema_decode_at(schema, data, size, rep, "", ret_value);
}

void img_schema_clear(const struct img_schema *schema, void *value)
{
	for (size_t i = 0; i < schema->n_fields; i++) {
		void *p = (char *)value + schema->fields[i].offset;
		if (schema->fields[i].type == IMG_STR)
			free(*(char **)p);
		else if (schema->fields[i].type == IMG_BYTES)
			free(((struct img_bytes *)p)->data);
	}
	memset(value, 0, schema->size);
}
