/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The words of --disk, which `check` and `checkpoint` share. */
#ifndef STASIS_CLI_DISK_OPTION_H
#define STASIS_CLI_DISK_OPTION_H

#include "args.h"
#include "stasis.h"

/* NULL means "auto". Returns -1 to go on, or CLI_USAGE. */
static inline int disk_option(const struct cli_command *cmd, const char *text, enum stasis_disk *ret)
{
	static const char *const words[] = {
		[STASIS_DISK_AUTO] = "auto", [STASIS_DISK_COPY] = "copy", [STASIS_DISK_NONE] = "none", NULL
	};
	int i = STASIS_DISK_AUTO, status = args_choice(cmd, "--disk", text, words, &i);

	*ret = (enum stasis_disk)i;
	return status;
}

#endif
