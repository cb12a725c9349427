// SPDX-License-Identifier: LGPL-2.1-or-later
/* Runs target programs and the stasis command for a test (see driver.h). Whatever is started becomes a descendant of ours, as
 * we are its sub-reaper, so that at the end all of it can be found and ended by pid. */
#include "driver.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct driver *limit_driver; /* for the alarm handler only */

int64_t driver_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

void driver_sleep_ms(int ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000L };

	while (nanosleep(&ts, &ts) && errno == EINTR)
		;
}

const char *driver_path(struct driver *d, const char *name)
{
	char *path;

	if (asprintf(&path, "%s/%s", d->scratch, name) < 0)
		abort();
	return path;
}

static char *slurp(const char *path, size_t max)
{
	char *text = calloc(1, max + 1);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t n = 0;
	ssize_t r;

	while (fd >= 0 && n < max && (r = read(fd, text + n, max - n)) > 0)
		n += r;
	if (fd >= 0)
		close(fd);
	return text;
}

/* The parent of `pid` by /proc/PID/stat, 0 if there is no such process. */
static pid_t parent_of(pid_t pid)
{
	char path[64], *text, *p;
	int ppid = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	text = slurp(path, 1000);
	p = strrchr(text, ')');
	if (p)
		sscanf(p + 1, " %*c %d", &ppid);
	free(text);
	return ppid;
}

int driver_children(pid_t parent, pid_t *pids, int max)
{
	DIR *dir = opendir("/proc");
	struct dirent *e;
	int n = 0;

	while (dir && n < max && (e = readdir(dir)))
		if (atoi(e->d_name) > 0 && parent_of(atoi(e->d_name)) == parent)
			pids[n++] = atoi(e->d_name);
	if (dir)
		closedir(dir);
	return n;
}

/* All descendants of ours that are not yet reaped, into `pids`; how many. */
static int descendants(pid_t *pids, int max)
{
	DIR *dir = opendir("/proc");
	struct dirent *e;
	int n = 0;

	while (dir && (e = readdir(dir)) && n < max) {
		pid_t pid = atoi(e->d_name), p;
		int depth = 0;

		for (p = pid; p > 1 && p != getpid() && depth < 64; depth++)
			p = parent_of(p);
		if (pid > 0 && pid != getpid() && p == getpid())
			pids[n++] = pid;
	}
	if (dir)
		closedir(dir);
	return n;
}

static void reap_all(void)
{
	while (waitpid(-1, NULL, WNOHANG | __WALL) > 0)
		;
}

static void end_everything(void)
{
	pid_t pids[256];
	int n;

	for (int i = 0; i < 100 && (n = descendants(pids, 256)); i++) {
		while (n)
			kill(pids[--n], SIGKILL);
		driver_sleep_ms(20);
		reap_all();
	}
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st, (void)type, (void)ftw;
	return remove(path);
}

