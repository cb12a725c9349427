/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The program inside the test guest. It shows on its console a counter per CPU with a number that lives only in this memory, and
 * keeps verifying what a restart could damage: the clock, a memory area full of known random data, a file on the guest's disk. */

/*
 * Lines on standard output, each by one write so that they stay whole:
 *   TICK <nonce> <cpu> <n> <monotonic ms>   counter n of this CPU
 *   SUM ok <cpu> <round> <sum>              the whole memory area was as it should be
 *   DISK ok <records>                       a record written long ago came back from the disk (O_DIRECT) as it was written
 *   BAD <what>                              anything that is not as it should be; never printed by a healthy guest
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define CHUNK_WORDS 8192u /* 64 KiB: the unit that is rewritten with new data */
#define RECORD_SIZE 4096u
#define RECORD_SLOTS 2048u /* the journal is a ring of 8 MiB */

struct ticker {
	uint64_t nonce;
	unsigned period_ms, fill_mib, churn_mib, nap_ms, n_cpus;
	const char *disk; /* directory on the guest's disk, NULL = none */
};

struct worker {
	const struct ticker *ticker;
	unsigned cpu;
	pthread_t tick, fill;
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

/* splitmix64: a random word that depends on its seed and place alone, so that data can be verified without a copy of it. */
static uint64_t word_at(uint64_t seed, uint64_t place)
{
	uint64_t z = seed + place * 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static void sleep_ms(unsigned ms)
{
	struct timespec ts = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

	while (clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, &ts) == EINTR)
		;
}

static void pin(unsigned cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) < 0)
		say("BAD affinity cpu %u: %s", cpu, strerror(errno));
}

static void *tick_thread(void *arg)
{
	const struct worker *w = arg;
	struct timespec last = {0}, now;

	pin(w->cpu);
	for (uint64_t n = 1;; n++) {
		clock_gettime(CLOCK_MONOTONIC, &now);
		if (now.tv_sec < last.tv_sec || (now.tv_sec == last.tv_sec && now.tv_nsec < last.tv_nsec))
			say("BAD clock cpu %u went back from %lld.%09ld to %lld.%09ld", w->cpu, (long long)last.tv_sec,
			    last.tv_nsec, (long long)now.tv_sec, now.tv_nsec);
		last = now;
		if (sched_getcpu() != (int)w->cpu)
			say("BAD cpu %d instead of %u", sched_getcpu(), w->cpu);
		say("TICK %016" PRIx64 " %u %" PRIu64 " %lld", w->ticker->nonce, w->cpu, n,
		    (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000);
		sleep_ms(w->ticker->period_ms);
	}
	return NULL;
}

static void chunk_fill(uint64_t *chunk, uint64_t seed)
{
	for (unsigned i = 0; i < CHUNK_WORDS; i++)
		chunk[i] = word_at(seed, i);
}

/* Returns the sum of the chunk's words, or says where it is damaged. */
static uint64_t chunk_verify(const uint64_t *chunk, uint64_t seed, unsigned cpu, size_t index)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < CHUNK_WORDS; i++) {
		if (chunk[i] != word_at(seed, i)) {
			say("BAD memory cpu %u chunk %zu word %u is %016" PRIx64 " instead of %016" PRIx64, cpu, index, i,
			    chunk[i], word_at(seed, i));
			return 0;
		}
		sum += chunk[i];
	}
	return sum;
}

