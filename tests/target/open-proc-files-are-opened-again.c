// SPDX-License-Identifier: LGPL-2.1-or-later
/* Descriptors of files in /proc, the process's own and the system's, lead to the same things after the restart, and are still
 * the process's own at the next checkpoint, when its pid as seen from outside is another one. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "target.h"

static const char *again(int fd)
{
	static char text[4096];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	target_check(n > 0, "fd %d: %m", fd);
	text[n] = 0;
	return text;
}

int main(int argc, char **argv)
{
	int status, uptime, directory, maps, comm;
	char path[64];

	target_init(argc, argv);
	status = open("/proc/self/status", O_RDONLY);
	snprintf(path, sizeof(path), "/proc/%d/maps", getpid());
	maps = open(path, O_RDONLY | O_CLOEXEC);
	uptime = open("/proc/uptime", O_RDONLY);
	directory = open("/proc/self/fd", O_RDONLY | O_DIRECTORY);
	snprintf(path, sizeof(path), "/proc/self/task/%d/comm", gettid());
	comm = open(path, O_RDWR);
	target_check(status >= 0 && maps >= 0 && uptime >= 0 && directory >= 0 && comm >= 0, "%m");
	target_ready();
	while (target_turn()) {
		target_check(atoi(target_field(again(status), "Pid")) == getpid(), "status is of pid %s",
		             target_field(again(status), "Pid"));
		target_check(atof(again(uptime)) > 1, "uptime is %s", again(uptime));
		target_check(faccessat(directory, "0", F_OK, AT_SYMLINK_NOFOLLOW) == 0 &&
		                     faccessat(directory, "200", F_OK, AT_SYMLINK_NOFOLLOW) == -1,
		             "the directory of descriptors");
		target_check(strstr(again(maps), " r-xp ") || strstr(again(maps), " r--p "), "maps: %.80s", again(maps));
	}
	target_check(write(comm, "renamed", 7) == 7, "%m");
	target_check(strcmp(target_field(again(status), "Name"), "renamed") == 0, "name is %s",
	             target_field(again(status), "Name"));
	target_done();
}
