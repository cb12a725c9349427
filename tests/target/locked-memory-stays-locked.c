// SPDX-License-Identifier: LGPL-2.1-or-later
/* Memory locked by mlock(), in whole and in part, stays locked, by its flag and by the amount that the kernel counts. */
#include <string.h>
#include <sys/mman.h>

#include "target.h"

int main(int argc, char **argv)
{
	char locked[64], *a, *b;

	target_init(argc, argv);
	a = mmap(NULL, 256 << 10, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	b = mmap(NULL, 256 << 10, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	target_check(a != MAP_FAILED && b != MAP_FAILED, "%m");
	if (mlock(a, 128 << 10) || mlock2(b, 256 << 10, MLOCK_ONFAULT))
		target_skip("memory cannot be locked here (RLIMIT_MEMLOCK)");
	strcpy(a, "locked");
	b[8192] = 1;
	strcpy(locked, target_field(target_slurp("/proc/self/status"), "VmLck"));
	target_check(strcmp(locked, "0 kB") != 0, "nothing is locked");
	target_ready();
	while (target_turn()) {
		const char *now = target_field(target_slurp("/proc/self/status"), "VmLck");

		target_check(strcmp(locked, now) == 0, "locked were %s, are %s", locked, now);
	}
	target_check(strstr(target_field(target_smaps(a), "VmFlags"), "lo"), "the first mapping is not locked any more");
	target_check(!strstr(target_field(target_smaps(a + (128 << 10)), "VmFlags"), "lo"), "too much is locked");
	target_check(strstr(target_field(target_smaps(b), "VmFlags"), "lo"), "the second mapping is not locked any more");
	target_check(strcmp(a, "locked") == 0 && b[8192] == 1, "contents");
	target_check(munlock(a, 128 << 10) == 0 && munlock(b, 256 << 10) == 0, "%m");
	target_done();
}
