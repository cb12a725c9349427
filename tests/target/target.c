// SPDX-License-Identifier: LGPL-2.1-or-later
/* The side of the target programs' protocol that runs inside them (see target.h). It keeps the nonce and the counter in
 * memory only and opens the state file anew for every line. */
#include "target.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct {
	char dir[PATH_MAX / 2], state[PATH_MAX], finish[PATH_MAX];
	char options[512];
	uint64_t nonce, counter;
	pid_t pid, tid; /* as they were at the beginning; tid of the thread that takes the turns, 0 = not known yet */
	volatile bool ready, finishing;
	void (*release)(void);
} self;

static uint64_t mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdULL;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ULL;
	return x ^ x >> 33;
}

static void tell(const char *line)
{
	int fd = open(self.state, O_WRONLY | O_APPEND | O_CLOEXEC);

	if (fd < 0 || write(fd, line, strlen(line)) != (ssize_t)strlen(line))
		_exit(99);
	close(fd);
}

void target_init(int argc, char **argv)
{
	if (argc < 2 || strlen(argv[1]) >= sizeof(self.dir)) {
		dprintf(2, "usage: %s SCRATCH-DIRECTORY (made by run-target)\n", argv[0]);
		_exit(2);
	}
	strcpy(self.dir, argv[1]);
	snprintf(self.state, sizeof(self.state), "%s/state", self.dir);
	snprintf(self.finish, sizeof(self.finish), "%s/finish", self.dir);
	self.nonce = target_random();
	self.pid = getpid();
}

void target_option(const char *fmt, ...)
{
	size_t n = strlen(self.options);
	va_list ap;

	self.options[n] = ' ';
	va_start(ap, fmt);
	vsnprintf(self.options + n + 1, sizeof(self.options) - n - 1, fmt, ap);
	va_end(ap);
}

void target_ready(void)
{
	char line[700];

	snprintf(line, sizeof(line), "ready %016lx %d%s\n", self.nonce, self.pid, self.options);
	tell(line);
	self.ready = true;
}

bool target_turn(void)
{
	pid_t pid = syscall(SYS_getpid), tid = syscall(SYS_gettid);
	char line[80];

	if (!self.tid)
		self.tid = tid;
	target_check(pid == self.pid, "pid was %d, is %d", self.pid, pid);
	target_check(tid == self.tid, "tid was %d, is %d", self.tid, tid);
	self.counter++;
	snprintf(line, sizeof(line), "turn %lu %016lx\n", self.counter, mix(self.nonce ^ self.counter * 0x9e3779b97f4a7c15ULL));
	tell(line);
	target_sleep_ms(2);
	if (access(self.finish, F_OK) == 0)
		self.finishing = true;
	return !self.finishing;
}

static void *ticker(void *arg)
{
	(void)arg;
	while (!self.ready)
		target_sleep_ms(1);
	while (target_turn())
		;
	if (self.release)
		self.release();
	return NULL;
}

void target_ticker_start(void (*release)(void))
{
	sigset_t all, old;

	self.release = release;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pthread_detach(target_thread(ticker, NULL));
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

bool target_alone(void)
{
	return getenv("TARGET_ALONE");
}

bool target_finishing(void)
{
	return self.finishing;
}

void target_say_done(void)
{
	tell("done\n");
}

void target_done(void)
{
	target_say_done();
	_exit(0);
}

static void verdict(const char *word, const char *fmt, va_list ap)
{
	char reason[1000], line[1100];

	vsnprintf(reason, sizeof(reason), fmt, ap);
	for (char *p = reason; *p; p++)
		if (*p == '\n')
			*p = ' ';
	snprintf(line, sizeof(line), "%s %s\n", word, reason);
	tell(line);
}

void target_fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	verdict("fail", fmt, ap);
	va_end(ap);
	_exit(1);
}

void target_skip(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	verdict("skip", fmt, ap);
	va_end(ap);
	_exit(77);
}

const char *target_path(const char *name)
{
	char *path;

	if (asprintf(&path, "%s/%s", self.dir, name) < 0)
		target_fail("no memory");
	return path;
}

