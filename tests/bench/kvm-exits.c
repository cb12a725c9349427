// SPDX-License-Identifier: LGPL-2.1-or-later
/* What the recorder costs a KVM guest: exits per second of one that does nothing but `out`, with and without `stasis run` by
 * turns. Both belong to one run on one machine, so that what else goes on there meets them alike. */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_ROUNDS 99
#define SKIPPED 77

static const char usage[] = "usage: kvm-exits [--json] [--rounds N] [--ms N] STASIS TEST-VMM BARE-GUEST\n"
                            "  --rounds N   so many times without and with `stasis run` (5)\n"
                            "  --ms N       each so long (1000)\n";

struct bench {
	const char *stasis, *vmm, *guest;
	int rounds, ms;
	bool json;
	double rates[2][MAX_ROUNDS]; /* exits per second: without, with */
};

/* Runs test-vmm, behind `stasis run` or not, and reads its line "EXITS n ns". */
static double measure(const struct bench *b, bool recorded)
{
	char ms[16], line[256] = "", run[] = "run", end[] = "--", cpus[] = "--cpus=1", churn[] = "--churn-ms=0",
	             bench[] = "--bench";
	char *argv[12];
	int pipe_fds[2], n = 0, status;
	unsigned long long exits;
	long long ns;
	pid_t pid;
	FILE *file;

	snprintf(ms, sizeof(ms), "%d", b->ms);
	if (recorded) {
		argv[n++] = (char *)(uintptr_t)b->stasis;
		argv[n++] = run;
		argv[n++] = end;
	}
	argv[n++] = (char *)(uintptr_t)b->vmm;
	argv[n++] = cpus;
	argv[n++] = churn;
	argv[n++] = bench;
	argv[n++] = ms;
	argv[n++] = (char *)(uintptr_t)b->guest;
	argv[n] = NULL;
	if (pipe(pipe_fds) < 0 || (pid = fork()) < 0) {
		fprintf(stderr, "kvm-exits: %s\n", strerror(errno));
		exit(1);
	}
	if (!pid) {
		dup2(pipe_fds[1], STDOUT_FILENO);
		close(pipe_fds[0]);
		close(pipe_fds[1]);
		execv(argv[0], argv);
		_exit(127);
	}
	close(pipe_fds[1]);
	file = fdopen(pipe_fds[0], "r");
	while (file && fgets(line, sizeof(line), file) && strncmp(line, "EXITS", 5) && strncmp(line, "SKIPPED", 7))
		;
	if (file)
		fclose(file);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!strncmp(line, "SKIPPED", 7)) {
		fputs(line, stdout);
		exit(SKIPPED);
	}
	if (sscanf(line, "EXITS %llu %lld", &exits, &ns) != 2 || ns <= 0) {
		fprintf(stderr, "kvm-exits: %s ended with status %#x and without a number\n", argv[0], (unsigned)status);
		exit(1);
	}
	return (double)exits * 1e9 / (double)ns;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(const double *values, int n)
{
	double sorted[MAX_ROUNDS];

	memcpy(sorted, values, (size_t)n * sizeof(*values));
	qsort(sorted, (size_t)n, sizeof(*sorted), compare);
	return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

static void print_rates(const char *name, const double *rates, int n)
{
	printf("\"%s\": [", name);
	for (int i = 0; i < n; i++)
		printf("%s%.0f", i ? ", " : "", rates[i]);
	printf("], ");
}

static void report(const struct bench *b)
{
	double ratios[MAX_ROUNDS], plain = median(b->rates[0], b->rounds), recorded = median(b->rates[1], b->rounds);

	for (int i = 0; i < b->rounds; i++)
		ratios[i] = b->rates[1][i] / b->rates[0][i];
	if (b->json) {
		printf("{\"benchmark\": \"kvm-exits\", \"ms\": %d, ", b->ms);
		print_rates("plain", b->rates[0], b->rounds);
		print_rates("recorded", b->rates[1], b->rounds);
		printf("\"median_plain\": %.0f, \"median_recorded\": %.0f, \"median_ratio\": %.4f}\n", plain, recorded,
		       median(ratios, b->rounds));
		return;
	}
	printf("round   exits/s   with stasis run   ratio\n");
	for (int i = 0; i < b->rounds; i++)
		printf("%5d %9.0f %17.0f %7.4f\n", i + 1, b->rates[0][i], b->rates[1][i], ratios[i]);
	printf("median %8.0f %17.0f %7.4f\n", plain, recorded, median(ratios, b->rounds));
}

static int parse_number(const char *text, int low, int high)
{
	int n = text ? atoi(text) : 0;

	if (n < low || n > high) {
		fprintf(stderr, "kvm-exits: %s: not a number from %d to %d\n", text ? text : "", low, high);
		exit(2);
	}
	return n;
}

int main(int argc, char **argv)
{
	struct bench b = { .rounds = 5, .ms = 1000 };
	int i = 1;

	for (; i < argc && !strncmp(argv[i], "--", 2); i++) {
		if (!strcmp(argv[i], "--json")) {
			b.json = true;
		} else if (!strcmp(argv[i], "--rounds")) {
			b.rounds = parse_number(argv[++i], 1, MAX_ROUNDS);
		} else if (!strcmp(argv[i], "--ms")) {
			b.ms = parse_number(argv[++i], 10, 600000);
		} else {
			break;
		}
	}
	if (argc - i != 3) {
		fputs(usage, stderr);
		return 2;
	}
	b.stasis = argv[i];
	b.vmm = argv[i + 1];
	b.guest = argv[i + 2];
	for (i = 0; i < b.rounds; i++) /* which one is first changes, too */
		for (int k = 0; k < 2; k++)
			b.rates[(i + k) % 2][i] = measure(&b, (i + k) % 2);
	report(&b);
	return 0;
}