/* Fills this CPU's share of the area, then for ever verifies all of it, rewrites a part of it with new data, and naps. */
static void *fill_thread(void *arg)
{
	const struct worker *w = arg;
	const struct ticker *t = w->ticker;
	size_t n = (size_t)t->fill_mib * 16 / t->n_cpus, churn = (size_t)t->churn_mib * 16 / t->n_cpus, next = 0;
	uint64_t *area = mmap(NULL, n * CHUNK_WORDS * 8, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t *seeds = calloc(n, sizeof(*seeds)), made = 0;

	pin(w->cpu);
	if (area == MAP_FAILED || !seeds) {
		say("BAD memory cpu %u: no %zu chunks: %s", w->cpu, n, strerror(errno));
		return NULL;
	}
	for (size_t i = 0; i < n; i++) {
		seeds[i] = word_at(t->nonce ^ w->cpu, made++);
		chunk_fill(area + i * CHUNK_WORDS, seeds[i]);
	}
	say("FILLED %u %zu", w->cpu, n / 16);
	for (uint64_t round = 1;; round++) {
		uint64_t sum = 0;

		for (size_t i = 0; i < n; i++)
			sum += chunk_verify(area + i * CHUNK_WORDS, seeds[i], w->cpu, i);
		say("SUM ok %u %" PRIu64 " %016" PRIx64, w->cpu, round, sum);
		for (size_t i = 0; i < churn; i++, next = (next + 1) % n) {
			seeds[next] = word_at(t->nonce ^ w->cpu, made++);
			chunk_fill(area + next * CHUNK_WORDS, seeds[next]);
		}
		sleep_ms(t->nap_ms);
	}
	return NULL;
}

static void record_fill(uint64_t *record, uint64_t nonce, uint64_t number)
{
	for (unsigned i = 0; i < RECORD_SIZE / 8; i++)
		record[i] = word_at(nonce + number, i);
	record[0] = number;
}

/* Appends records to a journal on the disk, each made durable, and reads old ones back from the disk itself. What memory
 * says was written must be there: this is what tells a disk of another instant than the memory's. */
static void *disk_thread(void *arg)
{
	const struct ticker *t = arg;
	char path[256];
	uint64_t *record = aligned_alloc(RECORD_SIZE, RECORD_SIZE), *expected = aligned_alloc(RECORD_SIZE, RECORD_SIZE);

	snprintf(path, sizeof(path), "%s/journal", t->disk);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	int direct = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (fd < 0 || direct < 0 || !record || !expected) {
		say("BAD disk %s: %s", path, strerror(errno));
		return NULL;
	}
	for (uint64_t n = 0;; n++) {
		record_fill(record, t->nonce, n);
		if (pwrite(fd, record, RECORD_SIZE, (off_t)(n % RECORD_SLOTS * RECORD_SIZE)) != RECORD_SIZE || fsync(fd) < 0)
			say("BAD disk write of record %" PRIu64 ": %s", n, strerror(errno));
		uint64_t oldest = n < RECORD_SLOTS ? 0 : n - RECORD_SLOTS + 1;
		uint64_t probe = n % 2 ? n : oldest + word_at(t->nonce, n) % (n - oldest + 1);
		ssize_t got = pread(direct, record, RECORD_SIZE, (off_t)(probe % RECORD_SLOTS * RECORD_SIZE));
		record_fill(expected, t->nonce, probe);
		if (got != RECORD_SIZE)
			say("BAD disk read of record %" PRIu64 ": %s", probe, got < 0 ? strerror(errno) : "short");
		else if (memcmp(record, expected, RECORD_SIZE) != 0)
			say("BAD disk record %" PRIu64 " of %" PRIu64 " is record %" PRIu64, probe, n + 1, record[0]);
		else if (n % 8 == 7)
			say("DISK ok %" PRIu64, n + 1);
		sleep_ms(t->period_ms * 2);
	}
	return NULL;
}

static unsigned number(const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (*end || end == text || n > 1000000) {
		fprintf(stderr, "ticker: %s is not a number\n", text);
		exit(2);
	}
	return (unsigned)n;
}

int main(int argc, char **argv)
{
	static struct ticker t = {.period_ms = 100, .nap_ms = 200};
	int opt;

	while ((opt = getopt(argc, argv, "p:f:c:n:d:")) != -1) {
		switch (opt) {
		case 'p': t.period_ms = number(optarg); break;
		case 'f': t.fill_mib = number(optarg); break;
		case 'c': t.churn_mib = number(optarg); break;
		case 'n': t.nap_ms = number(optarg); break;
		case 'd': t.disk = optarg; break;
		default:
			fprintf(stderr, "usage: ticker [-p PERIOD_MS] [-f FILL_MIB] [-c CHURN_MIB] [-n NAP_MS] [-d DISK_DIRECTORY]\n");
			return 2;
		}
	}
	if (getrandom(&t.nonce, sizeof(t.nonce), 0) != sizeof(t.nonce)) {
		perror("ticker: getrandom");
		return 1;
	}
	t.n_cpus = (unsigned)sysconf(_SC_NPROCESSORS_ONLN);
	if (t.churn_mib > t.fill_mib)
		t.churn_mib = t.fill_mib;

	struct worker *workers = calloc(t.n_cpus, sizeof(*workers));
	if (!workers)
		return 1;
	for (unsigned i = 0; i < t.n_cpus; i++) {
		workers[i] = (struct worker){.ticker = &t, .cpu = i};
		if (pthread_create(&workers[i].tick, NULL, tick_thread, &workers[i]) != 0 ||
		    (t.fill_mib && pthread_create(&workers[i].fill, NULL, fill_thread, &workers[i]) != 0))
			return 1;
	}
	pthread_t disk;
	if (t.disk && pthread_create(&disk, NULL, disk_thread, &t) != 0)
		return 1;
	pthread_join(workers[0].tick, NULL);
	return 1;
}
