// SPDX-License-Identifier: LGPL-2.1-or-later
/* The field tables of the vhost plugin's records. A field's number is its meaning for ever. */
#include "records.h"

static const struct img_field device_fields[] = {
	IMG_FIELD_REQUIRED(1, vhost_rec_device, fd, IMG_I32, IMG_DEC),
	IMG_FIELD(2, vhost_rec_device, owned, IMG_BOOL, IMG_DEC),
	IMG_FIELD(3, vhost_rec_device, set, IMG_U32, IMG_HEX),
	IMG_FIELD(4, vhost_rec_device, features, IMG_U64, IMG_HEX),
	IMG_FIELD(5, vhost_rec_device, backend_features, IMG_U64, IMG_HEX),
	IMG_FIELD(6, vhost_rec_device, log_base, IMG_U64, IMG_HEX),
	IMG_FIELD(7, vhost_rec_device, memory, IMG_BYTES, IMG_HEX),
	IMG_FIELD_REQUIRED(8, vhost_rec_device, log_fd, IMG_I32, IMG_DEC),
};
const struct img_schema vhost_device_schema =
	IMG_SCHEMA("VHSD", 1, IMG_MUST_UNDERSTAND, "vhost-net device", vhost_rec_device, device_fields);

static const struct img_field ring_fields[] = {
	IMG_FIELD_REQUIRED(1, vhost_rec_ring, device, IMG_I32, IMG_DEC),
	IMG_FIELD_REQUIRED(2, vhost_rec_ring, index, IMG_U32, IMG_DEC),
	IMG_FIELD(3, vhost_rec_ring, set, IMG_U32, IMG_HEX),
	IMG_FIELD(4, vhost_rec_ring, num, IMG_U32, IMG_DEC),
	IMG_FIELD(5, vhost_rec_ring, base, IMG_U32, IMG_HEX),
	IMG_FIELD(6, vhost_rec_ring, endian, IMG_U32, IMG_DEC),
	IMG_FIELD(7, vhost_rec_ring, busyloop, IMG_U32, IMG_DEC),
	IMG_FIELD(8, vhost_rec_ring, addr, IMG_BYTES, IMG_HEX),
	IMG_FIELD_REQUIRED(9, vhost_rec_ring, kick, IMG_I32, IMG_DEC),
	IMG_FIELD_REQUIRED(10, vhost_rec_ring, call, IMG_I32, IMG_DEC),
	IMG_FIELD_REQUIRED(11, vhost_rec_ring, err, IMG_I32, IMG_DEC),
	IMG_FIELD_REQUIRED(12, vhost_rec_ring, backend, IMG_I32, IMG_DEC),
};
const struct img_schema vhost_ring_schema = IMG_SCHEMA("VHSR", 1, IMG_MUST_UNDERSTAND, "vhost-net ring", vhost_rec_ring, ring_fields);

const struct img_schema *const vhost_schemas[] = { &vhost_device_schema, &vhost_ring_schema, NULL };
