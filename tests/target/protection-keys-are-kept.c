// SPDX-License-Identifier: LGPL-2.1-or-later
/* Memory with a protection key keeps the key, the thread keeps its rights register, and the key stays allocated: access faults
 * while the rights forbid it and works when they are given. Keys that are free stay free, and the kernel keeps the one that it took
 * for memory that can only be executed. */
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "target.h"

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
	(void)*(volatile char *)p;
	return false;
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_fault };
	int first, second, key;
	char *p, *code;

	target_init(argc, argv);
	sigaction(SIGSEGV, &sa, NULL);
	first = pkey_alloc(0, 0);
	second = pkey_alloc(0, 0);
	key = pkey_alloc(0, 0);
	if (first < 0 || second < 0 || key < 0)
		target_skip("this processor or kernel has no protection keys");
	pkey_free(first);
	code = mmap(NULL, 4096, PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); /* takes the first */
	pkey_free(second); /* a gap */
	p = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	strcpy(p, "contents");
	target_check(pkey_mprotect(p, 32768, PROT_READ | PROT_WRITE, key) == 0, "%m");
	pkey_set(key, PKEY_DISABLE_ACCESS);
	target_ready();
	while (target_turn()) {
		target_check(pkey_get(key) == PKEY_DISABLE_ACCESS, "rights are %d", pkey_get(key));
		target_check(faults(p) && !faults(p + 32768), "the key does not protect, or protects too much");
		target_check(faults(code), "what can only be executed can be read");
	}
	pkey_set(key, 0);
	target_check(!faults(p) && strcmp(p, "contents") == 0, "contents");
	target_check(pkey_free(key) == 0 && pkey_alloc(0, 0) == second && pkey_alloc(0, 0) == key, "keys allocated: %m");
	target_done();
}
