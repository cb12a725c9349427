// SPDX-License-Identifier: LGPL-2.1-or-later
/* The field tables of the tap plugin's records. A field's number is its meaning for ever. */
#include "records.h"

static const struct img_field link_fields[] = {
	IMG_FIELD_REQUIRED(1, tap_rec_link, id, IMG_U32, IMG_DEC), IMG_FIELD_REQUIRED(2, tap_rec_link, name, IMG_STR, IMG_DEC),
	IMG_FIELD(3, tap_rec_link, where, IMG_U32, IMG_DEC),       IMG_FIELD(4, tap_rec_link, netns, IMG_STR, IMG_DEC),
	IMG_FIELD(5, tap_rec_link, known, IMG_BOOL, IMG_DEC),      IMG_FIELD(6, tap_rec_link, macvtap, IMG_BOOL, IMG_DEC),
	IMG_FIELD(7, tap_rec_link, ifindex, IMG_U32, IMG_DEC),     IMG_FIELD(8, tap_rec_link, mtu, IMG_U32, IMG_DEC),
	IMG_FIELD(9, tap_rec_link, link_type, IMG_U32, IMG_DEC),   IMG_FIELD(10, tap_rec_link, address, IMG_BYTES, IMG_HEX),
	IMG_FIELD(11, tap_rec_link, up, IMG_BOOL, IMG_DEC),        IMG_FIELD(12, tap_rec_link, carrier_off, IMG_BOOL, IMG_DEC),
	IMG_FIELD(13, tap_rec_link, persist, IMG_BOOL, IMG_DEC),   IMG_FIELD(14, tap_rec_link, owner, IMG_I64, IMG_DEC),
	IMG_FIELD(15, tap_rec_link, group, IMG_I64, IMG_DEC),      IMG_FIELD(16, tap_rec_link, bridge, IMG_STR, IMG_DEC),
	IMG_FIELD(17, tap_rec_link, offload, IMG_U32, IMG_HEX),    IMG_FIELD(18, tap_rec_link, txfilter, IMG_BYTES, IMG_HEX),
	IMG_FIELD(19, tap_rec_link, filter, IMG_BYTES, IMG_HEX),   IMG_FIELD(20, tap_rec_link, filter_addr, IMG_U64, IMG_HEX),
	IMG_FIELD(21, tap_rec_link, macs, IMG_BYTES, IMG_HEX),     IMG_FIELD(22, tap_rec_link, addresses, IMG_BYTES, IMG_HEX),
};
const struct img_schema tap_link_schema =
        IMG_SCHEMA("TAPL", 1, IMG_MUST_UNDERSTAND, "tap interface", tap_rec_link, link_fields);

static const struct img_field queue_fields[] = {
	IMG_FIELD_REQUIRED(1, tap_rec_queue, fd, IMG_I32, IMG_DEC),
	IMG_FIELD(2, tap_rec_queue, link, IMG_U32, IMG_DEC),
	IMG_FIELD(3, tap_rec_queue, flags, IMG_U32, IMG_HEX),
	IMG_FIELD(4, tap_rec_queue, header_size, IMG_I32, IMG_DEC),
	IMG_FIELD(5, tap_rec_queue, sndbuf, IMG_I32, IMG_DEC),
	IMG_FIELD(6, tap_rec_queue, little_endian, IMG_BOOL, IMG_DEC),
	IMG_FIELD(7, tap_rec_queue, big_endian, IMG_BOOL, IMG_DEC),
	IMG_FIELD(8, tap_rec_queue, has_filter, IMG_BOOL, IMG_DEC),
};
const struct img_schema tap_queue_schema = IMG_SCHEMA("TAPQ", 1, IMG_MUST_UNDERSTAND, "tap queue", tap_rec_queue, queue_fields);

const struct img_schema *const tap_schemas[] = { &tap_link_schema, &tap_queue_schema, NULL };
