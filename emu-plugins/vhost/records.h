/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an image says of vhost-net devices and their rings. */
#ifndef STASIS_VHOST_RECORDS_H
#define STASIS_VHOST_RECORDS_H

#include <stdint.h>

#include "schema.h"

/* Bits of `set`: what had been set at all. Values are for ever. */
enum vhost_set {
	VHOST_SET_THE_FEATURES = 1 << 0, /* device */
	VHOST_SET_THE_BACKEND_FEATURES = 1 << 1,
	VHOST_SET_THE_LOG_BASE = 1 << 2,
	VHOST_SET_THE_NUM = 1 << 0, /* ring */
	VHOST_SET_THE_ENDIAN = 1 << 1,
	VHOST_SET_THE_BUSYLOOP = 1 << 2,
};

/* A descriptor of /dev/vhost-net. */
struct vhost_rec_device {
	int32_t fd;
	bool owned;
	uint32_t set;
	uint64_t features, backend_features, log_base;
	struct img_bytes memory; /* struct vhost_memory and its regions */
	int32_t log_fd;          /* -1: none, as below */
};

/* A virtqueue: 0 receives, 1 sends. */
struct vhost_rec_ring {
	int32_t device; /* its descriptor */
	uint32_t index, set, num, base, endian, busyloop;
	struct img_bytes addr; /* struct vhost_vring_addr */
	int32_t kick, call, err, backend;
};

extern const struct img_schema vhost_device_schema, vhost_ring_schema;
extern const struct img_schema *const vhost_schemas[];

#endif
