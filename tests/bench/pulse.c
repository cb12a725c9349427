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

#define BLOCK (1u << 20)
#define PAGE 4096u
#define NAP_NS 100000
#define STEP_US 50 /* of the guest, see there */
#define BUCKETS 64 /* of the histogram: four to each power of two */

static const uint64_t key = 0x736973617473u ^ 0x5555555555555555u;

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000;
}

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

/* How long it was silent at most, when `us` went by while it counted `n` times, once in a step: the watcher itself may have been kept waiting. */
static uint64_t silence(uint64_t us, uint64_t n)
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

int main(int argc, char **argv)
{
	pid_t pid = argc == 2 ? atoi(argv[1]) : 0;
	struct pollfd in = { .fd = 0, .events = POLLIN };
	uint64_t counts[BUCKETS] = { 0 }, n = 0, longest = 0, count = 0, last;
	uint64_t at = pid > 0 ? find(pid) : 0;
	struct timespec nap = { .tv_nsec = NAP_NS };

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
	puts("watching");
	fflush(stdout);
	last = now_us();
	while (poll(&in, 1, 0) == 0) {
		uint64_t is, now;
		if (read_at(pid, at, &is, sizeof(is)))
			break; /* it has ended */
		now = now_us();
		if (is != count) {
			const uint64_t silent = silence(now - last, is - count);
			longest = silent > longest ? silent : longest;
			counts[bucket_of(silent)]++;
			n++;
			count = is;
			last = now;
		}
		nanosleep(&nap, NULL);
	}
	uint64_t end = now_us() - last; /* a silence that has not ended counts as well */
	printf("{\"looks\":%" PRIu64 ",\"median\":%" PRIu64 ",\"p99\":%" PRIu64 ",\"p99.9\":%" PRIu64 ",\"longest\":%" PRIu64
	       "}\n",
	       n, quantile(counts, n, 0.5), quantile(counts, n, 0.99), quantile(counts, n, 0.999),
	       end > longest ? end : longest);
	return 0;
}
