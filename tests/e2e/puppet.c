/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A small program that does what it is told on standard input and says what happens to it. The end-to-end tests freeze it, hit
 * it with signals and look whether `stasis run` and `stasis restart` behave like the program itself. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <termios.h>
#include <unistd.h>

struct puppet {
	unsigned long nonce, lines;
	int signals; /* signalfd */
};

static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
}

static void *sleeper(void *arg)
{
	(void)arg;
	for (;;)
		pause();
	return NULL;
}

/* One of each kind of descriptor a mutated image could lie about, and some memory that is worth storing. */
static int hold_things(void)
{
	static const char text[] = "in the pipe";
	pthread_t thread;
	int pipes[2], pair[2], ep = epoll_create1(EPOLL_CLOEXEC), ev = eventfd(7, EFD_NONBLOCK), mem = memfd_create("puppet", MFD_CLOEXEC);
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	struct itimerspec when = {.it_value.tv_sec = 1000000, .it_interval.tv_sec = 5};
	struct epoll_event event = {.events = EPOLLIN};
	char *private = mmap(NULL, 1 << 18, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	FILE *file = tmpfile();

	if (ep < 0 || ev < 0 || mem < 0 || timer < 0 || private == MAP_FAILED || !file || pipe(pipes) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0 || ftruncate(mem, 1 << 16) < 0)
		return -errno;
	char *shared = mmap(NULL, 1 << 16, PROT_READ | PROT_WRITE, MAP_SHARED, mem, 0);
	if (shared == MAP_FAILED || getrandom(shared, 1 << 14, 0) < 0 || getrandom(private, 1 << 15, 0) < 0 ||
	    write(pipes[1], text, sizeof(text)) != sizeof(text) || fputs("unlinked", file) < 0 || fflush(file) != 0 ||
	    timerfd_settime(timer, 0, &when, NULL) < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, ev, &event) < 0)
		return -errno;
	return -pthread_create(&thread, NULL, sleeper, NULL);
}

static void on_line(struct puppet *p, char *line)
{
	char *arg = strchr(line, ' ');

	p->lines++;
	if (arg)
		*arg++ = '\0';
	if (strcmp(line, "exit") == 0 && arg)
		exit(atoi(arg));
	else if (strcmp(line, "raise") == 0 && arg) {
		sigset_t none;
		signal(atoi(arg), SIG_DFL);
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		raise(atoi(arg));
	} else if (strcmp(line, "tty") == 0) {
		struct winsize size = {0};
		if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) < 0)
			say("tty no");
		else
			say("tty %ux%u foreground %s", size.ws_col, size.ws_row, tcgetpgrp(STDIN_FILENO) == getpgrp() ? "yes" : "no");
	} else {
		say("said %016lx %lu %s", p->nonce, p->lines, line);
	}
}

static int on_signal(struct puppet *p)
{
	struct signalfd_siginfo info;

	if (read(p->signals, &info, sizeof(info)) != sizeof(info))
		return errno == EINTR ? 0 : -errno;
	say("signal %u", info.ssi_signo);
	return 0;
}

static int serve(struct puppet *p)
{
	char buf[512];
	size_t used = 0;
	struct epoll_event in = {.events = EPOLLIN, .data.fd = STDIN_FILENO}, sig = {.events = EPOLLIN, .data.fd = p->signals}, got;
	int ep = epoll_create1(EPOLL_CLOEXEC);

	if (ep < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, p->signals, &sig) < 0)
		return -errno;
	(void)epoll_ctl(ep, EPOLL_CTL_ADD, STDIN_FILENO, &in); /* EPERM for /dev/null and files: then there are signals only */
	for (;;) {
		if (epoll_wait(ep, &got, 1, -1) != 1) {
			if (errno == EINTR)
				say("interrupted"); /* the tests look for it: nobody but a signal handler may do this */
			continue;
		}
		if (got.data.fd == p->signals) {
			if (on_signal(p) < 0)
				return -errno;
			continue;
		}
		ssize_t n = read(STDIN_FILENO, buf + used, sizeof(buf) - used - 1);
		if (n <= 0) {
			say("end of input");
			epoll_ctl(ep, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
			continue;
		}
		used += (size_t)n;
		buf[used] = '\0';
		for (char *end; (end = strchr(buf, '\n')) != NULL;) {
			*end = '\0';
			on_line(p, buf);
			used -= (size_t)(end + 1 - buf);
			memmove(buf, end + 1, used + 1);
		}
	}
}

int main(int argc, char **argv)
{
	struct puppet p = {0};
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < 6; i++)
		sigaddset(&set, (const int[]){SIGTERM, SIGINT, SIGHUP, SIGWINCH, SIGUSR1, SIGUSR2}[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	p.signals = signalfd(-1, &set, SFD_CLOEXEC);
	if (p.signals < 0 || getrandom(&p.nonce, sizeof(p.nonce), 0) != sizeof(p.nonce)) {
		perror("puppet");
		return 1;
	}
	if (argc > 1 && strcmp(argv[1], "--things") == 0) {
		int err = hold_things();
		if (err < 0) {
			fprintf(stderr, "puppet: %s\n", strerror(-err));
			return 1;
		}
	}
	say("ready %016lx", p.nonce);
	return serve(&p) < 0;
}
