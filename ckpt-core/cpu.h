/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The processor's identity in an image. */
#ifndef STASIS_CPU_H
#define STASIS_CPU_H

#include <stdint.h>

#include "schema.h"

struct cpu_leaf { /* one CPUID leaf; reg: eax ebx ecx edx */
	uint32_t leaf, subleaf, reg[4];
};

/* What this host has. `ret_cpuid->data` is allocated: an array of struct cpu_leaf. Returns 0 or -ENOMEM. */
int cpu_capture(struct img_bytes *ret_cpuid, uint64_t *ret_xcr0);

/* The features that were there and are not any more: " avx2 fma xcr0:0xe0", empty when nothing is missing. `*ret_names` is
 * allocated. `then` may come from a hostile image. Returns 0 or -ENOMEM. */
int cpu_missing(const struct img_bytes *then, uint64_t then_xcr0, const struct img_bytes *now, uint64_t now_xcr0, char **ret_names);

#endif
