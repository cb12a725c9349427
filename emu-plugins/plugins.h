/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What is known of host hardware, one folder per kind: a plugin (stasis/plugin.h), or, until a kind can be disconnected and connected
 * again, only a claim: the files it is known by, and why a target that holds them cannot be checkpointed yet. */
#ifndef STASIS_PLUGINS_H
#define STASIS_PLUGINS_H

#include <stddef.h>

#include "fd/fd.h"
#include "stasis/plugin.h"

/* The claims of all kinds in one array, to be given to stasis_job_claims. `*ret_claims` is allocated. Returns 0 or -ENOMEM. */
int plugins_claims(struct fd_claim **ret_claims, size_t *ret_n);

/* One table per folder, ended by an entry without a pattern. */
extern const struct fd_claim vhost_claims[], usb_claims[], vfio_claims[];

/* The plugins that are built in. */
const struct stasis_plugin *const *plugins_built_in(size_t *ret_n);
extern const struct stasis_plugin kvm_plugin, tap_plugin, vhost_plugin, usb_plugin;

#endif
