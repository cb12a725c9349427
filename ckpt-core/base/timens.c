// SPDX-License-Identifier: LGPL-2.1-or-later
/* Clocks across time namespaces. */
#include "timens.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "io.h"

#define NS 1000000000ll

static int64_t offset_of(const char *text, const char *clock)
{
	const char *at = strstr(text, clock);
	long long sec, nsec;

	return at && sscanf(at + strlen(clock), "%lld %lld", &sec, &nsec) == 2 ? sec * NS + nsec : 0;
}

/* From lines "monotonic SECONDS NANOSECONDS" and "boottime ...". */
static struct timens_clocks offsets_of(pid_t pid)
{
	AUTO_FREE char *text = NULL;

	if (io_read_filef(&text, NULL, "/proc/%d/timens_offsets", pid))
		return (struct timens_clocks){ 0 };
	return (struct timens_clocks){ offset_of(text, "monotonic"), offset_of(text, "boottime") };
}

static int64_t read_clock(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * NS + ts.tv_nsec;
}

struct timens_clocks timens_host_now(void)
{
	struct timens_clocks own = offsets_of(getpid());

	return (struct timens_clocks){ read_clock(CLOCK_MONOTONIC) - own.monotonic_ns, read_clock(CLOCK_BOOTTIME) - own.boottime_ns };
}

struct timens_clocks timens_now(pid_t pid)
{
	struct timens_clocks its = offsets_of(pid), host = timens_host_now();

	return (struct timens_clocks){ host.monotonic_ns + its.monotonic_ns, host.boottime_ns + its.boottime_ns };
}

int64_t timens_offset_ns(pid_t pid)
{
	return offsets_of(pid).monotonic_ns;
}

uint64_t timens_stopwatch_us(void)
{
	return (uint64_t)(read_clock(CLOCK_MONOTONIC) / 1000);
}
