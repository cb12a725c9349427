/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The host's identity in an image. */
#ifndef STASIS_HOST_H
#define STASIS_HOST_H

#include <stdint.h>

#include "base/report.h"
#include "records.h"

/* Fills in what describes this host and this moment; not the name and the vdso. Owned by the record. Returns 0 or -ENOMEM. */
int host_capture(struct rec_host *ret);

/* Hash of a [vdso] text: 0 is never returned for one. */
uint64_t host_vdso_hash(const void *text, size_t size);

#endif
