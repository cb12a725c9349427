// SPDX-License-Identifier: LGPL-2.1-or-later
/* The only thread of a process waits in pause(). It must go on waiting, and only the signal that the harness sends at the end
 * may end it, through the handler. */
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#include "target.h"

static volatile sig_atomic_t caught;

static void on_signal(int sig)
{
	caught = sig;
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	int r;

	target_init(argc, argv);
	sigaction(SIGUSR1, &sa, NULL);
	target_option("quiet");
	target_option("wake=%d", SIGUSR1);
	target_ready();
	r = pause();
	target_check(r == -1 && errno == EINTR, "returned %d, errno %d", r, errno);
	target_check(caught == SIGUSR1, "no handler ran");
	target_check(!target_turn(), "nobody asked to finish"); /* also proves pid, tid, nonce and counter */
	target_done();
}
