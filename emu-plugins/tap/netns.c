// SPDX-License-Identifier: LGPL-2.1-or-later
/* Network namespaces: opened by name, entered for a moment. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net.h"

#define NETNS_DIR "/run/netns"

int tap_netns_open(const char *name)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s%s", strchr(name, '/') ? "" : NETNS_DIR "/", name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

int tap_netns_enter(int ns, int *ret_home)
{
	if (ns < 0) {
		*ret_home = -1;
		return 0;
	}
	int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	if (home < 0)
		return -errno;
	if (setns(ns, CLONE_NEWNET) < 0) {
		int err = -errno;
		close(home);
		return err;
	}
	*ret_home = home;
	return 0;
}

int tap_netns_leave(int home)
{
	int err = 0;

	if (home < 0)
		return 0;
	if (setns(home, CLONE_NEWNET) < 0)
		err = -errno;
	close(home);
	return err;
}

char *tap_netns_name(dev_t dev, ino_t ino)
{
	DIR *dir = opendir(NETNS_DIR);
	struct dirent *e;
	struct stat st;
	char *name = NULL;

	while (dir && !name && (e = readdir(dir)))
		if (!fstatat(dirfd(dir), e->d_name, &st, 0) && st.st_dev == dev && st.st_ino == ino)
			name = strdup(e->d_name);
	if (dir)
		closedir(dir);
	return name;
}
