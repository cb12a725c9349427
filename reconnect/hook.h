/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Hooks: programs of a site that are told of an event, may refuse it, and may have something to say to it. This is how one is
 * run; which events there are and what is in their messages is the caller's business. */
#ifndef STASIS_HOOK_H
#define STASIS_HOOK_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/report.h"

#define HOOK_OUTPUT_MAX 65536 /* bytes of standard output that are taken */
#define HOOK_TIMEOUT_MS 10000

struct hook_call {
	const char *program;   /* a path, or a name that is looked up in PATH */
	const char *event;     /* its only argument, and STASIS_EVENT */
	const char *image;     /* STASIS_IMAGE */
	const json_t *message; /* on its standard input, on one line */
	unsigned timeout_ms;   /* 0 = HOOK_TIMEOUT_MS */
	bool optional;         /* a failure is a warning, and a cancel that was there before is no reason not to run it */
	const char *outcome;   /* what a failure means: "nothing was started" */
};

/* Runs the program to its end: in a process group of its own, with the caller's directory, with no descriptors but 0, 1 and 2,
 * no signal blocked or ignored. `*ret_output`, when asked for, is what it wrote to standard output (terminated; more than
 * HOOK_OUTPUT_MAX is a failure then), owned by the caller. Other output is passed on as information, line by line.
 *
 * A program that does not end in time, and one that runs when the user cancels, is killed with all of its process group; what
 * it left running in the background when it ended is not. Returns 0, -ECANCELED (not worded) or a negative errno, worded. */
int hook_run(struct reporter *rep, const struct hook_call *call, char **ret_output);

#endif
