// SPDX-License-Identifier: LGPL-2.1-or-later
/* A target that notices whatever a checkpoint that failed, was killed or hung could leave behind in it: EINTR, a mapping,
 * changed program text, a descriptor, a thread, a child, a changed signal action, mask or pending signal, a clock or timer that
 * stopped. It shares target.h with the target programs. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "target.h"

/* Turns for which program text may differ: while the one who repairs it is at work, or, where all of Stasis was killed (WITNESS_PATIENCE),
 * until the next checkpoint. */
#define PATIENCE 500

static int epfd, evfd;
static volatile pid_t tids[3];
static volatile bool stop;
static volatile int alarms;
static volatile uint64_t spun;

static void *in_epoll(void *arg)
{
	struct epoll_event ev;
	int n;

	(void)arg;
	tids[0] = gettid();
	n = epoll_wait(epfd, &ev, 1, -1);
	target_check(n == 1 && stop, "epoll_wait returned %d, errno %d", n, errno);
	return NULL;
}

static void *in_sigwait(void *arg)
{
	sigset_t set;
	int r;

	(void)arg;
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 9);
	tids[1] = gettid();
	r = sigwaitinfo(&set, NULL);
	target_check(r == SIGRTMIN + 9 && stop, "sigwaitinfo returned %d, errno %d", r, errno);
	return NULL;
}

static void *spinning(void *arg)
{
	uint64_t x = 1, y;

	(void)arg;
	tids[2] = gettid();
	for (; !stop; spun++) {
		for (y = x, x = 1; y > 1; y = y & 1 ? 3 * y + 1 : y / 2)
			x++;
		x = spun % 1000 + 1;
	}
	return NULL;
}

static void on_alarm(int sig)
{
	(void)sig;
	alarms++;
}

/* A checksum of all program text that is mapped from files, padding behind it included. */
static uint64_t text_sum(void)
{
	FILE *f = fopen("/proc/self/maps", "re");
	unsigned long lo, hi;
	uint64_t sum = 0;
	char line[1024];

	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx-%lx r-xp", &lo, &hi) == 2 && strstr(line, " r-xp ") && strchr(line, '/'))
			for (uint64_t *p = (uint64_t *)lo; p < (uint64_t *)hi; p++)
				sum = (sum << 7 | sum >> 57) ^ *p;
	fclose(f);
	return sum;
}

/* Names in a directory of /proc/self, sorted by number as the kernel gives them, but for the descriptor used here. */
static void list(const char *path, char *out, size_t size)
{
	DIR *dir = opendir(path);
	struct dirent *e;
	size_t n = 0;

	target_check(dir, "%s: %m", path);
	out[0] = 0;
	while ((e = readdir(dir)))
		if (e->d_name[0] != '.' && atoi(e->d_name) != dirfd(dir))
			n += snprintf(out + n, size - n, "%s ", e->d_name);
	closedir(dir);
}

struct picture {
	char maps[64 << 10], fds[2048], tasks[512];
	uint64_t status[6];
	struct sigaction actions[65];
};

/* Which file stands behind shared anonymous memory may change in a restart. */
static void forget_shared_file(char *maps)
{
	char *line = strstr(maps, " rw-s "), *end = line ? strchr(line, '\n') : NULL;

	if (end)
		memmove(line + 6, end, strlen(end) + 1);
}

static void take(struct picture *p)
{
	static const char *const fields[6] = { "SigBlk", "SigIgn", "SigCgt", "SigPnd", "ShdPnd", "Threads" };

	memset(p, 0, sizeof(*p));
	snprintf(p->maps, sizeof(p->maps), "%s", target_slurp("/proc/self/maps"));
	forget_shared_file(p->maps);
	list("/proc/self/fd", p->fds, sizeof(p->fds));
	list("/proc/self/task", p->tasks, sizeof(p->tasks));
	for (int i = 0; i < 6; i++)
		p->status[i] = strtoull(target_field(target_slurp("/proc/self/status"), fields[i]), NULL, i == 5 ? 10 : 16);
	p->status[3] &= ~(1ULL << (SIGALRM - 1)); /* comes and goes by itself */
	p->status[4] &= ~(1ULL << (SIGALRM - 1));
	for (int sig = 1; sig <= 64; sig++)
		syscall(SYS_rt_sigaction, sig, NULL, &p->actions[sig], 8);
}

