// SPDX-License-Identifier: LGPL-2.1-or-later
/* Guard regions (MADV_GUARD_INSTALL) inside readable and writable memory do not show in /proc/self/maps. They still fault after
 * the restart, the pages beside them are kept, and taking a guard away gives zeros. */
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "target.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE 103
#endif

#define PAGES 64

static char filled[PAGES * 4096];
static sigjmp_buf jump;

static void on_fault(int sig)
{
	(void)sig;
	siglongjmp(jump, 1);
}

static bool faults(char *p)
{
	if (sigsetjmp(jump, 1))
		return true;
	*(volatile char *)p = *(volatile char *)p;
	return false;
}

static bool guarded(int page)
{
	return page == 0 || (page >= 10 && page < 14) || page == PAGES - 1;
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_fault };
	char *p;

	target_init(argc, argv);
	sigaction(SIGSEGV, &sa, NULL);
	p = mmap(NULL, PAGES * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	target_check(p != MAP_FAILED, "%m");
	target_fill(p, PAGES * 4096, 6);
	if (madvise(p, 4096, MADV_GUARD_INSTALL))
		target_skip("this kernel has no guard regions (MADV_GUARD_INSTALL, Linux 6.13)");
	target_check(!madvise(p + 10 * 4096, 4 * 4096, MADV_GUARD_INSTALL) &&
	                     !madvise(p + (PAGES - 1) * 4096, 4096, MADV_GUARD_INSTALL),
	             "%m");
	target_ready();
	while (target_turn())
		for (int i = 0; i < PAGES; i++)
			target_check(faults(p + i * 4096 + 8) == guarded(i), "page %d: guarded %d", i, !guarded(i));
	target_check(madvise(p + 10 * 4096, 4 * 4096, MADV_GUARD_REMOVE) == 0, "%m");
	target_check(p[10 * 4096] == 0 && p[14 * 4096 - 1] == 0, "contents of a page that was guarded");
	target_fill(filled, sizeof(filled), 6);
	for (int i = 1; i < PAGES - 1; i++)
		target_check(guarded(i) || memcmp(filled + i * 4096, p + i * 4096, 4096) == 0, "contents of page %d", i);
	target_done();
}
