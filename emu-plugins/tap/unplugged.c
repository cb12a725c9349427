// SPDX-License-Identifier: LGPL-2.1-or-later
/* A tap whose cable is unplugged: an interface that stays down in a network namespace which nobody else can enter. It goes with
 * its last descriptor, and the namespace with it. An ordinary user may make it, too: in a user namespace of its own. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

/* In a child that shares our descriptors and nothing else: what it opens is ours. Their numbers go into the pipe. */
static int open_queues(const char *name, const uint32_t *flags, size_t n, int pipe)
{
	struct ifreq ifr = { 0 };

	if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
		return errno;
	for (size_t i = 0; i < n; i++) {
		int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
		if (fd < 0)
			return errno;
		strncpy(ifr.ifr_name, name, IFNAMSIZ - 1);
		ifr.ifr_flags = (short)(flags[i] & TAP_IFF_SETTABLE);
		if (write(pipe, &fd, sizeof(fd)) != sizeof(fd) || ioctl(fd, TUNSETIFF, &ifr) < 0)
			return errno;
	}
	return 0;
}

int tap_unplugged_make(const char *name, const uint32_t *flags, size_t n, int *made)
{
	int status = 0, pipe[2], err = 0;
	size_t got = 0;

	if (pipe2(pipe, O_CLOEXEC) < 0)
		return -errno;
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, 0);
	if (pid == 0)
		_exit(open_queues(name, flags, n, pipe[1]));
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		err = -errno;
	else if (status)
		err = WIFEXITED(status) ? -WEXITSTATUS(status) : -EINTR;
	close(pipe[1]);
	while (got < n && read(pipe[0], &made[got], sizeof(made[got])) == sizeof(made[got]))
		got++;
	close(pipe[0]);
	if (!err && got < n)
		err = -EIO;
	while (err && got)
		close(made[--got]);
	return err;
}
