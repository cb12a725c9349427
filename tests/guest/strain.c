/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A second program inside the test guest, for guests on real or emulated KVM. It keeps busy what the processor and the kernel's
 * clocks are made of (floating point registers, clocks, timers) and reads the kernel's log, and says what is not as it should
 * be. */

/*
 * Lines on standard output, each by one write so that they stay whole:
 *   FPU ok <cpu> <rounds>          all rounds so far had the result of the first one, and the rounding mode of this thread
 *   CLOCKS ok <cpu> <readings>     no clock was behind any reading made before, on whichever CPU
 *   TIMERS ok <expirations> <alarms> <sleeps>   a timer fd expired as often as the clock says, no alarm or sleep was early
 *   KLOG ok <clocksource>          the kernel's log is being read
 *   NOTE klog <line>               a complaint of the kernel about the machine it found when it booted
 *   BAD <what>                     anything that is not as it should be; never printed by a healthy guest
 * What is compared is exact: nothing here depends on how fast the guest is.
 */
#include <errno.h>
#include <fcntl.h>
#include <fenv.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define STEPS 200000u
#define TIMER_NS 40000000
#define ALARM_US 70000
#define SLEEP_NS 30000000

typedef double four_doubles __attribute__((vector_size(32), aligned(8)));

struct worker {
	unsigned cpu;
	pthread_t fpu, clock;
};

static void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *fmt, ...)
{
	char line[256];
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(line, sizeof(line) - 1, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	if ((size_t)n > sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n++] = '\n';
	for (int done = 0; done < n;) {
		ssize_t w = write(STDOUT_FILENO, line + done, (size_t)(n - done));
		if (w < 0 && errno != EINTR)
			return;
		done += w > 0 ? (int)w : 0;
	}
}

static void pin(unsigned cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		say("BAD affinity cpu %u: %s", cpu, strerror(errno));
}

static void sleep_ns(long ns)
{
	struct timespec ts = { .tv_nsec = ns };

	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, &ts) == EINTR)
		;
}

static int64_t now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* ---- floating point: the logistic map, in which one wrong bit soon is another number; its state lives in registers only ----
 */

struct orbit {
	uint64_t x87, sse, avx[4];
};

static void orbit_scalar(unsigned cpu, struct orbit *o)
{
	long double a = 0.1234567890123456789L + cpu;
	double b = 0.2345678901234567 + cpu;
	union {
		long double value;
		uint64_t word;
	} end = { 0 };

	a /= 8;
	b /= 8;
	for (unsigned i = 0; i < STEPS; i++) {
		a = 3.9990234375L * a * (1 - a);
		b = 3.9990234375 * b * (1 - b);
	}
	end.value = a;
	o->x87 = end.word;
	memcpy(&o->sse, &b, sizeof(b));
}

__attribute__((target("avx"))) static void orbit_vector(unsigned cpu, struct orbit *o)
{
	four_doubles v = { 0.1, 0.2, 0.3, 0.4 }, one = { 1, 1, 1, 1 };

	v = v / (one * (cpu + 1));
	for (unsigned i = 0; i < STEPS; i++)
		v = 3.9990234375 * v * (one - v);
	memcpy(o->avx, &v, sizeof(v));
}

static void *fpu_thread(void *arg)
{
	const struct worker *w = arg;
	int mode = w->cpu % 2 ? FE_UPWARD : FE_TOWARDZERO; /* not what a fresh processor has */
	struct orbit first = { 0 };

	pin(w->cpu);
	setpriority(PRIO_PROCESS, 0, 10);
	fesetround(mode);
	for (uint64_t n = 0;; n++) {
		struct orbit o = { 0 };

		orbit_scalar(w->cpu, &o);
		if (__builtin_cpu_supports("avx"))
			orbit_vector(w->cpu, &o);
		if (n == 0)
			first = o;
		if (memcmp(&o, &first, sizeof(o)) != 0)
			say("BAD fpu cpu %u round %" PRIu64 ": x87 %016" PRIx64 " sse %016" PRIx64 " avx %016" PRIx64
			    " instead of %016" PRIx64 " %016" PRIx64 " %016" PRIx64,
			    w->cpu, n, o.x87, o.sse, o.avx[0], first.x87, first.sse, first.avx[0]);
		if (fegetround() != mode)
			say("BAD fpu cpu %u rounds by mode %#x instead of %#x", w->cpu, fegetround(), mode);
		if (n % 32 == 31)
			say("FPU ok %u %" PRIu64, w->cpu, n + 1);
		if (n % 8 == 7)
			sleep_ns(10000000); /* the CPU is idle at times too */
	}
	return NULL;
}

