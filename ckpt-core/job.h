/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What hangs off one run of the engine. */
#ifndef STASIS_JOB_H
#define STASIS_JOB_H

#include "stasis.h"

struct stasis_job {
	struct reporter rep;
	const struct fd_claim *claims; /* host hardware that the plugins know; borrowed */
	size_t n_claims;
	const struct stasis_plugin *const *plugins; /* borrowed */
	size_t n_plugins;
};

#endif
