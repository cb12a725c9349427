// SPDX-License-Identifier: LGPL-2.1-or-later
/* Each thread notes when it was late; the times at which all were late are looked for at the end. */
#include "still.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#define NAP_US 500
#define LATE_US 500 /* for longer than that */
#define CPUS 256
#define GAPS 100000

struct gap {
	uint64_t from, to;
};

static struct beat {
	pthread_t thread;
	int cpu;
	struct gap *gaps;
	size_t n;
} beats[CPUS];
static unsigned n_beats;
static atomic_bool ends;

uint64_t still_now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000;
}

static void *beat_thread(void *arg)
{
	const struct timespec nap = { .tv_nsec = NAP_US * 1000 };
	struct beat *b = arg;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(b->cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
	sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){ .sched_priority = 1 });
	for (uint64_t last = still_now_us(), now; !ends; last = now) {
		nanosleep(&nap, NULL);
		now = still_now_us();
		if (now - last > NAP_US + LATE_US && b->n < GAPS)
			b->gaps[b->n++] = (struct gap){ last + NAP_US, now };
	}
	return NULL;
}

int still_begin(void)
{
	cpu_set_t set;
	int err = sched_getaffinity(0, sizeof(set), &set);

	for (int cpu = 0; cpu < CPU_SETSIZE && !err; cpu++) {
		if (!CPU_ISSET(cpu, &set))
			continue;
		if (n_beats == CPUS) {
			err = -1;
			break;
		}
		struct beat *b = &beats[n_beats];
		*b = (struct beat){ .cpu = cpu, .gaps = calloc(GAPS, sizeof(struct gap)) };
		err = !b->gaps || pthread_create(&b->thread, NULL, beat_thread, b) ? -1 : 0;
		n_beats += !err;
	}
	if (err)
		still_end();
	return err;
}

void still_end(void)
{
	ends = true;
	for (unsigned i = 0; i < n_beats; i++)
		pthread_join(beats[i].thread, NULL);
}

/* Of the time in which the first `i` threads were late, all the others were as well. */
static uint64_t all_late(unsigned i, uint64_t from, uint64_t to)
{
	uint64_t sum = 0;

	if (i == n_beats)
		return to - from;
	for (size_t k = 0; k < beats[i].n; k++) {
		const struct gap *g = &beats[i].gaps[k];
		const uint64_t a = g->from > from ? g->from : from, b = g->to < to ? g->to : to;
		if (a < b)
			sum += all_late(i + 1, a, b);
	}
	return sum;
}

uint64_t still_us(uint64_t from, uint64_t to)
{
	return n_beats && from < to ? all_late(0, from, to) : 0;
}
