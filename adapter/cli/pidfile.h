/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A file with a pid in it, which others see whole or not at all. */
#ifndef STASIS_CLI_PIDFILE_H
#define STASIS_CLI_PIDFILE_H

#include <sys/types.h>

#include "base/report.h"

/* Whether a file can be made there, so that a bad place is found before anything is started. Makes nothing. Returns 0 or a
 * negative errno, worded. */
int pidfile_check(struct reporter *rep, const char *path);

/* Writes "PID\n" under another name and renames it into place. Returns 0 or a negative errno, worded. */
int pidfile_write(struct reporter *rep, const char *path, pid_t pid);

#endif