pthread_t target_thread(void *(*fn)(void *), void *arg)
{
	pthread_t thread;
	int r = pthread_create(&thread, NULL, fn, arg);

	target_check(r == 0, "%s", strerror(r));
	return thread;
}

void target_until_asleep(pid_t tid)
{
	char path[64], stat[512], *p;
	int asleep = 0;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	for (int i = 0; i < 2000 && asleep < 5; i++) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t n = read(fd, stat, sizeof(stat) - 1);

		close(fd);
		target_check(n > 0, "%s: %m", path);
		stat[n] = 0;
		p = strrchr(stat, ')');
		asleep = p && (p[2] == 'S' || p[2] == 'D') ? asleep + 1 : 0;
		target_sleep_ms(2);
	}
	target_check(asleep == 5, "thread %d does not block: %s", tid, stat);
}

int64_t target_now(clockid_t clock)
{
	struct timespec ts;

	if (clock_gettime(clock, &ts))
		target_fail("clock_gettime(%d): %m", clock);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

void target_sleep_ms(int ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * TARGET_MS };

	nanosleep(&ts, &ts);
}

uint64_t target_random(void)
{
	uint64_t x;

	if (getrandom(&x, sizeof(x), 0) != sizeof(x))
		_exit(98);
	return x;
}

static uint8_t pattern(uint64_t seed, size_t i)
{
	return mix(mix(seed) + i / 8) >> i % 8 * 8;
}

void target_fill(void *p, size_t n, uint64_t seed)
{
	for (size_t i = 0; i < n; i++)
		((uint8_t *)p)[i] = pattern(seed, i);
}

bool target_filled(const void *p, size_t n, uint64_t seed)
{
	for (size_t i = 0; i < n; i++)
		if (((const uint8_t *)p)[i] != pattern(seed, i))
			return false;
	return true;
}

static int slurp(const char *path, char *text, size_t size)
{
	size_t n = 0;
	ssize_t r;
	int pieces = 0, fd = open(path, O_RDONLY | O_CLOEXEC);

	target_check(fd >= 0, "%s: %m", path);
	for (; n < size - 1 && (r = read(fd, text + n, size - 1 - n)) > 0; pieces++)
		n += r;
	close(fd);
	text[n] = 0;
	return pieces;
}

const char *target_slurp(const char *path)
{
	static char text[2][256 << 10];

	/* In several pieces: a restart may come between two of them, so read it until it is the same twice. */
	if (slurp(path, text[0], sizeof(text[0])) > 1)
		for (int i = 1; i < 20; i++) {
			slurp(path, text[i % 2], sizeof(text[0]));
			if (strcmp(text[0], text[1]) == 0)
				break;
		}
	return text[0];
}

const char *target_field(const char *text, const char *name)
{
	static char value[1024];
	size_t n = strlen(name);

	for (const char *p = text; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL)
		if (strncmp(p, name, n) == 0 && p[n] == ':') {
			p += n + 1;
			p += strspn(p, " \t");
			snprintf(value, sizeof(value), "%.*s", (int)strcspn(p, "\n"), p);
			return value;
		}
	target_fail("no field %s", name);
}

static void smaps_entry(const void *addr, char *entry, size_t size)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	unsigned long lo, hi;
	char line[1024];
	bool in = false;

	target_check(f, "/proc/self/smaps: %m");
	entry[0] = 0;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx ", &lo, &hi) == 2 && strchr("0123456789abcdef", line[0])) {
			if (in)
				break;
			in = (unsigned long)addr >= lo && (unsigned long)addr < hi;
		}
		if (in && strlen(entry) + strlen(line) < size)
			strcat(entry, line);
	}
	fclose(f);
}

const char *target_smaps(const void *addr)
{
	static char entry[2][4096];

	smaps_entry(addr, entry[0], sizeof(entry[0]));
	/* Read in several pieces, and a restart may come between two of them: what is the same twice is whole. */
	for (int i = 1; i < 20; i++) {
		smaps_entry(addr, entry[i % 2], sizeof(entry[0]));
		if (entry[0][0] && strcmp(entry[0], entry[1]) == 0)
			break;
	}
	return entry[0];
}
