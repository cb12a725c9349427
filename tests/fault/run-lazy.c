// SPDX-License-Identifier: LGPL-2.1-or-later
/* Lazy restarts in trouble: page servers that are killed, one or all, images that are damaged late, checkpoints that come too
 * early, privilege that is not there. The witness must run on with the right memory, or be killed; it must never see a wrong
 * page.
 *
 * All restarts are made with the fault point lazy.idle armed, so that nothing is loaded that is not touched and the lazy phase
 * lasts. */
#include "driver.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define SERVER "stasis-pages"
#define SPARE "stasis-spare"

struct lazy {
	struct driver d;
	const char *image, *pidfile;
};

static char *read_text(pid_t pid, const char *name)
{
	static char text[1 << 20];
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n, used = 0;
	while (fd >= 0 && (n = read(fd, text + used, sizeof(text) - 1 - used)) > 0)
		used += n;
	if (fd >= 0)
		close(fd);
	text[used] = 0;
	return text;
}

static bool is_below(pid_t pid, pid_t top)
{
	for (int i = 0; pid > 1 && i < 64; i++) {
		char *p = strrchr(read_text(pid, "stat"), ')');
		if (pid == top)
			return true;
		if (!p || sscanf(p + 1, " %*c %d", &pid) != 1)
			return false;
	}
	return false;
}

/* The process of this name below us that is alive, or 0. */
static pid_t find(const char *comm)
{
	DIR *dir = opendir("/proc");
	pid_t found = 0;

	for (struct dirent *e; dir && !found && (e = readdir(dir));) {
		pid_t pid = atoi(e->d_name);
		if (!pid)
			continue;
		char *text = read_text(pid, "comm");
		text[strcspn(text, "\n")] = 0;
		if (strcmp(text, comm))
			continue;
		char *state = strrchr(read_text(pid, "stat"), ')');
		if (state && state[2] != 'Z' && state[2] != 'X' && is_below(pid, getpid()))
			found = pid;
	}
	if (dir)
		closedir(dir);
	return found;
}

static pid_t need(struct lazy *l, const char *comm)
{
	int64_t limit = driver_now_ms() + 5000;
	pid_t pid;

	while (!(pid = find(comm))) {
		if (driver_now_ms() > limit)
			driver_fail(&l->d, "there is no %s", comm);
		driver_sleep_ms(1);
	}
	return pid;
}

static void need_none(struct lazy *l)
{
	int64_t limit = driver_now_ms() + 5000;
	pid_t pid;

	while ((pid = find(SERVER)) || (pid = find(SPARE))) {
		if (driver_now_ms() > limit)
			driver_fail(&l->d, "page server %d is still there", pid);
		driver_sleep_ms(2);
	}
}

static void make_image(struct lazy *l, const char *image, bool stop)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", l->d.pid);
	int status = driver_stasis(&l->d, (const char *[]){ "checkpoint", pid, "-o", image, stop ? "--stop" : NULL, NULL });
	if (status)
		driver_fail(&l->d, "checkpoint: wait status %x", status);
	if (stop)
		driver_gone(&l->d);
	driver_look(&l->d);
}

/* Restarts in the foreground and waits for the pid file. Going back to the same image again and again is meant. */
static void restart(struct lazy *l, const char *option, const char *fault)
{
	int64_t limit = driver_now_ms() + 20000;

	unlink(l->pidfile);
	setenv("STASIS_FAULT", fault, 1);
	pid_t front = driver_stasis_begin(
	        &l->d, (const char *[]){ "restart", l->image, "--pidfile", l->pidfile, "--lazy=on", option, NULL });
	unsetenv("STASIS_FAULT");
	while (access(l->pidfile, F_OK)) {
		if (driver_wait(front, 2) != -1)
			driver_fail(&l->d, "the restart has ended too early");
		if (driver_now_ms() > limit)
			driver_fail(&l->d, "the restart writes no pid file");
	}
	driver_sleep_ms(5); /* the pid file is there, perhaps not yet its contents */
	driver_adopt(&l->d, l->pidfile);
	l->d.child = front;
}

