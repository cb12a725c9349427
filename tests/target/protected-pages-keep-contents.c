// SPDX-License-Identifier: LGPL-2.1-or-later
/* Pages with contents are set to no access, read only, write only, and executable; contents and protection are kept, and each
 * access that was forbidden still faults. */
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "target.h"

#define SIZE 65536

static sigjmp_buf jump;
static volatile int faults;
static char *none, *ro, *wo, *exec, *reserved;

static bool is_exec(const char *p)
{
	return p >= exec && p < exec + SIZE;
}

static void on_fault(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)context;
	/* Memory that can only be executed has a protection key, where there are some. */
	target_check(info->si_code == SEGV_ACCERR || (info->si_code == SEGV_PKUERR && is_exec(info->si_addr)), "code %d at %p", info->si_code,
	             info->si_addr);
	faults++;
	siglongjmp(jump, 1);
}

static void expect_fault(char *p, bool write)
{
	int before = faults;

	if (sigsetjmp(jump, 1) == 0) {
		if (write)
			*(volatile char *)p = 0;
		else
			(void)*(volatile char *)p;
	}
	target_check(faults == before + 1, "%s at %p is allowed", write ? "writing" : "reading", p);
}

int main(int argc, char **argv)
{
	static const uint8_t code[] = { 0x8d, 0x47, 0x07, 0xc3 }; /* lea 7(%rdi),%eax; ret */
	struct sigaction sa = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
	int (*add_seven)(int), key;

	target_init(argc, argv);
	sigaction(SIGSEGV, &sa, NULL);
	none = mmap(NULL, 4 * SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ro = none + SIZE;
	wo = none + 2 * SIZE;
	exec = none + 3 * SIZE;
	for (int i = 0; i < 4; i++)
		target_fill(none + i * SIZE, SIZE, 40 + i);
	memcpy(exec, code, sizeof(code));
	add_seven = (int (*)(int))(uintptr_t)exec;
	target_check(!mprotect(none, SIZE, PROT_NONE) && !mprotect(ro, SIZE, PROT_READ) && !mprotect(wo, SIZE, PROT_WRITE) &&
	                     !mprotect(exec, SIZE, PROT_EXEC),
	             "%m");
	reserved = mmap(NULL, SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if ((key = pkey_alloc(0, 0)) >= 0)
		pkey_free(key);
	target_ready();
	for (int n = 0; target_turn(); n++) {
		expect_fault(none + 5000, false);
		expect_fault(ro + 5000, true);
		expect_fault(exec + 5000, true);
		if (key >= 0)
			expect_fault(exec + 5000, false);
		expect_fault(reserved, true);
		target_check(target_filled(ro, SIZE, 41), "read-only contents");
		*(volatile char *)(wo + 9000) = n;
		target_check(add_seven(n) == n + 7, "code in the executable page");
	}
	mprotect(none, 4 * SIZE, PROT_READ);
	target_check(target_filled(none, SIZE, 40), "contents without access");
	target_check(target_filled(wo, 9000, 42) && memcmp(exec, code, sizeof(code)) == 0, "contents");
	target_done();
}
