/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The words of --tcp, which `check`, `checkpoint` and `restart` share. */
#ifndef STASIS_CLI_TCP_OPTION_H
#define STASIS_CLI_TCP_OPTION_H

#include "args.h"
#include "stasis.h"

/* NULL means STASIS_TCP_AUTO, which has no word. Returns -1 to go on, or CLI_USAGE. */
static inline int tcp_option(const struct cli_command *cmd, const char *text, enum stasis_tcp *ret)
{
	static const char *const words[] = { "reset", "repair", NULL };
	static const enum stasis_tcp values[] = { STASIS_TCP_RESET, STASIS_TCP_REPAIR, STASIS_TCP_AUTO };
	int i = 2, status = args_choice(cmd, "--tcp", text, words, &i);

	*ret = values[i];
	return status;
}

#endif