/* The target must end, killed, and all else with it. */
static void need_death(struct lazy *l, bool front_killed)
{
	int status = driver_wait(l->d.child, 10000);

	if (status == -1)
		driver_fail(&l->d, "the restart goes on although all page servers were killed");
	if (!front_killed && !(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL))
		driver_fail(&l->d, "the restart ended with wait status %x, and not as its target did, by SIGKILL", status);
	l->d.child = 0;
	driver_gone(&l->d);
	driver_alone(&l->d);
	driver_look(&l->d); /* fails on a word of a wrong page */
}

/* ---- the cases ---- */

static void killed(struct lazy *l, const char *comm)
{
	restart(l, NULL, "lazy.idle");
	for (int i = 0; i < 25; i++) {
		pid_t pid = need(l, comm);
		kill(pid, SIGKILL);
		driver_turns(&l->d, 2);
	}
	need(l, SERVER);
	need(l, SPARE);
	make_image(l, driver_path(&l->d, "second.stasis"), true);
	need_none(l);
	l->image = driver_path(&l->d, "second.stasis");
	restart(l, NULL, "none");
}

static void server_killed(struct lazy *l)
{
	killed(l, SERVER);
}

static void spare_killed(struct lazy *l)
{
	killed(l, SPARE);
}

/* Both, at a moment of any kind; the lines that the target has written since are taken back, as it goes back. */
static void all_killed(struct lazy *l, const char *option, bool front_too)
{
	const char *state = driver_path(&l->d, "state");
	struct stat st;

	if (stat(state, &st))
		driver_fail(&l->d, "%s: %s", state, strerror(errno));
	for (int i = 0; i < 12; i++) {
		restart(l, option, "lazy.idle");
		pid_t server = need(l, SERVER), spare = need(l, SPARE);
		driver_sleep_ms(i * 3);
		if (front_too)
			kill(l->d.child, SIGKILL);
		kill(i % 2 ? server : spare, SIGKILL);
		kill(i % 2 ? spare : server, SIGKILL);
		need_death(l, front_too);
		if (truncate(state, st.st_size))
			driver_fail(&l->d, "%s: %s", state, strerror(errno));
		driver_look(&l->d);
	}
	restart(l, NULL, "none");
}

static void both_killed(struct lazy *l)
{
	all_killed(l, NULL, false);
}

static void three_killed(struct lazy *l)
{
	all_killed(l, NULL, true);
}

static void both_killed_host_pids(struct lazy *l)
{
	if (geteuid())
		driver_skip(&l->d, "--host-pids needs root");
	all_killed(l, "--host-pids", false);
}

static void damaged(struct lazy *l)
{
	const char *state = driver_path(&l->d, "state"), *good = driver_path(&l->d, "good.stasis");
	char command[3 * PATH_MAX], junk[64];
	struct stat st, image;

	snprintf(command, sizeof(command), "cp %s %s", l->image, good);
	if (system(command) || stat(state, &st) || stat(l->image, &image))
		driver_fail(&l->d, "%s", command);
	restart(l, NULL, "lazy.idle");
	int fd = open(l->image, O_WRONLY | O_CLOEXEC);
	memset(junk, 0x5a, sizeof(junk));
	for (off_t at = 64; fd >= 0 && at < image.st_size; at += 64 << 10)
		if (pwrite(fd, junk, sizeof(junk), at) < 0)
			driver_fail(&l->d, "%s: %s", l->image, strerror(errno));
	close(fd);
	need_death(l, false);
	if (!strstr(driver_output(&l->d), "the target was killed: image") || !strstr(driver_output(&l->d), "checksum differs"))
		driver_fail(&l->d, "nobody says that the image is damaged");
	if (truncate(state, st.st_size))
		driver_fail(&l->d, "%s: %s", state, strerror(errno));
	l->image = good;
	restart(l, NULL, "none");
}

