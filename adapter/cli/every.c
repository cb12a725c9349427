// SPDX-License-Identifier: LGPL-2.1-or-later
/* Makes checkpoints of a running program at fixed times.
 *
 * Theory of operation. `stasis run` becomes the program, so somebody else has to make the checkpoints: a process that is no
 * child of the program, which would otherwise have one that it does not know. It ends with the program. The first image of a
 * chain is whole, those after it hold what differs from the one before; after `keep` of them a new chain begins. An image is
 * only taken away when all that were made from it are, so that there are at most 2 * keep - 1. A checkpoint that fails is said;
 * the next one begins a new chain, as the parent may have been the reason. Tests: cli-every, run-every. */
#include "every.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/timens.h"
#include "base/vec.h"
#include "cancel.h"

#define EVERY_CHAIN_MAX 50 /* images; a restart opens them all */

unsigned every_expired(const unsigned *chain, unsigned n, unsigned keep)
{
	return n > keep ? chain[n - keep] : 0;
}

struct keeper {
	const struct cli_command *cmd;
	const struct every *every;
	char *prefix;
	pid_t pid;
	unsigned next; /* number of the next image */
	bool broken;   /* the last one failed */
	VEC(unsigned) numbers;
	VEC(unsigned) chain; /* see every_expired */
	unsigned gone;       /* of these, from the first, are no more */
};

static char *image_path(const struct keeper *k, unsigned number)
{
	char *path;

	return asprintf(&path, "%s.%06u.stasis", k->prefix, number) < 0 ? NULL : path;
}

/* After the highest number that is there: what an earlier run has left is not touched. */
static unsigned first_number(const char *prefix)
{
	const char *slash = strrchr(prefix, '/'), *name = slash ? slash + 1 : prefix;
	AUTO_FREE char *dir_name = slash ? strndup(prefix, (size_t)(slash - prefix) + 1) : strdup(".");
	AUTO_CLOSEDIR DIR *dir = dir_name ? opendir(dir_name) : NULL;
	struct dirent *entry;
	unsigned highest = 0, number;
	size_t n = strlen(name);

	while (dir && (entry = readdir(dir)))
		if (!strncmp(entry->d_name, name, n) && sscanf(entry->d_name + n, ".%6u.stasis", &number) == 1 &&
		    number > highest)
			highest = number;
	return highest + 1;
}

static int keeper_take_away(struct keeper *k, struct reporter *rep)
{
	unsigned expired = every_expired(k->chain.items, (unsigned)k->chain.n, k->every->keep);

	for (; k->gone < expired; k->gone++) {
		AUTO_FREE char *path = image_path(k, k->numbers.items[k->gone]);
		if (!path)
			return -ENOMEM;
		if (unlink(path) && errno != ENOENT)
			report_warn(rep, "%s: cannot be taken away: %s", path, strerror(errno));
	}
	return 0;
}

static int keeper_checkpoint(struct keeper *k, struct session *s)
{
	struct stasis_checkpoint_options o = { .codec = IMG_CODEC_ZSTD, .name = k->every->name, .bwlimit = k->every->bwlimit,
					       .track = STASIS_TRACK_ON };
	struct stasis_checkpoint_result result = { 0 };
	unsigned n = (unsigned)k->chain.n, most = k->every->keep < EVERY_CHAIN_MAX ? k->every->keep : EVERY_CHAIN_MAX;
	bool whole = !n || k->broken || n - k->chain.items[n - 1] >= most;
	AUTO_FREE char *path = image_path(k, k->next), *parent = whole ? NULL : image_path(k, k->numbers.items[n - 1]);

	if (!path || (!whole && !parent))
		return -ENOMEM;
	o.image = path;
	o.parent = parent;
	int err = stasis_checkpoint(s->job, k->pid, &o, &result);
	if (err)
		return err;
	if (vec_push(&k->numbers, k->next) || vec_push(&k->chain, whole ? n : k->chain.items[n - 1]))
		return -ENOMEM;
	k->next++;
	return keeper_take_away(k, s->rep);
}

