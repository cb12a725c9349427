/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where the recorder's library is. */
#ifndef STASIS_CLI_RECORDER_PATH_H
#define STASIS_CLI_RECORDER_PATH_H

#include "recorder/root.h"

/* The library's absolute path: beside an uninstalled stasis in its build directory, else where it was installed. NULL when it is not
 * there, or when its path cannot stand in LD_PRELOAD (a colon or a space in it). To be freed. */
char *recorder_path(void);

#endif