static void expect_check(struct lazy *l, bool loading)
{
	char pid[16];

	snprintf(pid, sizeof(pid), "%d", l->d.pid);
	if (driver_stasis(&l->d, (const char *[]){ "check", pid, "-v", NULL }))
		driver_fail(&l->d, "check says no");
	if (loading != (strstr(driver_output(&l->d), "loaded by a lazy restart") != NULL))
		driver_fail(&l->d, "check should%s tell of a lazy restart", loading ? "" : " not");
}

static void need_nothing_left(struct lazy *l)
{
	char path[64], link[256];

	need_none(l);
	if (strstr(read_text(l->d.pid, "smaps"), " um "))
		driver_fail(&l->d, "memory of the target is still watched");
	for (int fd = 0; fd < 256; fd++) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%d", l->d.pid, fd);
		ssize_t n = readlink(path, link, sizeof(link) - 1);
		link[n < 0 ? 0 : n] = 0;
		if (strstr(link, "userfaultfd"))
			driver_fail(&l->d, "the target has a userfaultfd: fd %d", fd);
	}
}

static void checkpoint_meanwhile(struct lazy *l)
{
	restart(l, NULL, "lazy.idle");
	need(l, SERVER);
	if (!strstr(read_text(l->d.pid, "smaps"), " um "))
		driver_fail(&l->d, "no memory of the target is watched");
	expect_check(l, true);
	l->d.again_lo = l->d.turns + 1;
	l->image = driver_path(&l->d, "second.stasis");
	make_image(l, l->image, false);
	l->d.again_hi = l->d.turns + 1;
	need_nothing_left(l);
	expect_check(l, false);
	driver_turns(&l->d, 5);
	driver_kill(&l->d);
	driver_alone(&l->d);
	restart(l, NULL, "none");
	driver_turns(&l->d, 5);
	need_nothing_left(l);
}

static void forbidden(struct lazy *l)
{
	setenv("STASIS_FAULT", "lazy.forbidden", 1);
	int status = driver_stasis(&l->d, (const char *[]){ "restart", l->image, "--detach", "--lazy=on", NULL });
	if (!WIFEXITED(status) || !WEXITSTATUS(status) || !strstr(driver_output(&l->d), "/dev/userfaultfd") ||
	    !strstr(driver_output(&l->d), "--lazy=off"))
		driver_fail(&l->d, "--lazy=on must be refused with the remedy (wait status %x)", status);
	driver_alone(&l->d);
	setenv("STASIS_DEBUG", "1", 1);
	status = driver_stasis(
	        &l->d, (const char *[]){ "restart", l->image, "--detach", "--pidfile", l->pidfile, "--lazy=auto", NULL });
	unsetenv("STASIS_DEBUG");
	unsetenv("STASIS_FAULT");
	if (status || !strstr(driver_output(&l->d), "lazy: no userfaultfd"))
		driver_fail(&l->d, "--lazy=auto must do without and tell under debug (wait status %x)", status);
	driver_adopt(&l->d, l->pidfile);
	need_none(l);
}

#define ORDER "user.stasis.order"

/* The working set that the first restart has kept serves the next one, which does not change it; and nonsense does no harm. */
static void ordered(struct lazy *l)
{
	const char *state = driver_path(&l->d, "state");
	static uint8_t first[8192], second[8192];
	struct stat st;

	if (stat(state, &st))
		driver_fail(&l->d, "%s: %s", state, strerror(errno));
	restart(l, NULL, "none");
	driver_turns(&l->d, 5);
	need_none(l);
	ssize_t n = getxattr(l->image, ORDER, first, sizeof(first));
	if (n < 0 && errno == ENOTSUP)
		driver_skip(&l->d, "this file system has no extended attributes");
	if (n < 20)
		driver_fail(&l->d, "no working set was kept: %zd: %s", n, strerror(errno));
	for (int i = 0; i < 2; i++) {
		driver_kill(&l->d);
		driver_alone(&l->d);
		if (truncate(state, st.st_size))
			driver_fail(&l->d, "%s: %s", state, strerror(errno));
		if (i) { /* the content id stays */
			for (ssize_t k = 16; k < n; k++)
				first[k] = (uint8_t)(k * 37);
			if (setxattr(l->image, ORDER, first, (size_t)n, 0))
				driver_fail(&l->d, "%s: %s", l->image, strerror(errno));
		}
		restart(l, NULL, "none");
		driver_turns(&l->d, 5);
		need_none(l);
		if (getxattr(l->image, ORDER, second, sizeof(second)) != n || memcmp(first, second, (size_t)n))
			driver_fail(&l->d, "the working set is another now");
	}
}