/* ---- clocks ---- */

static const struct {
	clockid_t id;
	const char *name;
} clocks[] = { { CLOCK_MONOTONIC, "monotonic" }, { CLOCK_BOOTTIME, "boottime" }, { CLOCK_MONOTONIC_RAW, "raw" } };
#define N_CLOCKS (sizeof(clocks) / sizeof(*clocks))

static void *clock_thread(void *arg)
{
	static _Atomic int64_t latest[N_CLOCKS]; /* that any CPU has read */
	const struct worker *w = arg;

	pin(w->cpu);
	for (uint64_t n = 1;; n++) {
		for (unsigned i = 0; i < N_CLOCKS; i++) {
			int64_t before = atomic_load(&latest[i]), now = now_ns(clocks[i].id);

			if (now < before)
				say("BAD clock %s cpu %u went back by %" PRId64 " ns from %" PRId64, clocks[i].name, w->cpu,
				    before - now, before);
			while (before < now && !atomic_compare_exchange_weak(&latest[i], &before, now))
				;
		}
		if (n % 4096 == 0)
			say("CLOCKS ok %u %" PRIu64, w->cpu, n);
		if (n % 64 == 0)
			sleep_ns(5000000);
	}
	return NULL;
}

/* ---- timers ---- */

static _Atomic uint64_t n_alarms, n_sleeps;

static void *alarm_thread(void *arg)
{
	struct itimerval every = { .it_interval.tv_usec = ALARM_US, .it_value.tv_usec = ALARM_US };
	sigset_t set;
	int64_t begin = now_ns(CLOCK_MONOTONIC);

	(void)arg;
	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	if (setitimer(ITIMER_REAL, &every, NULL) < 0)
		say("BAD timer: setitimer: %s", strerror(errno));
	for (;;) {
		if (sigwaitinfo(&set, NULL) != SIGALRM)
			continue;
		uint64_t n = atomic_fetch_add(&n_alarms, 1) + 1;
		int64_t due = begin + (int64_t)n * ALARM_US * 1000, now = now_ns(CLOCK_MONOTONIC);
		if (now < due)
			say("BAD timer: alarm %" PRIu64 " came %" PRId64 " ns early", n, due - now);
	}
	return NULL;
}

static void *sleep_thread(void *arg)
{
	struct timespec ts = { .tv_nsec = SLEEP_NS };

	(void)arg;
	for (;;) {
		int64_t begin = now_ns(CLOCK_MONOTONIC), end;

		if (nanosleep(&ts, NULL) < 0)
			say("BAD timer: nanosleep: %s", strerror(errno));
		end = now_ns(CLOCK_MONOTONIC);
		if (end - begin < SLEEP_NS)
			say("BAD timer: a sleep of %d ns took %" PRId64, SLEEP_NS, end - begin);
		atomic_fetch_add(&n_sleeps, 1);
	}
	return NULL;
}

