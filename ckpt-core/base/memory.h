/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* How much memory this host has to spare. */
#ifndef STASIS_BASE_MEMORY_H
#define STASIS_BASE_MEMORY_H

#include <stdint.h>

/* Bytes that can be had without swapping (MemAvailable of /proc/meminfo, proc(5)); 0 when the kernel does not say. */
uint64_t memory_available(void);

#endif
