// SPDX-License-Identifier: LGPL-2.1-or-later
/* Pipes whose end kills (see switch.h). */
#include "lazy/switch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

static int arm(int reader, pid_t victim)
{
	if (fcntl(reader, F_SETOWN, victim) < 0 || fcntl(reader, F_SETSIG, SIGKILL) < 0 ||
	    fcntl(reader, F_SETFL, O_ASYNC | O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

int switch_make(pid_t victim, int ret_fds[SWITCH_FDS])
{
	int one[2], two[2], err;

	if (pipe2(one, O_CLOEXEC) < 0)
		return -errno;
	if (pipe2(two, O_CLOEXEC) < 0) {
		err = -errno;
	} else {
		if (!(err = arm(one[0], victim)) && !(err = arm(two[0], victim))) {
			ret_fds[SWITCH_R1] = one[0];
			ret_fds[SWITCH_W1] = one[1];
			ret_fds[SWITCH_R2] = two[0];
			ret_fds[SWITCH_W2] = two[1];
			return 0;
		}
		fcntl(one[0], F_SETFL, O_NONBLOCK);
		fcntl(two[0], F_SETFL, O_NONBLOCK);
		close(two[0]);
		close(two[1]);
	}
	close(one[0]);
	close(one[1]);
	return err;
}

void switch_disarm(const int fds[SWITCH_FDS])
{
	fcntl(fds[SWITCH_R1], F_SETFL, O_NONBLOCK);
	fcntl(fds[SWITCH_R2], F_SETFL, O_NONBLOCK);
}
