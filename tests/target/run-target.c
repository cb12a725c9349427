// SPDX-License-Identifier: LGPL-2.1-or-later
/* Takes one target program through several generations of checkpoint and restart and says whether it noticed. The program is
 * started directly and not through stasis, as a checkpoint must work on any process.
 *
 * Theory of operation. Each image is made in the way that proves most:
 *	A  start; checkpoint --stop to image 1; the target must be gone
 *	B  restart 1, detached; turns go on; checkpoint to image 2 without --stop: the target must go on as if nothing had been
 *	C  kill -9; restart 2, detached: it is back at the instant of that checkpoint; checkpoint --stop to image 3
 *	D  restart 3 in the foreground; the target finishes; its exit status must arrive here
 * The counter in the state file must show no gap and no repeat over all of this, but for the one step back between B and C. */
#include "driver.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define TURNS 5

static void check_image(struct driver *d, const char *image)
{
	struct stat st;

	if (stat(image, &st))
		driver_fail(d, "checkpoint said nothing, but there is no image %s", image);
	if ((st.st_mode & 07777) != 0600)
		driver_fail(d, "image %s has mode %o, not 0600", image, st.st_mode & 07777);
	if (d->image_max && st.st_size > d->image_max)
		driver_fail(d, "image of %ld bytes, at most %ld were expected", (long)st.st_size, d->image_max);
}

static void checkpoint(struct driver *d, const char *image, bool stop)
{
	char pid[16];
	int status;

	snprintf(pid, sizeof(pid), "%d", d->pid);
	status = driver_stasis(d, (const char *[]){ "checkpoint", pid, "-o", image, stop ? "--stop" : d->checkpoint_option, NULL });
	if (status && !stop && d->checkpoint_option && strstr(driver_output(d), "Linux 6.7"))
		driver_skip(d, "the kernel does not note what is written to");
	if (status)
		driver_fail(d, "stasis checkpoint: wait status %x", status);
	check_image(d, image);
	if (stop)
		driver_gone(d);
	else if (driver_tracer(d))
		driver_fail(d, "the target is still traced by pid %d after the checkpoint", driver_tracer(d));
	driver_look(d);
}

static void arm(struct driver *d, bool on)
{
	if (on && d->restart_fault)
		setenv("STASIS_FAULT", d->restart_fault, 1);
	else
		unsetenv("STASIS_FAULT");
}

static void restart_detached(struct driver *d, const char *image)
{
	const char *pidfile = driver_path(d, "pid");
	int status;

	unlink(pidfile);
	driver_sleep_ms(d->off_ms);
	arm(d, true);
	status = driver_stasis(d, (const char *[]){ "restart", image, "--detach", "--pidfile", pidfile, d->restart_option, NULL });
	arm(d, false);
	if (status)
		driver_fail(d, "stasis restart: wait status %x", status);
	driver_adopt(d, pidfile);
}

static void restart_foreground(struct driver *d, const char *image)
{
	const char *pidfile = driver_path(d, "pid");
	int64_t limit = driver_now_ms() + 20000;
	pid_t stasis;
	int status;

	unlink(pidfile);
	driver_sleep_ms(d->off_ms);
	arm(d, true);
	stasis = driver_stasis_begin(d, (const char *[]){ "restart", image, "--pidfile", pidfile, d->restart_option, NULL });
	arm(d, false);
	while (access(pidfile, F_OK)) {
		if (waitpid(stasis, &status, WNOHANG) == stasis)
			driver_fail(d, "stasis restart in the foreground ended too early: wait status %x", status);
		if (driver_now_ms() > limit)
			driver_fail(d, "stasis restart in the foreground writes no pid file");
		driver_sleep_ms(2);
	}
	driver_sleep_ms(5); /* the pid file is there, perhaps not yet its contents */
	driver_adopt(d, pidfile);
	d->child = stasis;
}

static void expect_refusal(struct driver *d, const char *const *args)
{
	int status = driver_stasis(d, args);

	if (!WIFEXITED(status) || !WEXITSTATUS(status))
		driver_fail(d, "stasis %s must say no, and ended with wait status %x", args[0], status);
	for (int i = 0; i < 4 && d->refused[i][0]; i++)
		if (!strstr(driver_output(d), d->refused[i]))
			driver_fail(d, "stasis %s must name \"%s\" as an obstacle", args[0], d->refused[i]);
}

/* A target that must be refused: it is told so in words, and runs on. */
static void run_refused(struct driver *d)
{
	const char *image = driver_path(d, "refused.stasis");
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", d->pid);
	expect_refusal(d, (const char *[]){ "check", pid, NULL });
	expect_refusal(d, (const char *[]){ "checkpoint", pid, "-o", image, "--stop", NULL });
	if (access(image, F_OK) == 0)
		driver_fail(d, "a refused checkpoint leaves an image");
	if (driver_tracer(d))
		driver_fail(d, "a refused checkpoint leaves a tracer");
}

