// SPDX-License-Identifier: LGPL-2.1-or-later
/* The table of vhost's ioctls (include/uapi/linux/vhost.h). What is not in it is refused by name, so that a new one is noticed
 * before it is lost. */
#include "requests.h"

#include <linux/vhost_types.h>

/* Newer than the headers that we are built with. */
struct vhost_worker_state_ {
	unsigned worker_id;
};
struct vhost_vring_worker_ {
	unsigned index, worker_id;
};
#define VHOST_NEW_WORKER_ _IOR(VHOST_VIRTIO, 0x8, struct vhost_worker_state_)
#define VHOST_FREE_WORKER_ _IOW(VHOST_VIRTIO, 0x9, struct vhost_worker_state_)
#define VHOST_ATTACH_VRING_WORKER_ _IOW(VHOST_VIRTIO, 0x15, struct vhost_vring_worker_)
#define VHOST_GET_VRING_WORKER_ _IOWR(VHOST_VIRTIO, 0x16, struct vhost_vring_worker_)

#define PLAIN(r) { (uint32_t)r, VHOST_REQUEST_PLAIN, #r, 0 }
#define OWNER(r) { (uint32_t)r, VHOST_REQUEST_OWNER, #r, 0 }
#define DEVICE(r) { (uint32_t)r, VHOST_REQUEST_DEVICE, #r, 0 }
#define RING(r) { (uint32_t)r, VHOST_REQUEST_RING, #r, 0 }
#define REFUSE(r, name, why) { (uint32_t)r, VHOST_REQUEST_REFUSE, name, why }

static const struct vhost_request requests[] = {
	OWNER(VHOST_SET_OWNER),
	OWNER(VHOST_RESET_OWNER),
	PLAIN(VHOST_GET_FEATURES),
	PLAIN(VHOST_GET_BACKEND_FEATURES),
	PLAIN(VHOST_GET_VRING_BASE),
	PLAIN(VHOST_GET_VRING_ENDIAN),
	PLAIN(VHOST_GET_VRING_BUSYLOOP_TIMEOUT),
	DEVICE(VHOST_SET_FEATURES),
	DEVICE(VHOST_SET_BACKEND_FEATURES),
	DEVICE(VHOST_SET_MEM_TABLE),
	DEVICE(VHOST_SET_LOG_BASE),
	DEVICE(VHOST_SET_LOG_FD),
	RING(VHOST_SET_VRING_NUM),
	RING(VHOST_SET_VRING_ADDR),
	PLAIN(VHOST_SET_VRING_BASE), /* read back by VHOST_GET_VRING_BASE */
	RING(VHOST_SET_VRING_ENDIAN),
	RING(VHOST_SET_VRING_KICK),
	RING(VHOST_SET_VRING_CALL),
	RING(VHOST_SET_VRING_ERR),
	RING(VHOST_SET_VRING_BUSYLOOP_TIMEOUT),
	RING(VHOST_NET_SET_BACKEND),
	PLAIN(VHOST_GET_VRING_WORKER_),
	REFUSE(VHOST_NEW_WORKER_, "VHOST_NEW_WORKER", "worker threads of its own"),
	REFUSE(VHOST_FREE_WORKER_, "VHOST_FREE_WORKER", "worker threads of its own"),
	REFUSE(VHOST_ATTACH_VRING_WORKER_, "VHOST_ATTACH_VRING_WORKER", "worker threads of its own"),
};

const struct vhost_request *vhost_request_find(uint64_t request)
{
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
		if (requests[i].request == (uint32_t)request)
			return &requests[i];
	return NULL;
}
