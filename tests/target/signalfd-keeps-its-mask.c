// SPDX-License-Identifier: LGPL-2.1-or-later
/* A signalfd keeps its mask and flags: a signal that is pending over the checkpoint is read from it afterwards with its value,
 * and one outside the mask never is. */
#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "target.h"

int main(int argc, char **argv)
{
	struct signalfd_siginfo info;
	sigset_t all, mask;
	int fd, other;

	target_init(argc, argv);
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	sigemptyset(&mask);
	sigaddset(&mask, SIGRTMIN + 5);
	sigaddset(&mask, SIGUSR1);
	fd = signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC);
	sigaddset(&mask, SIGUSR2);
	other = signalfd(-1, &mask, SFD_NONBLOCK);
	sigqueue(getpid(), SIGRTMIN + 5, (union sigval){ .sival_int = 99 });
	kill(getpid(), SIGUSR2);
	target_ready();
	while (target_turn())
		;
	target_check(read(fd, &info, sizeof(info)) == sizeof(info), "%m");
	target_check(info.ssi_signo == (uint32_t)SIGRTMIN + 5 && info.ssi_int == 99 && info.ssi_pid == (uint32_t)getpid(),
	             "signal %u value %d pid %u", info.ssi_signo, info.ssi_int, info.ssi_pid);
	target_check(read(fd, &info, sizeof(info)) == -1 && errno == EAGAIN, "a signal outside the mask was read: %u",
	             info.ssi_signo);
	target_check(read(other, &info, sizeof(info)) == sizeof(info) && info.ssi_signo == SIGUSR2, "%m");
	kill(getpid(), SIGUSR1);
	target_check(read(fd, &info, sizeof(info)) == sizeof(info) && info.ssi_signo == SIGUSR1, "%m");
	target_done();
}
