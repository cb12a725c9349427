// SPDX-License-Identifier: LGPL-2.1-or-later
/* The program's whole list of mappings is the same after a checkpoint and after a restart: nothing of the engine's own is left,
 * nothing is missing, moved, or has another protection, file or offset. Inode numbers may change, and anonymous shared memory
 * may be called by another name. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "target.h"

static char before[256 << 10];

/* The maps without the columns that may differ (device and inode), in a static buffer. */
static const char *maps(void)
{
	static char out[256 << 10];
	const char *text = target_slurp("/proc/self/maps");
	size_t n = 0;

	while (*text) {
		char line[700], range[64], prot[8], offset[32], path[600] = "";
		size_t size = strcspn(text, "\n");

		snprintf(line, sizeof(line), "%.*s", (int)size, text);
		text += size + (text[size] == '\n');
		target_check(sscanf(line, "%63s %7s %31s %*s %*s %599[^\n]", range, prot, offset, path) >= 3, "%.100s", line);
		if (strcmp(path, "/dev/zero (deleted)") == 0 || strncmp(path, "/memfd:", 7) == 0)
			strcpy(path, "anonymous shared memory");
		n += snprintf(out + n, sizeof(out) - n, "%s %s %s %s\n", range, prot, offset, path);
	}
	return out;
}

/* Where two texts begin to differ, one line of each. */
static void check_same(const char *a, const char *b)
{
	while (*a && *a == *b) {
		size_t n = strcspn(a, "\n");

		if (strncmp(a, b, n + 1) != 0)
			break;
		a += n + 1;
		b += n + 1;
	}
	target_check(!*a && !*b, "was: %.*s is: %.*s", (int)strcspn(a, "\n"), a, (int)strcspn(b, "\n"), b);
}

int main(int argc, char **argv)
{
	target_init(argc, argv);
	/* Everything that grows by itself grows now. */
	free(malloc(100000));
	for (int i = 0; i < 3; i++)
		target_check(mmap(NULL, 8192, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0) != MAP_FAILED, "%m");
	strcpy(before, maps());
	target_ready();
	while (target_turn())
		check_same(before, maps());
	target_done();
}
