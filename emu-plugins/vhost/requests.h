/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every ioctl of vhost that there is, and what it means for a checkpoint. Used by the recorder and by the plugin. */
#ifndef STASIS_VHOST_REQUESTS_H
#define STASIS_VHOST_REQUESTS_H

#include <linux/vhost.h>
#include <stddef.h>
#include <stdint.h>

enum vhost_request_class {
	VHOST_REQUEST_PLAIN,  /* asks, or acts in a way that shows in state that can be read */
	VHOST_REQUEST_OWNER,  /* begins or ends a device's life */
	VHOST_REQUEST_DEVICE, /* kept: one per descriptor */
	VHOST_REQUEST_RING,   /* kept: one per descriptor and ring, which the argument begins with */
	VHOST_REQUEST_REFUSE, /* its effect cannot be restored */
};

struct vhost_request {
	uint32_t request;
	enum vhost_request_class class;
	const char *name;
	const char *why; /* VHOST_REQUEST_REFUSE */
};

/* NULL when it is not in the table: refused as well. */
const struct vhost_request *vhost_request_find(uint64_t request);

#endif
