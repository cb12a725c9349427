/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Finds the page server of a process that is still being loaded, and has it come to its end. */
#ifndef STASIS_LAZY_FIND_H
#define STASIS_LAZY_FIND_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/report.h"

/* The server of process `pid`, 0 when there is none (or it may not be looked at). It holds a pidfd of it, as its fdinfo tells.
 */
pid_t lazy_find(pid_t pid);

/* A process, not ourselves, with this command name that holds a pidfd of process `pid`; 0 when there is none. */
pid_t lazy_find_holder(pid_t pid, const char *comm);
bool lazy_is_holder(pid_t holder, pid_t pid, const char *comm);

/* Has all of a lazily restarted process loaded and waits until it is, so that it can be stopped: a thread that waits for a page
 * cannot, and what is missing would be taken for zero. Does nothing for others. Returns 0, -ECANCELED, or a negative errno,
 * worded. */
int lazy_finish(struct reporter *rep, pid_t pid);

#endif