static void remove_scratch(struct driver *d)
{
	if (d->scratch[0] && !d->keep)
		nftw(d->scratch, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void show_file(struct driver *d, const char *name, size_t tail)
{
	char *text = slurp(driver_path(d, name), 1 << 20), *p = text;

	if (strlen(text) > tail)
		p = text + strlen(text) - tail;
	if (*p)
		fprintf(stderr, "---- %s%s\n%s%s", name, p == text ? "" : " (its end)", p,
		        p[strlen(p) - 1] == '\n' ? "" : "\n");
	free(text);
}

static void show_process(pid_t pid)
{
	static const char *const files[] = { "stat", "wchan", "syscall" };
	char path[64], *text;

	for (unsigned i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "/proc/%d/%s", pid, files[i]);
		text = slurp(path, 400);
		text[strcspn(text, "\n")] = 0;
		fprintf(stderr, "%s%s", i ? " | " : "", text);
		free(text);
	}
	fprintf(stderr, "\n");
}

void driver_fail(struct driver *d, const char *fmt, ...)
{
	char name[32];
	pid_t pids[64];
	va_list ap;
	int n;

	alarm(0);
	fprintf(stderr, "FAILED: ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\ntarget: pid %d, counter %lu, stasis command runs: %d\n", d->pid, d->turns, d->n_runs);
	if (d->scratch[0]) {
		for (int i = d->n_runs > 10 ? d->n_runs - 9 : 1; i <= d->n_runs; i++) {
			snprintf(name, sizeof(name), "out.%d", i);
			show_file(d, name, 3000);
		}
		show_file(d, "state", 400);
		fprintf(stderr, "---- processes\n");
		for (n = descendants(pids, 64); n--;)
			show_process(pids[n]);
	}
	end_everything();
	if (d->keep)
		fprintf(stderr, "scratch directory kept: %s\n", d->scratch);
	remove_scratch(d);
	_exit(1);
}

void driver_skip(struct driver *d, const char *fmt, ...)
{
	va_list ap;

	alarm(0);
	printf("SKIPPED: ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	fflush(stdout);
	end_everything();
	remove_scratch(d);
	_exit(DRIVER_SKIP);
}

static void on_alarm(int sig)
{
	(void)sig;
	driver_fail(limit_driver, "the time limit of the whole test is over");
}

void driver_init(struct driver *d, const char *stasis, int limit_s)
{
	struct sigaction sa = { .sa_handler = on_alarm };
	const char *tmp = getenv("TMPDIR");
	int fd;

	d->stasis = stasis;
	d->pidfd = -1;
	snprintf(d->scratch, sizeof(d->scratch), "%s/stasis-target.XXXXXX", tmp && access(tmp, W_OK) == 0 ? tmp : "/tmp");
	if (!mkdtemp(d->scratch)) {
		perror(d->scratch);
		exit(1);
	}
	/* Programs that change their user id must still reach it; nothing in it is worth hiding. */
	chmod(d->scratch, 0777);
	fd = open(driver_path(d, "state"), O_CREAT | O_WRONLY | O_CLOEXEC, 0666);
	if (fd < 0 || fchmod(fd, 0666))
		driver_fail(d, "state file: %s", strerror(errno));
	close(fd);
	if (!stasis)
		setenv("TARGET_ALONE", "1", 1);
	setenv("XDG_RUNTIME_DIR", d->scratch, 1);
	setenv("HOME", d->scratch, 1);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	limit_driver = d;
	sigaction(SIGALRM, &sa, NULL);
	alarm(limit_s);
}

void driver_become(struct driver *d, uid_t uid)
{
	pid_t pid;
	int status;

	if (geteuid() != 0)
		driver_skip(d, "this is an ordinary user already");
	if (setgroups(0, NULL) || setresgid(uid, uid, uid) || setresuid(uid, uid, uid))
		driver_skip(d, "cannot become user %u: %s", uid, strerror(errno));
	pid = fork();
	if (pid == 0)
		_exit(unshare(CLONE_NEWUSER | CLONE_NEWPID) ? errno : 0);
	waitpid(pid, &status, 0);
	if (status)
		driver_skip(d, "an ordinary user cannot make user namespaces here: %s", strerror(WEXITSTATUS(status)));
}

/* Runs argv with /dev/null as standard input and `output` as the rest. */
static pid_t spawn(struct driver *d, char *const *argv, const char *output)
{
	pid_t pid = fork();

	if (pid < 0)
		driver_fail(d, "fork: %s", strerror(errno));
	if (pid == 0) {
		int in = open("/dev/null", O_RDWR), out = open(output, O_RDWR | O_CREAT | O_APPEND, 0666);

		if (in < 0 || out < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0)
			_exit(126);
		close_range(3, ~0U, 0);
		signal(SIGALRM, SIG_DFL);
		execv(argv[0], argv);
		dprintf(2, "%s: %s\n", argv[0], strerror(errno));
		_exit(127);
	}
	return pid;
}

static void hold(struct driver *d, pid_t pid)
{
	d->pid = pid;
	if (d->pidfd >= 0)
		close(d->pidfd);
	d->pidfd = pidfd_open(pid, 0);
	if (d->pidfd < 0) {
		driver_look(d); /* its own words, if it has left any, say more */
		driver_fail(d, "target pid %d is gone at once: %s", pid, strerror(errno));
	}
}

static bool add_refused(struct driver *d, const char *word)
{
	for (int i = 0; i < 4; i++)
		if (!d->refused[i][0])
			return sscanf(word, "refused=%63s", d->refused[i]) == 1;
	return false;
}

/* What the target says of itself in its ready line. */
static void parse_ready(struct driver *d, char *line)
{
	char *save, *word = strtok_r(line, " ", &save);

	d->rewind = true;
	for (int i = 0; word; word = strtok_r(NULL, " ", &save), i++) {
		if (i == 1)
			d->nonce = strtoull(word, NULL, 16);
		else if (i == 2)
			d->inner_pid = atoi(word);
		else if (strcmp(word, "quiet") == 0)
			d->quiet = true;
		else if (strcmp(word, "stopped") == 0)
			d->quiet = d->stopped = true;
		else if (strcmp(word, "no-rewind") == 0)
			d->rewind = false;
		else if (i > 2 && sscanf(word, "off=%d", &d->off_ms) != 1 && sscanf(word, "wake=%d", &d->wake) != 1 &&
		         sscanf(word, "image-max=%ld", &d->image_max) != 1 && sscanf(word, "exit=%d", &d->want_exit) != 1 &&
		         sscanf(word, "killed=%d", &d->want_signal) != 1 && !add_refused(d, word))
			driver_fail(d, "the target gives an option that is not known: %s", word);
	}
	d->ready = true;
}

static uint64_t mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdULL;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ULL;
	return x ^ x >> 33;
}

static void check_turn(struct driver *d, const char *line, uint64_t last, bool *gone_back, uint64_t *ret)
{
	uint64_t counter, digest;

	if (sscanf(line, "turn %lu %lx", &counter, &digest) != 2)
		driver_fail(d, "state line not understood: %s", line);
	if (digest != mix(d->nonce ^ counter * 0x9e3779b97f4a7c15ULL))
		driver_fail(d, "turn %lu: the nonce is not the one it began with", counter);
	if (counter != last + 1) {
		if (*gone_back || counter < d->again_lo || counter > d->again_hi)
			driver_fail(d, "turn %lu comes after turn %lu (allowed to go back once to %lu..%lu)", counter, last,
			            d->again_lo, d->again_hi);
		*gone_back = true;
	}
	*ret = counter;
}

void driver_look(struct driver *d)
{
	char *text = slurp(driver_path(d, "state"), 16 << 20), *line = text, *end;
	bool gone_back = false;
	uint64_t last = 0;

	for (; (end = strchr(line, '\n')); line = end + 1) {
		*end = 0;
		if (strncmp(line, "turn ", 5) == 0) {
			check_turn(d, line, last, &gone_back, &last);
		} else if (strncmp(line, "ready ", 6) == 0) {
			if (line != text)
				driver_fail(d, "the target began anew: %s", line);
			if (!d->ready)
				parse_ready(d, line);
		} else if (strcmp(line, "done") == 0) {
			d->done = true;
		} else {
			snprintf(d->verdict, sizeof(d->verdict), "%s", line);
			if (strncmp(line, "skip ", 5) == 0)
				driver_skip(d, "%s", line + 5);
			driver_fail(d, "the target says: %s", line);
		}
	}
	d->turns = last;
	free(text);
}

static bool alive(struct driver *d)
{
	struct pollfd pfd = { d->pidfd, POLLIN, 0 }; /* readable once the last thread has ended */

	return d->pid && poll(&pfd, 1, 0) == 0;
}

void driver_start(struct driver *d, char **argv)
{
	int64_t limit = driver_now_ms() + 20000;

	d->child = spawn(d, argv, "/dev/null");
	hold(d, d->child);
	while (!d->ready) {
		bool there = alive(d);

		driver_look(d);
		if (!d->ready && !there)
			driver_fail(d, "the target ended before it was ready");
		if (driver_now_ms() > limit)
			driver_fail(d, "the target does not get ready");
		driver_sleep_ms(2);
	}
	if (d->stopped)
		for (; driver_state(d) != 'T'; driver_sleep_ms(2))
			if (driver_now_ms() > limit)
				driver_fail(d, "the target does not stop");
}

void driver_turns(struct driver *d, unsigned n)
{
	int64_t begun = driver_now_ms();
	uint64_t want;

	driver_look(d);
	want = d->turns + n;
	do {
		bool there = alive(d);

		driver_look(d);
		if (!there)
			driver_fail(d, "the target is gone");
		if (d->stopped && driver_state(d) != 'T')
			driver_fail(d, "the target was stopped and is not any more (state %c)", driver_state(d));
		if (d->quiet ? driver_now_ms() > begun + 100 : d->turns >= want)
			return;
		driver_sleep_ms(3);
	} while (driver_now_ms() < begun + 40000);
	driver_fail(d, "the target takes no more turns (state %c, tracer %d)", driver_state(d), driver_tracer(d));
}

pid_t driver_stasis_begin(struct driver *d, const char *const *args)
{
	const char *argv[32] = { d->stasis };
	FILE *f;
	int n = 1;

	snprintf(d->last_output, sizeof(d->last_output), "%s/out.%d", d->scratch, ++d->n_runs);
	f = fopen(d->last_output, "we");
	fprintf(f, "$ stasis");
	for (; args[n - 1] && n < 31; n++) {
		argv[n] = args[n - 1];
		fprintf(f, " %s", argv[n]);
	}
	fprintf(f, "\n");
	fclose(f);
	return spawn(d, (char *const *)argv, d->last_output);
}

int driver_wait(pid_t pid, int ms)
{
	int64_t limit = driver_now_ms() + ms;
	int status;

	for (;;) {
		if (waitpid(pid, &status, WNOHANG | __WALL) == pid)
			return status;
		if (driver_now_ms() > limit)
			return -1;
		driver_sleep_ms(2);
	}
}

int driver_stasis(struct driver *d, const char *const *args)
{
	pid_t pid = driver_stasis_begin(d, args);
	int status = driver_wait(pid, 30000);

	if (status == -1)
		driver_fail(d, "stasis %s (pid %d) does not end", args[0], pid);
	return status;
}

const char *driver_output(struct driver *d)
{
	static char *text;

	free(text);
	text = slurp(d->last_output, 1 << 20);
	return text;
}

void driver_adopt(struct driver *d, const char *pidfile)
{
	char *text = slurp(pidfile, 100);
	pid_t pid = atoi(text);

	if (pid <= 1)
		driver_fail(d, "pid file %s says \"%s\"", pidfile, text);
	free(text);
	d->child = 0;
	hold(d, pid);
}

char driver_state(struct driver *d)
{
	char path[64], *text, *p, state = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", d->pid);
	text = slurp(path, 1000);
	p = strrchr(text, ')');
	if (p)
		state = p[2];
	free(text);
	return state;
}

pid_t driver_tracer(struct driver *d)
{
	char path[64], *text, *p;
	pid_t pid;

	snprintf(path, sizeof(path), "/proc/%d/status", d->pid);
	text = slurp(path, 4000);
	p = strstr(text, "\nTracerPid:");
	pid = p ? atoi(p + 11) : 0;
	free(text);
	return pid;
}

void driver_gone(struct driver *d)
{
	int64_t limit = driver_now_ms() + 20000;

	for (;;) {
		if (d->child)
			waitpid(d->child, NULL, WNOHANG | __WALL);
		if (pidfd_send_signal(d->pidfd, 0, NULL, 0) && errno == ESRCH)
			break;
		if (driver_now_ms() > limit)
			driver_fail(d, "the target (pid %d, state %c) should be gone and is not", d->pid, driver_state(d));
		driver_sleep_ms(2);
	}
	d->child = d->pid = 0;
}

/* SIGKILL can end a write() between two pages of the file (generic_perform_write in mm/filemap.c looks for a fatal signal
 * there), and then the last line has no end. What is restarted next appends to the file and must find the beginning of a line.
 */
static void cut_half_line(struct driver *d)
{
	const char *state = driver_path(d, "state");
	char *text = slurp(state, 16 << 20), *end = strrchr(text, '\n');

	if (truncate(state, end ? end + 1 - text : 0))
		driver_fail(d, "%s: %s", state, strerror(errno));
	free(text);
}

void driver_kill(struct driver *d)
{
	kill(d->pid, SIGKILL);
	driver_gone(d);
	cut_half_line(d);
}

void driver_ask_finish(struct driver *d)
{
	int fd = open(driver_path(d, "finish"), O_CREAT | O_WRONLY | O_CLOEXEC, 0666);

	if (fd < 0)
		driver_fail(d, "finish file: %s", strerror(errno));
	close(fd);
	if (d->stopped && d->pid)
		kill(d->pid, SIGCONT);
	if (d->wake && d->pid)
		kill(d->pid, d->wake);
}

void driver_done(struct driver *d)
{
	int64_t limit = driver_now_ms() + 40000;

	for (; !d->done; driver_sleep_ms(2)) {
		bool there = alive(d);

		driver_look(d);
		if (d->pid && !d->done && !there)
			driver_fail(d, "the target ended without a verdict");
		if (driver_now_ms() > limit)
			driver_fail(d, "the target was asked to finish and does not (state %c)",
			            d->pid ? driver_state(d) : '?');
	}
}

/* What keeps a userfaultfd of the target from one checkpoint to the next; it ends with the target. */
static bool is_keeper(pid_t pid)
{
	char path[64], *text;

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	text = slurp(path, 100);
	bool is = !strcmp(text, "stasis-track\n");
	free(text);
	return is;
}

int driver_keepers(void)
{
	pid_t pids[64];
	int n = descendants(pids, 64), keepers = 0;

	while (n--)
		keepers += is_keeper(pids[n]);
	return keepers;
}

void driver_alone(struct driver *d)
{
	int64_t limit = driver_now_ms() + 20000;
	pid_t pids[64];
	int n, i;

	for (;;) {
		n = descendants(pids, 64);
		for (i = 0; i < n; i++) /* orphans that have come to us */
			if (pids[i] != d->child)
				waitpid(pids[i], NULL, WNOHANG | __WALL);
		n = descendants(pids, 64);
		/* The target itself, and what lies between it and us: a detached restart that stays as its parent. */
		for (i = 0; i < n; i++) {
			pid_t p = d->pid;

			while (p > 1 && p != pids[i])
				p = parent_of(p);
			if (p != pids[i] && !(alive(d) && is_keeper(pids[i])))
				break;
		}
		if (i == n)
			return;
		if (driver_now_ms() > limit)
			driver_fail(d, "something is left behind: pid %d", pids[i]);
		driver_sleep_ms(5);
	}
}

void driver_finish(struct driver *d)
{
	driver_alone(d);
	alarm(0);
	if (d->pidfd >= 0)
		close(d->pidfd);
	remove_scratch(d);
}
