/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* --bwlimit, which `checkpoint` and `run` share. */
#ifndef STASIS_CLI_BWLIMIT_OPTION_H
#define STASIS_CLI_BWLIMIT_OPTION_H

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "args.h"

#define BWLIMIT_OPTION(ret) \
	{ "bwlimit", '\0', POPT_ARG_STRING, ret, 0, "write at most this many bytes a second: 500K, 20M, 1G", "RATE" }

/* "1000000", "500K", "20M", "1G": bytes per second, of 1024 and its powers; NULL means no limit (0). Returns -1 to go on, or CLI_USAGE. */
static inline int bwlimit_option(const struct cli_command *cmd, const char *text, uint64_t *ret)
{
	static const char units[] = "KMG";
	char *end = NULL;
	unsigned long long n = text && isdigit((unsigned char)*text) ? strtoull(text, &end, 10) : 0;
	const char *unit = end && *end ? strchr(units, toupper((unsigned char)*end)) : NULL;
	int shift = unit ? 10 * (int)(unit - units + 1) : 0;

	if (text && (!n || end[unit != NULL] || n > UINT64_MAX >> shift >> 1))
		return args_wrong(cmd, "--bwlimit %s: give bytes per second, such as 500K, 20M or 1G", text);
	*ret = n << shift;
	return -1;
}

#endif
