// SPDX-License-Identifier: LGPL-2.1-or-later
/* A program with a child process cannot be checkpointed yet. It is told so in words, and it and the child go on. */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "target.h"

int main(int argc, char **argv)
{
	int status, parent = getpid();
	pid_t child;

	target_init(argc, argv);
	child = fork();
	target_check(child >= 0, "%m");
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
		for (;;)
			pause();
	}
	target_option("refused=child");
	target_ready();
	while (target_turn())
		target_check(waitpid(child, &status, WNOHANG | WUNTRACED) == 0, "the child ended or stopped: %x", status);
	kill(child, SIGTERM);
	target_check(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM, "status %x",
	             status);
	target_done();
}
