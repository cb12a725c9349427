// SPDX-License-Identifier: LGPL-2.1-or-later
/* A restart in the foreground ends as the program does, here by a signal: the caller sees the same wait status as if it had run
 * the program itself. */
#include <signal.h>

#include "target.h"

int main(int argc, char **argv)
{
	target_init(argc, argv);
	target_option("killed=%d", SIGTERM);
	target_ready();
	while (target_turn())
		;
	target_say_done();
	signal(SIGTERM, SIG_DFL);
	raise(SIGTERM);
	target_fail("SIGTERM does not end it");
}
