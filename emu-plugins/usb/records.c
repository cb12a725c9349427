// SPDX-License-Identifier: LGPL-2.1-or-later
/* The field tables of the USB plugin's records. A field's number is its meaning for ever. */
#include "records.h"

static const struct img_field device_fields[] = {
	IMG_FIELD_REQUIRED(1, usb_rec_device, id, IMG_U32, IMG_DEC),
	IMG_FIELD(2, usb_rec_device, gone, IMG_BOOL, IMG_DEC),
	IMG_FIELD(3, usb_rec_device, port, IMG_STR, IMG_DEC),
	IMG_FIELD(4, usb_rec_device, serial, IMG_STR, IMG_DEC),
	IMG_FIELD(5, usb_rec_device, name, IMG_STR, IMG_DEC),
	IMG_FIELD(6, usb_rec_device, bus, IMG_U32, IMG_DEC),
	IMG_FIELD(7, usb_rec_device, address, IMG_U32, IMG_DEC),
	IMG_FIELD(8, usb_rec_device, vendor, IMG_U32, IMG_HEX),
	IMG_FIELD(9, usb_rec_device, product, IMG_U32, IMG_HEX),
	IMG_FIELD(10, usb_rec_device, release, IMG_U32, IMG_HEX),
	IMG_FIELD(11, usb_rec_device, configuration, IMG_U32, IMG_DEC),
	IMG_FIELD(12, usb_rec_device, descriptors, IMG_BYTES, IMG_HEX),
	IMG_FIELD(13, usb_rec_device, alternates, IMG_BYTES, IMG_HEX),
};
const struct img_schema usb_device_schema =
        IMG_SCHEMA("USBD", 1, IMG_MUST_UNDERSTAND, "USB device", usb_rec_device, device_fields);

static const struct img_field handle_fields[] = {
	IMG_FIELD_REQUIRED(1, usb_rec_handle, fd, IMG_I32, IMG_DEC),
	IMG_FIELD_REQUIRED(2, usb_rec_handle, device, IMG_U32, IMG_DEC),
	IMG_FIELD(3, usb_rec_handle, flags, IMG_U32, IMG_HEX),
	IMG_FIELD(4, usb_rec_handle, offset, IMG_U64, IMG_DEC),
	IMG_FIELD(5, usb_rec_handle, claimed, IMG_U64, IMG_HEX),
	IMG_FIELD(6, usb_rec_handle, detached, IMG_U64, IMG_HEX),
	IMG_FIELD(7, usb_rec_handle, set, IMG_U32, IMG_HEX),
	IMG_FIELD(8, usb_rec_handle, signal, IMG_U32, IMG_DEC),
	IMG_FIELD(9, usb_rec_handle, context, IMG_U64, IMG_HEX),
	IMG_FIELD(10, usb_rec_handle, privileges, IMG_U32, IMG_HEX),
	IMG_FIELD(11, usb_rec_handle, flights, IMG_U32, IMG_DEC),
	IMG_FIELD(12, usb_rec_handle, exchange, IMG_BOOL, IMG_DEC),
};
const struct img_schema usb_handle_schema =
        IMG_SCHEMA("USBF", 1, IMG_MUST_UNDERSTAND, "USB descriptor", usb_rec_handle, handle_fields);

const struct img_schema *const usb_schemas[] = { &usb_device_schema, &usb_handle_schema, NULL };
