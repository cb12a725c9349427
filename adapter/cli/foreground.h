/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Stays as the parent of a restarted target: passes signals on, shares the terminal with it as a shell's job would, waits for
 * its end. */
#ifndef STASIS_CLI_FOREGROUND_H
#define STASIS_CLI_FOREGROUND_H

#include <stdbool.h>
#include <termios.h>

#include "base/report.h"
#include "stasis.h"

struct foreground {
	int tty; /* our controlling terminal; -1 = none, or none of our business */
	bool has_settings;
	struct termios settings; /* as the terminal was before the restart */
	pid_t group;             /* the target's own process group; 0 = it is in ours */
	bool has_job;            /* that group is in our session: it can have our terminal */
};

/* Before the restart: remembers how the terminal is. With `detached` there is none. */
void foreground_init(struct foreground *fg, bool detached);

/* Before the first process, `pid`, runs: puts its process group in the foreground if that is where we are, so that it is not
 * stopped by its first read from the terminal. */
void foreground_give(struct foreground *fg, pid_t pid);

/* Takes the terminal back, with its settings as they were, if it is ours or was given. */
void foreground_finish(struct foreground *fg);

/* After the restart: passes signals on until the target ends. `left_stopped`: it was restarted with --stopped, so being
 * stopped is no news. Returns 0 and the wait status of the target's first process, or a negative errno, worded. */
int foreground_wait(struct foreground *fg, struct reporter *rep, const struct stasis_restarted *target, bool left_stopped,
		    int *ret_status);

/* The exit status that says the same as `status`; when a signal killed the target, the caller is killed by the same signal
 * here, without a core file. */
int foreground_status(int status);

#endif
