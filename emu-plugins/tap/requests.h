/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What newer kernels than our headers have (include/uapi/linux/if_tun.h). */
#ifndef STASIS_TAP_REQUESTS_H
#define STASIS_TAP_REQUESTS_H

#include <linux/if_tun.h>
#include <sys/ioctl.h>

#define TAP_F_USO4 0x20u
#define TAP_F_USO6 0x40u

/* What TUNSETIFF takes. */
#define TAP_IFF_SETTABLE \
	(IFF_TUN | IFF_TAP | IFF_NAPI | IFF_NAPI_FRAGS | IFF_ONE_QUEUE | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE)
/* What a macvtap takes. */
#define TAP_IFF_MACVTAP (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE)

#endif
