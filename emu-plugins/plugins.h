/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is known of host hardware, one folder per kind. Until a kind can be disconnected and connected again its folder holds only a
 * claim: the files it is known by, and why a target that holds them cannot be checkpointed yet. */
#ifndef STASIS_PLUGINS_H
#define STASIS_PLUGINS_H

#include <stddef.h>

#include "fd/fd.h"

/* The claims of all kinds in one array, to be given to stasis_job_claims. `*ret_claims` is allocated. Returns 0 or -ENOMEM. */
int plugins_claims(struct fd_claim **ret_claims, size_t *ret_n);

/* One table per folder, ended by an entry without a pattern. */
extern const struct fd_claim kvm_claims[], tap_claims[], usb_claims[], vfio_claims[];

#endif