/* A periodic timer has expired as often as its period is in the time that passed: no more, no less. */
static void *timerfd_thread(void *arg)
{
	int64_t begin = now_ns(CLOCK_MONOTONIC) + TIMER_NS;
	struct itimerspec every = {
		.it_interval.tv_nsec = TIMER_NS,
		.it_value = { .tv_sec = begin / 1000000000, .tv_nsec = (long)(begin % 1000000000) },
	};
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
	uint64_t total = 0;

	(void)arg;
	if (fd < 0 || timerfd_settime(fd, TFD_TIMER_ABSTIME, &every, NULL) < 0) {
		say("BAD timer: timerfd: %s", strerror(errno));
		return NULL;
	}
	begin -= TIMER_NS;
	for (uint64_t n = 1;; n++) {
		uint64_t got = 0;
		int64_t before = now_ns(CLOCK_MONOTONIC), after;

		if (read(fd, &got, sizeof(got)) != sizeof(got))
			say("BAD timer: timerfd read: %s", strerror(errno));
		after = now_ns(CLOCK_MONOTONIC);
		total += got;
		if ((int64_t)total < (before - begin) / TIMER_NS || (int64_t)total > (after - begin) / TIMER_NS)
			say("BAD timer: %" PRIu64 " expirations where %" PRId64 " to %" PRId64 " were due", total,
			    (before - begin) / TIMER_NS, (after - begin) / TIMER_NS);
		if (n % 50 == 0)
			say("TIMERS ok %" PRIu64 " %" PRIu64 " %" PRIu64, total, atomic_load(&n_alarms),
			    atomic_load(&n_sleeps));
	}
	return NULL;
}

/* ---- the kernel's log ---- */

static bool contains_any(const char *line, const char *const *words)
{
	for (; *words; words++) {
		if (strstr(line, *words))
			return true;
	}
	return false;
}

static void judge(const char *line, bool booting)
{
	static const char *const always[] = { "soft lockup",
		                              "hard LOCKUP",
		                              "self-detected stall",
		                              "detected stalls",
		                              "blocked for more than",
		                              "BUG:",
		                              "kernel BUG",
		                              "Oops",
		                              "general protection",
		                              "Kernel panic",
		                              "I/O error",
		                              "segfault",
		                              NULL };
	static const char *const later[] = { "unstable", "skewed", "WARNING:", "Call Trace", NULL };

	if (contains_any(line, always) || (!booting && contains_any(line, later)))
		say("BAD klog %.200s", line);
	else if (contains_any(line, later))
		say("NOTE klog %.200s", line);
}

static void *klog_thread(void *arg)
{
	char record[8192], name[64] = "?";
	int fd = open("/dev/kmsg", O_RDONLY | O_CLOEXEC);
	FILE *source = fopen("/sys/devices/system/clocksource/clocksource0/current_clocksource", "re");

	uint64_t begin_us = (uint64_t)now_ns(CLOCK_MONOTONIC) / 1000;

	(void)arg;
	if (source && fgets(name, sizeof(name), source))
		name[strcspn(name, "\n")] = 0;
	if (source)
		fclose(source);
	if (fd < 0)
		say("BAD klog: /dev/kmsg: %s", strerror(errno));
	say("KLOG ok %s", name);
	while (fd >= 0) {
		ssize_t n = read(fd, record, sizeof(record) - 1);

		if (n < 0 && errno != EPIPE && errno != EINTR) /* EPIPE: some were overwritten before they were read */
			break;
		if (n <= 0)
			continue;
		record[n] = 0;
		uint64_t us = 0;
		char *text = strchr(record, ';'); /* "level,number,microseconds,flags;text\n dictionary" */

		if (!text)
			continue;
		sscanf(record, "%*u,%*u,%" SCNu64, &us);
		text++;
		text[strcspn(text, "\n")] = 0;
		judge(text, us < begin_us);
	}
	return NULL;
}

int main(void)
{
	unsigned n_cpus = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
	struct worker *workers = calloc(n_cpus, sizeof(*workers));
	void *(*const once[])(void *) = { alarm_thread, sleep_thread, timerfd_thread, klog_thread };
	pthread_t thread;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	if (!workers)
		return 1;
	for (unsigned i = 0; i < n_cpus; i++) {
		workers[i].cpu = i;
		if (pthread_create(&workers[i].fpu, NULL, fpu_thread, &workers[i]) != 0 ||
		    pthread_create(&workers[i].clock, NULL, clock_thread, &workers[i]) != 0)
			return 1;
	}
	for (unsigned i = 0; i < sizeof(once) / sizeof(*once); i++) {
		if (pthread_create(&thread, NULL, once[i], NULL) != 0)
			return 1;
	}
	pthread_join(workers[0].fpu, NULL);
	return 1;
}
