// SPDX-License-Identifier: LGPL-2.1-or-later
/* Cancellation by signal. A handler can reach nothing but a variable of the program, so this is the one there is. */
#include "cancel.h"

#include <signal.h>
#include <stddef.h>

static volatile int cancel_raised;

static void cancel_handler(int sig)
{
	if (!cancel_raised)
		cancel_raised = sig;
}

void cancel_install(void)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };
	struct sigaction act = { .sa_handler = cancel_handler }, old; /* no SA_RESTART: whoever waits shall notice */

	sigemptyset(&act.sa_mask);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		sigaction(signals[i], NULL, &old);
		if (old.sa_handler != SIG_IGN)
			sigaction(signals[i], &act, NULL);
	}
	/* A stopped controller could leave its target standing still, so Ctrl-Z and background output do not stop us. */
	static const int harmless[] = { SIGPIPE, SIGTSTP, SIGTTIN, SIGTTOU };
	for (size_t i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++)
		signal(harmless[i], SIG_IGN);
}

const volatile int *cancel_flag(void)
{
	return &cancel_raised;
}

int cancel_signal(void)
{
	return cancel_raised;
}
