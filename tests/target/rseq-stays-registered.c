// SPDX-License-Identifier: LGPL-2.1-or-later
/* Threads count in per-processor slots inside restartable sequences of the program's own, registered through glibc's area. No
 * count may be lost or doubled: a checkpoint inside a sequence must lead to its abort, and the kernel must go on maintaining
 * the area. */
#include <sched.h>
#include <stddef.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "target.h"

#define THREADS 4

static struct {
	uint64_t count;
	char pad[56];
} slots[1024];
static volatile bool stop;
static unsigned long aborts;

static struct rseq *area(void)
{
	return (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);
}

/* Adds one to this processor's slot; false if the sequence was aborted. The pause loop makes it long, so that it is often
 * caught inside. */
static bool count_once(void)
{
	struct rseq *rs = area();
	uint64_t *slot;
	uint32_t cpu = *(volatile uint32_t *)&rs->cpu_id_start;

	slot = &slots[cpu].count;
	__asm__ goto volatile(
	        ".pushsection __rseq_cs, \"aw\"\n"
	        ".balign 32\n"
	        "3:\n\t.long 0, 0\n\t.quad 1f, 2f - 1f, 4f\n"
	        ".popsection\n\t"
	        "leaq 3b(%%rip), %%rax\n\t"
	        "movq %%rax, %[cs]\n"
	        "1:\n\t"
	        "cmpl %[cpu], %[current]\n\t"
	        "jnz 4f\n\t"
	        "movl $2000, %%eax\n"
	        "5:\n\tdecl %%eax\n\tjnz 5b\n\t"
	        "movq %[slot], %%rax\n\t"
	        "addq $1, (%%rax)\n"
	        "2:\n"
	        ".pushsection __rseq_failure, \"ax\"\n"
	        ".byte 0x0f, 0xb9, 0x3d\n\t.long %c[sig]\n"
	        "4:\n\tjmp %l[aborted]\n"
	        ".popsection"
	        :
	        : [cs] "m"(rs->rseq_cs), [current] "m"(rs->cpu_id), [cpu] "r"(cpu), [slot] "r"(slot), [sig] "i"(RSEQ_SIG)
	        : "rax", "memory", "cc"
	        : aborted);
	return true;
aborted:
	return false;
}

static void *counter(void *arg)
{
	uint64_t mine = 0;

	while (!stop) {
		uint32_t cpu, kernel;

		if (count_once())
			mine++;
		else
			__atomic_add_fetch(&aborts, 1, __ATOMIC_RELAXED);
		if (mine % 64)
			continue;
		do { /* the same before and after, or it moved between */
			cpu = *(volatile uint32_t *)&area()->cpu_id;
			syscall(SYS_getcpu, &kernel, NULL, NULL);
		} while (cpu != *(volatile uint32_t *)&area()->cpu_id);
		target_check(cpu == kernel, "the area says processor %d, the kernel %u", (int)cpu, kernel);
	}
	*(uint64_t *)arg = mine;
	return NULL;
}

int main(int argc, char **argv)
{
	uint64_t counts[THREADS], sum = 0, total = 0;
	pthread_t threads[THREADS];

	target_init(argc, argv);
	if (!__rseq_size || area()->cpu_id > 1024)
		target_skip("the C library did not register rseq here (or there are too many processors)");
	for (int i = 0; i < THREADS; i++)
		threads[i] = target_thread(counter, &counts[i]);
	target_ready();
	while (target_turn())
		target_check((int)area()->cpu_id >= 0, "area says processor %d", (int)area()->cpu_id);
	stop = true;
	for (int i = 0; i < THREADS; i++) {
		pthread_join(threads[i], NULL);
		sum += counts[i];
	}
	for (int i = 0; i < 1024; i++)
		total += slots[i].count;
	target_check(sum == total, "%lu sequences completed, %lu counted (%lu aborts)", sum, total, aborts);
	target_check(aborts > 0, "no sequence was ever aborted: the kernel does not know the area any more");
	/* A second registration must be refused: the kernel knows that there is one. */
	target_check(syscall(SYS_rseq, area(), 32, 0, RSEQ_SIG) == -1, "rseq could be registered once more");
	target_done();
}
