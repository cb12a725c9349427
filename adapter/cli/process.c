// SPDX-License-Identifier: LGPL-2.1-or-later
/* What the command line must know about a process, from /proc. */
#include "process.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "proc/status.h"

int process_stat(pid_t pid, struct proc_stat *ret)
{
	AUTO_FREE char *text = NULL;
	struct proc_stat st;
	size_t size;

	if (pid <= 0 || io_read_filef(&text, &size, "/proc/%d/stat", pid) || proc_stat_parse(text, size, &st))
		return -ESRCH;
	/* A first thread that has ended while others run shows as Z, too. */
	if (st.state == 'X' || (st.state == 'Z' && st.num_threads <= 1))
		return -ESRCH;
	*ret = st;
	return 0;
}

static int process_name(pid_t pid, char **ret)
{
	AUTO_FREE char *name = NULL;
	int err = io_read_filef(&name, NULL, "/proc/%d/comm", pid);

	if (err)
		return err;
	name[strcspn(name, "\n")] = '\0';
	*ret = STEAL_PTR(name);
	return 0;
}

int process_command(pid_t pid, char **ret)
{
	AUTO_FREE char *text = NULL, *name = NULL;
	char *command;
	size_t size;
	int err = io_read_filef(&text, &size, "/proc/%d/cmdline", pid);

	if (err)
		return err;
	while (size && !text[size - 1])
		size--;
	if (size) {
		for (size_t i = 0; i < size; i++)
			if (!text[i])
				text[i] = ' ';
		*ret = STEAL_PTR(text);
		return 0;
	}
	err = process_name(pid, &name);
	if (err)
		return err;
	if (asprintf(&command, "[%s]", name) < 0)
		return -ENOMEM;
	*ret = command;
	return 0;
}

int process_program(pid_t pid, char **ret)
{
	AUTO_FREE char *text = NULL;
	int err = io_read_filef(&text, NULL, "/proc/%d/cmdline", pid);

	if (err)
		return err;
	if (!*text)
		return process_name(pid, ret);
	const char *slash = strrchr(text, '/');
	char *copy = strdup(slash && slash[1] ? slash + 1 : text);
	if (!copy)
		return -ENOMEM;
	*ret = copy;
	return 0;
}

int process_of_thread(pid_t tid, pid_t *ret)
{
	AUTO_FREE char *text = NULL;
	struct proc_status status;
	size_t size;

	if (tid <= 0 || io_read_filef(&text, &size, "/proc/%d/status", tid) || proc_status_parse(text, size, &status))
		return -ESRCH;
	*ret = status.tgid;
	proc_status_finish(&status);
	return 0;
}
