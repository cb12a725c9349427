// SPDX-License-Identifier: LGPL-2.1-or-later
/* A program that is not dumpable is closed to its own user: an ordinary user's checkpoint is refused with a word about access,
 * root's works and leaves it undumpable. */
#include <sys/prctl.h>
#include <unistd.h>

#include "target.h"

int main(int argc, char **argv)
{
	target_init(argc, argv);
	prctl(PR_SET_DUMPABLE, 0);
	if (geteuid() != 0)
		target_option("refused=access");
	target_ready();
	while (target_turn())
		target_check(prctl(PR_GET_DUMPABLE) == 0, "dumpable is %d", prctl(PR_GET_DUMPABLE));
	target_done();
}
