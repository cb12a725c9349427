// SPDX-License-Identifier: LGPL-2.1-or-later
/* How long a guest falls silent: watches the counter of tests/guest/pulse.c in the memory of the emulator that runs the guest,
 * and says how long the gaps between two counts were, by the host's clock. Works while the emulator is stopped, and needs
 * nothing of it. usage: pulse PID                       (until standard input ends; then one line of JSON: microseconds) pulse
 * --small-pages COMMAND...  (runs it without transparent huge pages) */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "still.h"

#define BLOCK (1u << 20)
#define PAGE 4096u
#define NAP_NS 100000
#define STEP_US 50 /* of the guest, see there */
#define BUCKETS 64 /* of the histogram: four to each power of two */

static const uint64_t key = 0x736973617473u ^ 0x5555555555555555u;

static int read_at(pid_t pid, uint64_t at, void *data, size_t size)
{
	struct iovec local = { data, size }, remote = { (void *)at, size };

	return process_vm_readv(pid, &local, 1, &remote, 1, 0) == (ssize_t)size ? 0 : -1;
}

/* The address of the counter, 0 when there is none. */
static uint64_t find(pid_t pid)
{
	static uint64_t block[BLOCK / 8];
	char path[40], line[512];
	uint64_t start, end;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	FILE *f = fopen(path, "re");
	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " rw", &start, &end) != 2 || end - start < 64u << 20)
			continue;
		for (uint64_t at = start; at < end; at += BLOCK) {
			uint64_t size = end - at < BLOCK ? end - at : BLOCK;
			if (read_at(pid, at, block, size))
				continue;
			for (uint64_t i = 0; i < size / 8; i += PAGE / 8)
				if (block[i + 1] == key && block[i + 2] == ~key && block[i] == key * 3) {
					fclose(f);
					return at + (i + 3) * 8;
				}
		}
	}
	fclose(f);
	return 0;
}

#define LONG_US 1000
#define SILENCES 100000

/* The long ones: it is not known before the end what of them was the machine's. */
static struct silence {
	uint64_t from, to, us;
} silences[SILENCES];
static size_t n_silences;

/* How long it was silent at most, when `us` went by while it counted `n` times, once in a step: the watcher itself may have been kept waiting. */
static uint64_t silence_us(uint64_t us, uint64_t n)
{
	return us > (n - 1) * STEP_US ? us - (n - 1) * STEP_US : 0;
}

static unsigned bucket_of(uint64_t us)
{
	unsigned log = us < 4 ? 2 : 63u - (unsigned)__builtin_clzll(us);
	unsigned b = us < 4 ? 0 : (log - 2) * 4 + (unsigned)(us >> (log - 2) & 3);

	return b < BUCKETS ? b : BUCKETS - 1;
}

static uint64_t bucket_end(unsigned b)
{
	return (uint64_t)(4 + b % 4 + 1) << (b / 4);
}

static uint64_t quantile(const uint64_t *counts, uint64_t n, double q)
{
	uint64_t sum = 0;

	for (unsigned b = 0; b < BUCKETS; b++)
		if ((double)(sum += counts[b]) >= q * (double)n)
			return bucket_end(b);
	return bucket_end(BUCKETS - 1);
}

struct sums {
	uint64_t counts[BUCKETS], n, longest, seen; /* `seen`: with what the machine stood still */
};

static void sums_add(struct sums *s, uint64_t us)
{
	s->longest = us > s->longest ? us : s->longest;
	s->counts[bucket_of(us)]++;
	s->n++;
}

static void silence_note(struct sums *s, uint64_t from, uint64_t to, uint64_t us)
{
	s->seen = us > s->seen ? us : s->seen;
	if (us < LONG_US || n_silences == SILENCES)
		sums_add(s, us);
	else
		silences[n_silences++] = (struct silence){ from, to, us };
}

/* Until standard input ends. */
static void watch(pid_t pid, uint64_t at, uint64_t count, struct sums *s)
{
	const struct timespec nap = { .tv_nsec = NAP_NS };
	struct pollfd in = { .fd = 0, .events = POLLIN };
	uint64_t last = still_now_us();

	while (poll(&in, 1, 0) == 0) {
		uint64_t is, now;
		if (read_at(pid, at, &is, sizeof(is)))
			break; /* it has ended */
		now = still_now_us();
		if (is != count) {
			silence_note(s, last, now, silence_us(now - last, is - count));
			count = is;
			last = now;
		}
		nanosleep(&nap, NULL);
	}
	const uint64_t end = still_now_us(); /* a silence that has not ended counts as well */
	silence_note(s, last, end, end - last);
}

int main(int argc, char **argv)
{
	pid_t pid = argc == 2 ? atoi(argv[1]) : 0;
	uint64_t at = pid > 0 ? find(pid) : 0, count = 0, still = 0;
	struct sums s = { 0 };

	if (argc > 2 && !strcmp(argv[1], "--small-pages")) {
		prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
		execvp(argv[2], argv + 2);
		perror(argv[2]);
		return 127;
	}
	if (!at || read_at(pid, at, &count, sizeof(count))) {
		fprintf(stderr, "pulse: process %d holds no guest with a pulse\n", pid);
		return 1;
	}
	if (still_begin()) {
		fprintf(stderr, "pulse: there is no thread for each processor\n");
		return 1;
	}
	puts("watching");
	fflush(stdout);
	watch(pid, at, count, &s);
	still_end();
	for (size_t i = 0; i < n_silences; i++) {
		const uint64_t us = still_us(silences[i].from, silences[i].to);
		sums_add(&s, silences[i].us > us ? silences[i].us - us : 0);
		still += us;
	}
	printf("{\"looks\":%" PRIu64 ",\"median\":%" PRIu64 ",\"p99\":%" PRIu64 ",\"p99.9\":%" PRIu64 ",\"longest\":%" PRIu64
	       ",\"seen\":%" PRIu64 ",\"still\":%" PRIu64 "}\n",
	       s.n, quantile(s.counts, s.n, 0.5), quantile(s.counts, s.n, 0.99), quantile(s.counts, s.n, 0.999), s.longest, s.seen, still);
	return 0;
}
