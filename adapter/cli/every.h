/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Periodic checkpoints of the program that `stasis run` becomes: a process beside it that makes them, and takes old ones away.
 */
#ifndef STASIS_CLI_EVERY_H
#define STASIS_CLI_EVERY_H

#include <stdbool.h>
#include <stdint.h>

#include "args.h"
#include "command.h"
#include "session.h"

#define EVERY_MAX_MS (365 * ARGS_DAY_MS)

struct every {
	uint64_t period_ms; /* between two checkpoints, at most EVERY_MAX_MS; 0 = none are made */
	unsigned keep;      /* how many, at least, are left */
	uint64_t bwlimit;   /* bytes per second; 0 = any */
	const char *prefix; /* of their names, PREFIX.NNNNNN.stasis; a directory: NAME in it; NULL: NAME here. Borrowed */
	const char *name;   /* of the target; borrowed */
};

/* Starts the process that checkpoints the caller, whatever program that becomes, until it ends. It is no child of the caller.
 * Returns 0 or a negative errno, worded. */
int every_begin(const struct cli_command *cmd, struct reporter *rep, const struct every *every);

/* Which of `n` images made one after the other may go so that the last `keep` can still be restarted: the number of those, from
 * the first. `chain[i]` is the index of the whole image that image i goes back to. */
unsigned every_expired(const unsigned *chain, unsigned n, unsigned keep);

#endif
