/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Records are plain C structs described by a table of fields. The one table gives the encoder, the checked decoder,
 * the JSON and text for `stasis show` and the clean-up, so that a record is described in one place only. */
#ifndef STASIS_IMAGES_SCHEMA_H
#define STASIS_IMAGES_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/report.h"

enum img_type {
	IMG_U32 = 1, /* uint32_t */
	IMG_I32,     /* int32_t */
	IMG_U64,     /* uint64_t */
	IMG_I64,     /* int64_t */
	IMG_BOOL,    /* bool */
	IMG_STR,     /* char *, NULL = absent; UTF-8 is not promised (paths) */
	IMG_BYTES,   /* struct img_bytes */
};

/* How `stasis show` prints a number. */
enum img_format { IMG_DEC, IMG_HEX, IMG_OCT };

struct img_bytes {
	void *data; /* allocated; NULL when size is 0 */
	size_t size;
};

struct img_field {
	uint16_t id; /* never reused within a schema; fields may be added, never changed */
	uint8_t type;
	uint8_t format;
	bool required; /* decoding fails without it; otherwise an absent field is 0, NULL, false */
	const char *name;
	size_t offset;
};

/* A reader that does not know a record's tag, or knows only an older version, refuses the image when the record says
 * IMG_MUST_UNDERSTAND and skips it otherwise. */
#define IMG_MUST_UNDERSTAND 0x1

struct img_schema {
	char tag[5]; /* four characters and a NUL: "VMA " */
	uint16_t version;
	uint16_t flags;
	const char *name; /* for people: "memory mapping" */
	size_t size;      /* of the C struct */
	const struct img_field *fields;
	size_t n_fields;
};

#define IMG_FIELD(id, strct, member, type, format) { id, type, format, false, #member, offsetof(struct strct, member) }
#define IMG_FIELD_REQUIRED(id, strct, member, type, format) { id, type, format, true, #member, offsetof(struct strct, member) }
#define IMG_SCHEMA(tag, version, flags, name, strct, fields) \
	{ tag, version, flags, name, sizeof(struct strct), fields, sizeof(fields) / sizeof((fields)[0]) }

/* Encodes `value` (a struct of `schema`). `*ret_data` is allocated. Returns 0 or -ENOMEM. */
int img_schema_encode(const struct img_schema *schema, const void *value, void **ret_data, size_t *ret_size);

/* Decodes into `ret_value`, which needs no initialisation and is all zero on failure. Bounds are checked; a field with an
 * unknown id is skipped, a known one with the wrong type or length is -EBADMSG, said through `rep` (may be NULL).
 * What the struct then owns is given back by img_schema_clear. */
int img_schema_decode(const struct img_schema *schema, const void *data, size_t size, struct reporter *rep, void *ret_value);

/* Frees the strings and bytes of a struct and zeroes it. */
void img_schema_clear(const struct img_schema *schema, void *value);

#endif
