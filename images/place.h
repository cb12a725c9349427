/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The file an image is written into before it has its name, and the moment it gets it. */
#ifndef STASIS_IMAGES_PLACE_H
#define STASIS_IMAGES_PLACE_H

#include <stdbool.h>

#include "base/report.h"

struct place {
	struct reporter *rep; /* borrowed */
	char *path, *dir;     /* as the user knows them, for messages */
	char *name, *temp;    /* within the directory; temp is NULL while the file has no name */
	int dirfd, fd;
	bool overwrite, synced_dir;
};

/* Creates the file, 0600, without a name where the file system can do that, else under a hidden temporary one. */
int place_create(struct reporter *rep, const char *path, bool overwrite, struct place *ret);

/* fsync, then the final name, then fsync of the directory. */
int place_commit(struct place *place);

/* Closes, and removes what is there under a temporary name. */
void place_finish(struct place *place);

#endif
