// SPDX-License-Identifier: LGPL-2.1-or-later
/* Who is busy: a thread that can run whenever it is looked at. */
#include "busy.h"

#include <dirent.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "proc/stat.h"

#define LOOKS 4
#define NAP_NS 500000

struct seen {
	unsigned char times[CPU_SETSIZE]; /* that a thread was running there in each look, up to now */
};

static void look(pid_t pid, unsigned n, struct seen *seen)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	AUTO_CLOSEDIR DIR *dir = opendir(path);
	for (struct dirent *e; dir && (e = readdir(dir));) {
		AUTO_FREE char *text = NULL;
		struct proc_stat st;
		size_t size;
		if (e->d_name[0] == '.' || io_read_filef(&text, &size, "/proc/%d/task/%s/stat", pid, e->d_name) || proc_stat_parse(text, size, &st))
			continue;
		if (st.state == 'R' && st.cpu >= 0 && st.cpu < CPU_SETSIZE && seen->times[st.cpu] == n)
			seen->times[st.cpu] = n + 1;
	}
}

void busy_leave(pid_t pid, cpu_set_t *ret_left)
{
	const struct timespec nap = { .tv_nsec = NAP_NS };
	struct seen seen = { 0 };
	cpu_set_t set, left;
	int all;

	CPU_ZERO(ret_left);
	CPU_ZERO(&left);
	for (unsigned i = 0; i < LOOKS; i++) {
		look(pid, i, &seen);
		nanosleep(&nap, NULL);
	}
	if (sched_getaffinity(0, sizeof(set), &set)) /* EINVAL: there are more than the set has room for */
		return;
	all = CPU_COUNT(&set);
	for (int i = 0; i < CPU_SETSIZE; i++)
		if (seen.times[i] == LOOKS && CPU_ISSET(i, &set)) {
			CPU_CLR(i, &set);
			CPU_SET(i, &left);
		}
	if (CPU_COUNT(&set) * 2 >= all && !sched_setaffinity(0, sizeof(set), &set))
		*ret_left = left;
}
