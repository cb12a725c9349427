/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs one command and answers for all it leaves behind: how it ended, whether it had to be stopped, how many processes were
 * still there. Those become its children (subreaper), so none is missed and all are ended. */

/*
 * usage: herd [-k PIDFILE] SECONDS COMMAND [ARGUMENT...]
 * prints one line: "exit N left L", "signal N left L" or "hang left L"; exits with 0 unless it could not do its work.
 * Processes that the pid file names, and their ancestors up to us, were left on purpose: they are ended first and not counted.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void sleep_ms(long ms)
{
	nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

/* The first child that is left, 0 when there is none. */
static pid_t first_child(void)
{
	char path[64];
	int pid = 0;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	FILE *f = fopen(path, "re");
	if (!f || fscanf(f, "%d", &pid) != 1)
		pid = 0;
	if (f)
		fclose(f);
	return pid;
}

static bool reap(pid_t wanted, int *ret_status)
{
	int status;
	pid_t pid;
	bool found = false;

	while ((pid = waitpid(-1, &status, WNOHANG | __WALL)) > 0) {
		if (pid == wanted) {
			*ret_status = status;
			found = true;
		}
	}
	return found;
}

/* Ends the process that was to be left behind and gives those above it a second to follow. */
static void end_expected(const char *pidfile)
{
	int pid = 0, ignored;
	FILE *f = fopen(pidfile, "re");

	if (!f)
		return;
	if (fscanf(f, "%d", &pid) == 1 && pid > 1)
		kill(pid, SIGKILL);
	fclose(f);
	for (long end = now_ms() + 2000; first_child() && now_ms() < end; sleep_ms(5))
		reap(-1, &ignored);
}

int main(int argc, char **argv)
{
	const char *pidfile = NULL;
	int status = 0, opt, left = 0, ignored;

	while ((opt = getopt(argc, argv, "+k:")) == 'k')
		pidfile = optarg;
	if (opt != -1 || argc - optind < 2) {
		fprintf(stderr, "usage: herd [-k PIDFILE] SECONDS COMMAND [ARGUMENT...]\n");
		return 2;
	}
	long limit = strtol(argv[optind], NULL, 10) * 1000;
	if (prctl(PR_SET_CHILD_SUBREAPER, 1L) < 0) {
		perror("herd: PR_SET_CHILD_SUBREAPER");
		return 2;
	}
	pid_t pid = fork();
	if (pid < 0) {
		perror("herd: fork");
		return 2;
	}
	if (pid == 0) {
		execvp(argv[optind + 1], argv + optind + 1);
		perror(argv[optind + 1]);
		_exit(127);
	}

	long start = now_ms();
	bool ended = false;
	while (!(ended = reap(pid, &status)) && now_ms() - start < limit)
		sleep_ms(2);
	if (!ended) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, __WALL);
	}
	if (pidfile)
		end_expected(pidfile);
	if (ended) /* what was already on its way out */
		for (long end = now_ms() + 500; first_child() && now_ms() < end; sleep_ms(5))
			reap(-1, &ignored);
	for (pid_t child; (child = first_child()) > 0; sleep_ms(2)) {
		left++;
		kill(child, SIGKILL);
		for (long end = now_ms() + 2000; first_child() == child && now_ms() < end; sleep_ms(2))
			reap(-1, &ignored);
	}
	if (!ended)
		printf("hang left %d\n", left);
	else if (WIFSIGNALED(status))
		printf("signal %d left %d\n", WTERMSIG(status), left);
	else
		printf("exit %d left %d\n", WEXITSTATUS(status), left);
	return 0;
}
