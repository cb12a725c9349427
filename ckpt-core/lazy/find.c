// SPDX-License-Identifier: LGPL-2.1-or-later
/* Page servers as seen from outside, by /proc. */
#include "lazy/find.h"

#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "lazy/serve.h"

/* True when one of its descriptors is a pidfd of `pid`. */
static bool serves(const char *server, pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%.20s/fdinfo", server);
	AUTO_CLOSEDIR DIR *dir = opendir(path);
	for (struct dirent *e; dir && (e = readdir(dir));) {
		AUTO_FREE char *text = NULL;
		if (e->d_name[0] == '.' || io_read_filef(&text, NULL, "%s/%s", path, e->d_name))
			continue;
		const char *line = strstr(text, "\nPid:");
		if (line && atoi(line + 5) == pid)
			return true;
	}
	return false;
}

bool lazy_is_holder(pid_t holder, pid_t pid, const char *comm)
{
	AUTO_FREE char *text = NULL;
	char name[16];

	if (io_read_filef(&text, NULL, "/proc/%d/comm", holder))
		return false;
	text[strcspn(text, "\n")] = '\0';
	snprintf(name, sizeof(name), "%d", holder);
	return !strcmp(text, comm) && serves(name, pid);
}

pid_t lazy_find_holder(pid_t pid, const char *comm)
{
	AUTO_CLOSEDIR DIR *dir = opendir("/proc");

	for (struct dirent *e; dir && (e = readdir(dir));) {
		pid_t holder = atoi(e->d_name);
		if (holder > 0 && holder != getpid() && lazy_is_holder(holder, pid, comm))
			return holder;
	}
	return 0;
}

pid_t lazy_find(pid_t pid)
{
	return lazy_find_holder(pid, LAZY_SERVER_NAME);
}

int lazy_finish(struct reporter *rep, pid_t pid)
{
	for (pid_t server; (server = lazy_find(pid)) || lazy_find_holder(pid, LAZY_SPARE_NAME);) {
		AUTO_CLOSE int pidfd = server ? (int)syscall(SYS_pidfd_open, server, 0) : -1;
		struct pollfd p = { .fd = pidfd, .events = POLLIN };
		int n = 0;
		if (server)
			report_debug(rep, "process %d is still being loaded by %d: waiting for that", pid, server);
		if (pidfd >= 0 && syscall(SYS_pidfd_send_signal, pidfd, SIGUSR1, NULL, 0) < 0 && errno != ESRCH)
			return report_fail(
			        rep, -errno,
			        "process %d: it is still being loaded by process %d, which cannot be asked to hurry: %s; "
			        "run stasis as the user who restarted it, or as root",
			        pid, server, strerror(errno));
		/* Without a server its spare is just taking its place. */
		while (n <= 0) {
			if (report_cancelled(rep))
				return -ECANCELED;
			n = poll(&p, 1, 50);
			if (pidfd < 0)
				break;
		}
	}
	return 0;
}
