// SPDX-License-Identifier: LGPL-2.1-or-later
/* What /proc/meminfo says. It knows nothing of limits of control groups. */
#include "base/memory.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/io.h"

uint64_t memory_available(void)
{
	AUTO_FREE char *text = NULL;
	unsigned long long kib;

	if (io_read_filef(&text, NULL, "/proc/meminfo"))
		return 0;
	const char *line = strstr(text, "MemAvailable:");
	return line && sscanf(line, "MemAvailable: %llu", &kib) == 1 ? kib * 1024 : 0;
}