static void run_generations(struct driver *d)
{
	const char *image[] = { driver_path(d, "1.stasis"), driver_path(d, "2.stasis"), driver_path(d, "3.stasis") };

	checkpoint(d, image[0], true);
	restart_detached(d, image[0]);
	driver_turns(d, TURNS);

	d->again_lo = d->turns + 1;
	checkpoint(d, image[1], false);
	d->again_hi = d->turns + 1;
	driver_turns(d, TURNS);

	if (d->rewind) {
		driver_kill(d);
		restart_detached(d, image[1]);
		driver_turns(d, TURNS);
	}
	checkpoint(d, image[2], true);
	restart_foreground(d, image[2]);
	driver_turns(d, TURNS);
}

static void end(struct driver *d)
{
	pid_t child = d->child;
	int status;

	driver_ask_finish(d);
	if (child) {
		status = driver_wait(child, 20000);
		if (status == -1)
			driver_fail(d, "asked to finish, pid %d does not end", child);
		driver_look(d); /* a `fail` line tells more than an exit status */
		if (WIFEXITED(status) ? WEXITSTATUS(status) != d->want_exit : WTERMSIG(status) != d->want_signal)
			driver_fail(d, "wait status %x, expected exit %d or signal %d", status, d->want_exit, d->want_signal);
		d->child = d->pid = 0;
	}
	driver_done(d);
	driver_finish(d);
}

static void usage(void)
{
	fprintf(stderr, "usage: run-target (--stasis PATH | --no-stasis) [--user UID] [--keep] [--limit SECONDS]\n"
	                "	[--checkpoint-option OPTION] [--restart-option OPTION] [--restart-fault NAME] PROGRAM\n"
	                "	--no-stasis	only start it, wait some turns, and let it finish\n"
	                "	--user UID	run everything as this ordinary user (root only)\n"
	                "	--keep		leave the scratch directory\n");
	exit(2);
}

/* A path by which the user that we are now can run the program that `fd`, opened before, is: `path` itself, else a copy. */
static char *reachable(struct driver *d, const char *path, int fd)
{
	char buf[65536];
	const char *copy;
	ssize_t n;
	int out;

	if (access(path, X_OK) == 0)
		return strdup(path);
	copy = driver_path(d, strrchr(path, '/') + 1);
	out = open(copy, O_CREAT | O_WRONLY | O_CLOEXEC, 0755);
	if (fd < 0 || out < 0)
		driver_fail(d, "cannot copy %s to %s: %s", path, copy, strerror(errno));
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		if (write(out, buf, n) != n)
			driver_fail(d, "cannot copy %s: %s", path, strerror(errno));
	close(out);
	return strdup(copy);
}

int main(int argc, char **argv)
{
	static const struct option options[] = { { "stasis", 1, 0, 's' }, { "no-stasis", 0, 0, 'n' }, { "user", 1, 0, 'u' },
		                                 { "keep", 0, 0, 'k' },   { "limit", 1, 0, 'l' },
		                                 { "restart-option", 1, 0, 'o' }, { "checkpoint-option", 1, 0, 'c' }, { "restart-fault", 1, 0, 'f' }, {} };
	struct driver d = { .off_ms = 60 };
	const char *stasis = NULL;
	int program_fd, stasis_fd = -1;
	char *program;
	int c, limit = 50, uid = -1;
	bool none = false;

	while ((c = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		if (c == 's')
			stasis = optarg;
		else if (c == 'n')
			none = true;
		else if (c == 'u')
			uid = atoi(optarg);
		else if (c == 'k')
			d.keep = true;
		else if (c == 'l')
			limit = atoi(optarg);
		else if (c == 'o')
			d.restart_option = optarg;
		else if (c == 'c')
			d.checkpoint_option = optarg;
		else if (c == 'f')
			d.restart_fault = optarg;
		else
			usage();
	}
	if (optind + 1 != argc || !stasis == !none)
		usage();
	program = realpath(argv[optind], NULL);
	if (!program) {
		perror(argv[optind]);
		return 1;
	}
	if (stasis && !(stasis = realpath(stasis, NULL))) {
		perror("stasis");
		return 1;
	}
	program_fd = open(program, O_RDONLY | O_CLOEXEC);
	if (stasis)
		stasis_fd = open(stasis, O_RDONLY | O_CLOEXEC);
	if (uid >= 0)
		driver_become(&d, uid);
	driver_init(&d, stasis, limit);
	if (uid >= 0 && chdir(d.scratch)) /* where we were started may be closed to this user (a clone in /root) */
		driver_fail(&d, "%s: %s", d.scratch, strerror(errno));
	program = reachable(&d, program, program_fd);
	if (stasis)
		d.stasis = reachable(&d, stasis, stasis_fd);
	driver_start(&d, (char *[]){ program, d.scratch, NULL });
	driver_turns(&d, TURNS);
	if (d.refused[0][0] && stasis)
		run_refused(&d);
	else if (stasis)
		run_generations(&d);
	driver_turns(&d, TURNS);
	end(&d);
	return 0;
}
