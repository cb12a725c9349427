// SPDX-License-Identifier: LGPL-2.1-or-later
/* Where the recorder's library is. */
#include "recorder-path.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

/* The way from the directory of this program to the library, in a build directory. */
#define UNINSTALLED "../../emu-plugins/" RECORDER_LIBRARY

static char *usable(const char *path)
{
	char *real = realpath(path, NULL);

	if (!real || strpbrk(real, ": ") || access(real, R_OK)) {
		free(real);
		return NULL;
	}
	return real;
}

char *recorder_path(void)
{
	AUTO_FREE char *beside = NULL;
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *found = NULL;

	if (n > 0) {
		self[n] = '\0';
		char *slash = strrchr(self, '/');
		if (slash && asprintf(&beside, "%.*s/" UNINSTALLED, (int)(slash - self), self) >= 0)
			found = usable(beside);
	}
	return found ? found : usable(STASIS_LIBDIR "/" RECORDER_LIBRARY);
}
