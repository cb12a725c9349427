/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Ctrl-C and its kin during a checkpoint or restart: they ask the work to stop and be undone, nothing dies in the middle. */
#ifndef STASIS_CLI_CANCEL_H
#define STASIS_CLI_CANCEL_H

/* From now on SIGINT, SIGTERM, SIGHUP and SIGQUIT only raise the flag; SIGPIPE, SIGTSTP, SIGTTIN and SIGTTOU are ignored. One
 * of the former that was ignored when the program started (nohup) stays ignored. */
void cancel_install(void);

/* For stasis_job_create: not 0 once a signal came. */
const volatile int *cancel_flag(void);

/* The signal that came first, 0 if none. */
int cancel_signal(void);

#endif