/* One checkpoint. Whether it fails is the program's business as little as it is ours. */
static void keeper_round(struct keeper *k)
{
	struct args_common common = { 0 };
	struct session s;

	if (session_init(&s, k->cmd, &common, false))
		return;
	int err = session_start_job(&s);
	if (!err)
		err = keeper_checkpoint(k, &s);
	k->broken = err;
	if (err && !cancel_signal() && !kill(k->pid, 0)) {
		session_explain(&s, err, "cancelled");
		report_warn(s.rep, "the periodic checkpoint of pid %d failed; the next one is tried in %g s", k->pid,
		            (double)k->every->period_ms / 1000);
	}
	session_finish(&s);
}

static int keeper_main(struct keeper *k, int pidfd)
{
	uint64_t due = timens_stopwatch_us() + k->every->period_ms * 1000;
	struct pollfd pfd = { .fd = pidfd, .events = POLLIN };
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	setsid(); /* Ctrl-C is for the program */
	prctl(PR_SET_NAME, "stasis-every");
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	cancel_install();
	while (!cancel_signal()) {
		uint64_t now = timens_stopwatch_us();
		int left = now < due ? (int)((due - now) / 1000 < 3600000 ? (due - now) / 1000 + 1 : 3600000) : 0;
		if (poll(&pfd, 1, left) > 0)
			break;
		if (timens_stopwatch_us() < due)
			continue;
		keeper_round(k);
		/* What took longer than the time between two is not made up for. */
		now = timens_stopwatch_us();
		while (due <= now)
			due += k->every->period_ms * 1000;
	}
	return 0;
}

/* PREFIX as it will be used, absolute: the program may change its directory, we do not, but messages should say where things
 * are. */
static char *make_prefix(const struct every *every)
{
	const char *prefix = every->prefix ? every->prefix : every->name;
	size_t n = strlen(prefix);
	struct stat st;
	char *text;

	if (n && (prefix[n - 1] == '/' || (!stat(prefix, &st) && S_ISDIR(st.st_mode))))
		return asprintf(&text, "%s%s%s", prefix, prefix[n - 1] == '/' ? "" : "/", every->name) < 0 ? NULL : text;
	return strdup(prefix);
}

int every_begin(const struct cli_command *cmd, struct reporter *rep, const struct every *every)
{
	struct keeper k = { .cmd = cmd, .every = every, .pid = getpid() };
	AUTO_CLOSE int pidfd = (int)syscall(SYS_pidfd_open, k.pid, 0);
	int status;

	if (pidfd < 0)
		return report_fail(rep, -errno, "--every: this process cannot be watched: %s", strerror(errno));
	if (!(k.prefix = make_prefix(every)))
		return report_fail(rep, -ENOMEM, "--every: out of memory");
	const char *slash = strrchr(k.prefix, '/');
	AUTO_FREE char *dir = slash ? strndup(k.prefix, (size_t)(slash - k.prefix) + 1) : strdup(".");
	if (!dir || access(dir, W_OK | X_OK)) {
		free(k.prefix);
		return report_fail(rep, -errno, "--every: images cannot be written in directory %s: %s; name another with -o",
		                   dir ? dir : "?", strerror(errno));
	}
	k.next = first_number(k.prefix);
	fflush(NULL);
	pid_t between = fork();
	if (between == 0) {
		pid_t keeper = fork();
		_exit(keeper ? keeper < 0 : keeper_main(&k, pidfd));
	}
	free(k.prefix);
	if (between < 0)
		return report_fail(rep, -errno, "--every: no process for it: %s", strerror(errno));
	while (waitpid(between, &status, 0) < 0 && errno == EINTR)
		;
	return status ? report_fail(rep, -EAGAIN, "--every: no process for it; raise the limit of processes (ulimit -u)") : 0;
}
