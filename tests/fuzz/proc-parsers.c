/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* libFuzzer target for the parsers of /proc texts: the first byte of the input picks the parser, the rest is the text. Whatever
 * a parser hands back must be freed without a fault and must hold what its header promises. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proc/fdinfo.h"
#include "proc/limits.h"
#include "proc/maps.h"
#include "proc/stat.h"
#include "proc/status.h"
#include "proc/timers.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int truth)
{
	if (!truth)
		abort();
}

static void fuzz_maps(const char *text, size_t size)
{
	struct proc_vma *vmas;
	size_t n;

	if (proc_maps_parse(text, size, &vmas, &n))
		return;
	for (size_t i = 0; i < n; i++) {
		require(vmas[i].start < vmas[i].end);
		require(i == 0 || vmas[i - 1].end <= vmas[i].start);
		require(strlen(vmas[i].name) <= strlen(vmas[i].raw));
	}
	proc_maps_free(vmas, n);
}

static void fuzz_fdinfo(const char *text, size_t size)
{
	struct proc_fdinfo info;

	if (proc_fdinfo_parse(text, size, &info))
		return;
	require(info.nspid.n <= PROC_NS_LEVELS);
	vec_each(&info.inotify, watch)
		require(watch->handle_size <= sizeof(watch->handle));
	vec_each(&info.other, kv)
		require(kv->key && kv->value && proc_fdinfo_get(&info, kv->key));
	proc_fdinfo_finish(&info);
}

static void fuzz_status(const char *text, size_t size)
{
	struct proc_status status;

	if (proc_status_parse(text, size, &status))
		return;
	require(status.nspid.n <= PROC_NS_LEVELS && (status.n_groups == 0 || status.groups));
	proc_status_finish(&status);
}

static void fuzz_timers(const char *text, size_t size)
{
	struct proc_timer *timers;
	size_t n;

	if (proc_timers_parse(text, size, &timers, &n))
		return;
	for (size_t i = 1; i < n; i++)
		require(timers[i - 1].id <= timers[i].id);
	free(timers);
}

static void fuzz_stat(const char *text, size_t size)
{
	struct proc_stat stat;

	if (!proc_stat_parse(text, size, &stat))
		require(strlen(stat.comm) < sizeof(stat.comm));
}

static void fuzz_limits(const char *text, size_t size)
{
	struct proc_limits limits;

	(void)!proc_limits_parse(text, size, &limits);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const parsers[])(const char *, size_t) = { fuzz_maps,  fuzz_fdinfo, fuzz_status,
								 fuzz_timers, fuzz_stat,  fuzz_limits };

	if (size > 0)
		parsers[data[0] % (sizeof(parsers) / sizeof(parsers[0]))]((const char *)data + 1, size - 1);
	return 0;
}
