/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libFuzzer target for files of mappings. What ends up in the map must be whole, no two entries of it for the same thing, and
 * found by its name; a text that is refused must have been complained of. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "map-file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int truth)
{
	if (!truth)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct resource_map map = { 0 };
	struct reporter rep;

	report_init(&rep, NULL, REPORT_ERROR);
	int err = map_file_parse(&rep, "fuzz", (const char *)data, size, &map);
	require(!err == !rep.first_error);
	vec_each(&map.list, it) {
		require(*it->kind && *it->from && *it->to);
		require(resource_map_find(&map, it->kind, it->from) == it->to);
	}
	report_finish(&rep);
	resource_map_finish(&map);
	return 0;
}
