// SPDX-License-Identifier: LGPL-2.1-or-later
/* Names given to anonymous memory with PR_SET_VMA_ANON_NAME show in /proc/self/maps as before. */
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "target.h"

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#define PR_SET_VMA_ANON_NAME 0
#endif

int main(int argc, char **argv)
{
	char *p;

	target_init(argc, argv);
	p = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	target_check(p != MAP_FAILED, "%m");
	if (prctl(PR_SET_VMA, PR_SET_VMA_ANON_NAME, p, 16384, "named by the test"))
		target_skip("this kernel has no names for anonymous memory (CONFIG_ANON_VMA_NAME)");
	strcpy(p, "contents");
	target_ready();
	while (target_turn())
		target_check(strstr(target_smaps(p), "[anon:named by the test]"), "%s", target_smaps(p));
	target_check(!strstr(target_smaps(p + 16384), "[anon:"), "%s", target_smaps(p + 16384));
	target_check(strcmp(p, "contents") == 0, "contents");
	target_done();
}