static void check_same(const struct picture *was, const struct picture *is)
{
	size_t at = 0;

	if (strcmp(was->maps, is->maps)) {
		while (was->maps[at] == is->maps[at])
			at++;
		while (at && was->maps[at - 1] != '\n')
			at--;
		target_fail("mappings: was %.90s is %.90s", was->maps + at, is->maps + at);
	}
	target_check(strcmp(was->fds, is->fds) == 0, "descriptors were %s are %s", was->fds, is->fds);
	target_check(strcmp(was->tasks, is->tasks) == 0, "threads were %s are %s", was->tasks, is->tasks);
	for (int i = 0; i < 6; i++)
		target_check(was->status[i] == is->status[i], "status line %d was %lx is %lx", i, was->status[i],
		             is->status[i]);
	target_check(memcmp(was->actions, is->actions, sizeof(was->actions)) == 0, "a signal action changed");
	target_check(waitpid(-1, NULL, WNOHANG | __WALL) == -1 && errno == ECHILD, "there is a child");
}

static void check_progress(uint64_t turn)
{
	static uint64_t last_spun;
	static int last_alarms;

	if (turn % 200)
		return;
	target_check(spun > last_spun, "the busy thread does not go on");
	target_check(alarms > last_alarms, "the interval timer does not go on");
	last_spun = spun;
	last_alarms = alarms;
}

int main(int argc, char **argv)
{
	static struct picture was, is;
	struct epoll_event ev = { .events = EPOLLIN };
	struct itimerval it = { { 0, 10000 }, { 0, 10000 } };
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	struct sigaction sa = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
	void *(*const fns[3])(void *) = { in_epoll, in_sigwait, spinning };
	uint64_t turn = 0, text, differs = 0;
	const uint64_t patience = getenv("WITNESS_PATIENCE") ? strtoull(getenv("WITNESS_PATIENCE"), NULL, 10) : PATIENCE;
	int file, listener;
	pthread_t threads[3];
	sigset_t set, old;

	target_init(argc, argv);
	epfd = epoll_create1(0);
	evfd = eventfd(0, 0);
	epoll_ctl(epfd, EPOLL_CTL_ADD, evfd, &ev);
	/* Things that a restart prepares aside and puts into place at its very end. */
	file = open(target_path("data"), O_CREAT | O_RDWR, 0600);
	listener = socket(AF_UNIX, SOCK_STREAM, 0);
	snprintf(name.sun_path, sizeof(name.sun_path), "%s", target_path("socket"));
	target_check(file >= 0 && write(file, "contents", 8) == 8, "%m");
	target_check(bind(listener, (struct sockaddr *)&name, sizeof(name)) == 0 && listen(listener, 2) == 0, "%m");
	/* What is copied ahead of the pause. */
	char *shared = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	target_check(shared != MAP_FAILED, "%m");
	target_fill(shared, 1 << 20, 1);
	sigaction(SIGALRM, &sa, NULL);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 9);
	sigaddset(&set, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &set, &old);
	for (int i = 0; i < 3; i++) {
		threads[i] = target_thread(fns[i], NULL);
		while (!tids[i])
			target_sleep_ms(1);
	}
	sigdelset(&set, SIGALRM);
	pthread_sigmask(SIG_SETMASK, &set, NULL);
	setitimer(ITIMER_REAL, &it, NULL);
	text = text_sum();
	take(&is); /* once for what the C library allocates */
	take(&was);
	target_ready();
	while (target_turn()) {
		take(&is);
		check_same(&was, &is);
		check_progress(++turn);
		if (turn % 20 == 0) {
			differs = text_sum() == text ? 0 : differs + 20;
			target_check(differs < patience, "program text stays changed");
		}
	}
	target_check(text_sum() == text, "program text is changed at the end");
	stop = true;
	eventfd_write(evfd, 1);
	pthread_kill(threads[1], SIGRTMIN + 9);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	target_check(target_filled(shared, 1 << 20, 1), "shared memory is not what was written");
	target_done();
}
