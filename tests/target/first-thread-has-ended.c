// SPDX-License-Identifier: LGPL-2.1-or-later
/* The first thread has called pthread_exit() and is a zombie while another thread goes on. Such a process must either be
 * restored so or be refused in words; the zombie shows in /proc as state Z. */
#include <string.h>

#include "target.h"

static void *other(void *arg)
{
	(void)arg;
	while (strncmp(target_field(target_slurp("/proc/self/status"), "State"), "Z", 1) != 0)
		target_sleep_ms(1);
	target_ready();
	while (target_turn())
		target_check(strncmp(target_field(target_slurp("/proc/self/status"), "State"), "Z", 1) == 0,
		             "the first thread lives again");
	target_done();
}

int main(int argc, char **argv)
{
	target_init(argc, argv);
	target_option("refused=ended");
	target_thread(other, NULL);
	pthread_exit(NULL);
}
