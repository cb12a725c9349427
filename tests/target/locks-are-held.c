// SPDX-License-Identifier: LGPL-2.1-or-later
/* File locks of the three sorts (flock, POSIX, open file description), shared and exclusive, whole and in part, are held after
 * the restart, by the right owner. At the end a child process and a second open file try them. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include "target.h"

static int fds[3];

static int lock(int fd, int cmd, short type, off_t from, off_t len)
{
	struct flock fl = { .l_type = type, .l_whence = SEEK_SET, .l_start = from, .l_len = len };

	return fcntl(fd, cmd, &fl) ? errno : 0;
}

static void check_from_outside(bool other_process)
{
	int fd[3];

	/* Not "posix" by the owner itself: closing it would drop the locks. */
	for (int i = 0; i < 3; i++)
		fd[i] = i == 1 && !other_process ? -1 : open(target_path(i == 0 ? "flock" : i == 1 ? "posix" : "ofd"), O_RDWR);
	target_check(flock(fd[0], LOCK_EX | LOCK_NB) == -1 && errno == EWOULDBLOCK, "flock: not held exclusively");
	target_check(lock(fd[2], F_OFD_SETLK, F_WRLCK, 105, 1) == EAGAIN, "ofd: exclusive range is free");
	target_check(lock(fd[2], F_OFD_SETLK, F_RDLCK, 205, 1) == 0, "ofd: shared range is not shared");
	target_check(lock(fd[2], F_OFD_SETLK, F_WRLCK, 206, 1) == EAGAIN, "ofd: shared range is free");
	target_check(lock(fd[2], F_OFD_SETLK, F_WRLCK, 150, 10) == 0, "ofd: more is locked than was");
	close(fd[0]);
	close(fd[2]);
	if (!other_process)
		return;
	target_check(lock(fd[1], F_SETLK, F_WRLCK, 12, 1) == EAGAIN, "posix: exclusive range is free");
	target_check(lock(fd[1], F_SETLK, F_RDLCK, 1000, 1) == 0 && lock(fd[1], F_SETLK, F_WRLCK, 1 << 30, 1) == EAGAIN,
	             "posix: shared range to the end");
	target_check(lock(fd[1], F_SETLK, F_WRLCK, 25, 10) == 0, "posix: more is locked than was");
}

int main(int argc, char **argv)
{
	int status;

	target_init(argc, argv);
	for (int i = 0; i < 3; i++) {
		fds[i] = open(target_path(i == 0 ? "flock" : i == 1 ? "posix" : "ofd"), O_CREAT | O_RDWR, 0666);
		target_check(fds[i] >= 0, "%m");
	}
	target_check(flock(fds[0], LOCK_EX) == 0, "%m");
	target_check(!lock(fds[1], F_SETLK, F_WRLCK, 10, 10) && !lock(fds[1], F_SETLK, F_RDLCK, 500, 0), "%m");
	target_check(!lock(fds[2], F_OFD_SETLK, F_WRLCK, 100, 10) && !lock(fds[2], F_OFD_SETLK, F_RDLCK, 200, 10), "%m");
	target_ready();
	while (target_turn())
		;
	check_from_outside(false);
	if (fork() == 0) {
		check_from_outside(true);
		_exit(0);
	}
	target_check(wait(&status) > 0 && status == 0, "the child found a fault");
	/* The owner itself may change what it holds. */
	target_check(flock(fds[0], LOCK_SH | LOCK_NB) == 0 && flock(fds[0], LOCK_UN) == 0, "flock: not ours: %m");
	target_check(!lock(fds[1], F_SETLK, F_UNLCK, 0, 0) && !lock(fds[2], F_OFD_SETLK, F_WRLCK, 200, 10), "not ours: %m");
	target_done();
}
