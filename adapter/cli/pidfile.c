// SPDX-License-Identifier: LGPL-2.1-or-later
/* Pid files. */
#include "pidfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"

static int pidfile_fail(struct reporter *rep, const char *path, int err)
{
	return report_fail(rep, err, "cannot write the pid file %s: %s", path, strerror(-err));
}

int pidfile_check(struct reporter *rep, const char *path)
{
	const char *slash = strrchr(path, '/');
	AUTO_FREE char *dir = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
	struct stat st;

	if (!dir)
		return pidfile_fail(rep, path, -ENOMEM);
	if (faccessat(AT_FDCWD, dir, W_OK | X_OK, AT_EACCESS))
		return pidfile_fail(rep, path, -errno);
	if (!*path || (slash && !slash[1]) || (!stat(path, &st) && S_ISDIR(st.st_mode)))
		return pidfile_fail(rep, path, -EISDIR);
	return 0;
}

int pidfile_write(struct reporter *rep, const char *path, pid_t pid)
{
	AUTO_FREE char *aside = NULL;
	char text[16];

	if (asprintf(&aside, "%s.XXXXXX", path) < 0) {
		aside = NULL;
		return pidfile_fail(rep, path, -ENOMEM);
	}
	AUTO_CLOSE int fd = mkostemp(aside, O_CLOEXEC);
	if (fd < 0)
		return pidfile_fail(rep, path, -errno);
	mode_t mask = umask(0);
	umask(mask);
	snprintf(text, sizeof(text), "%d\n", pid);
	int err = io_write_all(fd, text, strlen(text));
	if (!err && (fchmod(fd, 0644 & ~mask) || rename(aside, path)))
		err = -errno;
	if (!err)
		return 0;
	unlink(aside);
	return pidfile_fail(rep, path, err);
}
