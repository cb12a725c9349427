// SPDX-License-Identifier: LGPL-2.1-or-later
/* Two threads read the clocks without pause, through the vdso and by system call, while the process is away for three seconds.
 * The monotonic and boot-time clocks never go back and never jump; the real-time clock is the host's. */
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "target.h"

#define JUMP_MS 2000

static const clockid_t clocks[] = { CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_MONOTONIC_COARSE, CLOCK_BOOTTIME };
static volatile bool stop;

static int64_t by_system_call(clockid_t clock)
{
	struct timespec ts;

	syscall(SYS_clock_gettime, clock, &ts);
	return ts.tv_sec * 1000000000L + ts.tv_nsec;
}

static void *reader(void *arg)
{
	int64_t last[4], now, kernel, step;
	unsigned long n = 0;

	(void)arg;
	for (int i = 0; i < 4; i++)
		last[i] = target_now(clocks[i]);
	for (; !stop; n++)
		for (int i = 0; i < 4; i++) {
			now = target_now(clocks[i]);
			step = now - last[i];
			target_check(step >= 0, "clock %d goes back by %ld ns", clocks[i], -step);
			target_check(step < JUMP_MS * TARGET_MS, "clock %d jumps by %ld ms", clocks[i], step / TARGET_MS);
			last[i] = now;
			if (n % 100)
				continue;
			kernel = by_system_call(clocks[i]);
			step = kernel - now;
			target_check(step >= 0 && step < JUMP_MS * TARGET_MS, "clock %d: vdso and kernel differ by %ld ns",
			             clocks[i], step);
			last[i] = kernel;
		}
	return NULL;
}

int main(int argc, char **argv)
{
	int64_t last = 0, now, other;
	struct timeval tv;
	pthread_t threads[2];

	target_init(argc, argv);
	target_option("off=3000");
	for (int i = 0; i < 2; i++)
		threads[i] = target_thread(reader, NULL);
	target_ready();
	while (target_turn()) {
		gettimeofday(&tv, NULL);
		now = tv.tv_sec * 1000000L + tv.tv_usec;
		target_check(now >= last, "the time of day goes back by %ld us", last - now);
		last = now;
		other = by_system_call(CLOCK_REALTIME) / 1000;
		target_check(other >= now && other - now < JUMP_MS * 1000, "time of day: vdso and kernel differ by %ld us",
		             other - now);
	}
	stop = true;
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	target_done();
}
