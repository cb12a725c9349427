/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The plan of `stasis restart`: plan hooks are asked, and with --plan what the image needs here is shown and nothing is
 * started. */
#ifndef STASIS_CLI_RESTART_PLAN_H
#define STASIS_CLI_RESTART_PLAN_H

#include "hooks.h"

struct restart_args {
	struct args_common common;
	struct resource_map map;
	struct hooks hooks;
	char *clock, *lazy, *tcp, *usb_wait, *pidfile, *disk, *name;
	int detach, host_pids, plan, stopped, clones;
	unsigned clone;    /* which one this is; 0: none */
	pid_t *clone_pids; /* shared by all of them */
	int clone_gate;    /* a socket, which all clones have: a byte from each that is ready, and one for each to go */
};

/* Tells plan hooks what is needed as the map is now, and adds their mappings to it. `*ret_name` is the name that the target
 * had, to be freed; NULL when it had none or there are no hooks. Returns 0, or a negative errno, worded unless it is
 * -ECANCELED. */
int restart_plan_ask_hooks(struct session *s, struct restart_args *a, const struct stasis_restart_options *options,
                           char **ret_name);

/* --plan. Returns the exit status. */
int restart_plan_show(struct session *s, struct restart_args *a, const struct stasis_restart_options *options);

#endif