/* A restart that fails or is killed while its page servers are there already leaves none of them. */
static void start_fails(struct lazy *l)
{
	static const char *const faults[] = { "restart.lazy",         "restart.lazy=kill",  "restart.threads",
		                              "restart.threads=kill", "restart.reconnect",  "restart.reconnect=kill",
		                              "restart.commit",       "restart.commit=kill" };
	const char *const options[] = { NULL, geteuid() ? NULL : "--host-pids" };

	for (size_t i = 0; i < sizeof(faults) / sizeof(*faults) * 2; i++) {
		const char *fault = faults[i / 2];
		uint64_t turns = l->d.turns;
		setenv("STASIS_FAULT", fault, 1);
		int status = driver_stasis(
		        &l->d, (const char *[]){ "restart", l->image, "--detach", "--lazy=on", options[i % 2], NULL });
		unsetenv("STASIS_FAULT");
		if (WIFEXITED(status) && !WEXITSTATUS(status))
			driver_fail(&l->d, "%s: the restart succeeds", fault);
		need_none(l);
		driver_alone(&l->d);
		driver_look(&l->d);
		if (l->d.turns != turns)
			driver_fail(&l->d, "%s: the target ran", fault);
	}
	restart(l, NULL, "none");
}

/* ---- */

static const struct {
	const char *name;
	void (*run)(struct lazy *l);
} cases[] = {
	{ "server-killed", server_killed },
	{ "spare-killed", spare_killed },
	{ "both-killed", both_killed },
	{ "three-killed", three_killed },
	{ "both-killed-host-pids", both_killed_host_pids },
	{ "damaged", damaged },
	{ "checkpoint-meanwhile", checkpoint_meanwhile },
	{ "forbidden", forbidden },
	{ "start-fails", start_fails },
	{ "ordered", ordered },
};

int main(int argc, char **argv)
{
	struct lazy l = { 0 };
	char *stasis = argc == 4 ? realpath(argv[1], NULL) : NULL, *witness = argc == 4 ? realpath(argv[3], NULL) : NULL;
	size_t i = 0;

	while (stasis && witness && i < sizeof(cases) / sizeof(*cases) && strcmp(cases[i].name, argv[2]))
		i++;
	if (!stasis || !witness || i == sizeof(cases) / sizeof(*cases)) {
		fprintf(stderr, "usage: run-lazy STASIS CASE WITNESS\n");
		return 2;
	}
	driver_init(&l.d, stasis, 110);
	if (geteuid() && access("/dev/userfaultfd", R_OK | W_OK))
		driver_skip(&l.d, "this user may have no userfaultfd that serves the kernel");
	l.image = driver_path(&l.d, "first.stasis");
	l.pidfile = driver_path(&l.d, "pid");
	driver_start(&l.d, (char *[]){ witness, l.d.scratch, NULL });
	driver_turns(&l.d, 5);
	make_image(&l, l.image, true);
	cases[i].run(&l);
	driver_turns(&l.d, 5);
	driver_ask_finish(&l.d);
	driver_done(&l.d);
	if (l.d.child)
		driver_wait(l.d.child, 10000);
	l.d.child = l.d.pid = 0;
	driver_finish(&l.d);
	return 0;
}
