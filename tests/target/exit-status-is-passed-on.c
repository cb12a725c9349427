// SPDX-License-Identifier: LGPL-2.1-or-later
/* A restart in the foreground ends with the exit status of the program, here 42. */
#include <unistd.h>

#include "target.h"

int main(int argc, char **argv)
{
	target_init(argc, argv);
	target_option("exit=42");
	target_ready();
	while (target_turn())
		;
	target_say_done();
	_exit(42);
}
