// SPDX-License-Identifier: LGPL-2.1-or-later
/* What the kernel keeps per process outside of memory and descriptors: all resource limits, umask, working directory,
 * personality, core dump filter, OOM score adjustment, and the flags set by prctl. */
#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "target.h"

struct attributes {
	struct rlimit limits[RLIMIT_NLIMITS];
	int mask, personality, no_new_privs, subreaper, no_thp, death_signal, mce, keepcaps, dumpable;
	char cwd[4096], coredump_filter[64], oom_score_adj[64];
};

static void get(struct attributes *a)
{
	memset(a, 0, sizeof(*a));
	for (int i = 0; i < RLIMIT_NLIMITS; i++)
		getrlimit(i, &a->limits[i]);
	a->mask = umask(0);
	umask(a->mask);
	a->personality = personality(0xffffffff);
	a->no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);
	a->no_thp = prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0);
	a->mce = prctl(PR_MCE_KILL_GET, 0, 0, 0, 0);
	a->keepcaps = prctl(PR_GET_KEEPCAPS);
	a->dumpable = prctl(PR_GET_DUMPABLE);
	prctl(PR_GET_CHILD_SUBREAPER, &a->subreaper);
	prctl(PR_GET_PDEATHSIG, &a->death_signal);
	if (!getcwd(a->cwd, sizeof(a->cwd)))
		target_fail("getcwd: %m");
	strcpy(a->coredump_filter, target_slurp("/proc/self/coredump_filter"));
	strcpy(a->oom_score_adj, target_slurp("/proc/self/oom_score_adj"));
}

static void compare(const struct attributes *a, const struct attributes *b)
{
	for (int i = 0; i < RLIMIT_NLIMITS; i++)
		target_check(memcmp(&a->limits[i], &b->limits[i], sizeof(a->limits[i])) == 0,
		             "limit %d was %ld:%ld, is %ld:%ld", i, a->limits[i].rlim_cur, a->limits[i].rlim_max,
		             b->limits[i].rlim_cur, b->limits[i].rlim_max);
#define SAME(member) target_check(a->member == b->member, "%d, was %d", b->member, a->member)
	SAME(mask);
	SAME(personality);
	SAME(no_new_privs);
	SAME(subreaper);
	SAME(no_thp);
	SAME(death_signal);
	SAME(mce);
	SAME(keepcaps);
	SAME(dumpable);
	target_check(strcmp(a->cwd, b->cwd) == 0, "%s, was %s", b->cwd, a->cwd);
	target_check(strcmp(a->coredump_filter, b->coredump_filter) == 0, "%s, was %s", b->coredump_filter, a->coredump_filter);
	target_check(strcmp(a->oom_score_adj, b->oom_score_adj) == 0, "%s, was %s", b->oom_score_adj, a->oom_score_adj);
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	target_check(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text), "%s: %m", path);
	close(fd);
}

int main(int argc, char **argv)
{
	static const int lowered[] = {
		RLIMIT_CORE, RLIMIT_NOFILE, RLIMIT_STACK, RLIMIT_FSIZE, RLIMIT_MEMLOCK, RLIMIT_SIGPENDING
	};
	struct attributes before, now;
	struct rlimit limit;

	target_init(argc, argv);
	for (unsigned i = 0; i < sizeof(lowered) / sizeof(*lowered); i++) {
		getrlimit(lowered[i], &limit);
		limit.rlim_max = limit.rlim_max < 1 << 30 ? limit.rlim_max : 1 << 30;
		limit.rlim_cur = limit.rlim_max - limit.rlim_max / 8;
		target_check(setrlimit(lowered[i], &limit) == 0, "limit %d: %m", lowered[i]);
	}
	umask(0137);
	mkdir(target_path("cwd"), 0777);
	chmod(target_path("cwd"), 0777);
	target_check(chdir(target_path("cwd")) == 0, "%m");
	personality(ADDR_NO_RANDOMIZE | UNAME26);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	prctl(PR_SET_PDEATHSIG, SIGWINCH);
	prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0);
	put("/proc/self/coredump_filter", "0x5b");
	put("/proc/self/oom_score_adj", "321");
	target_check(syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0, "%m");
	get(&before);
	target_ready();
	while (target_turn()) {
		get(&now);
		compare(&before, &now);
		target_check(syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0,
		             "no longer registered for memory barriers: %m");
	}
	target_done();
}
