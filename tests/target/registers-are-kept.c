// SPDX-License-Identifier: LGPL-2.1-or-later
/* Threads spin in machine code with known values in all registers: general, flags, x87, MXCSR and the whole vector registers;
 * one has its vector and x87 state in the processor's initial state instead. No system call and no memory write happens
 * meanwhile, and every bit must be the same afterwards. */
#include <string.h>

#include "target.h"

struct registers {
	uint8_t vector[16][32];
	uint32_t mxcsr, fcw;
	double x87[8];
	uint64_t general[14]; /* rax rbx rdx rbp rsi r8-r15 rdi */
	uint64_t flags;
};

volatile uint64_t registers_spin = 1; /* named from the assembly below */

/* registers_hold(in, out, load): loads all from *in (or, with load 0, initial state for x87 and vectors), spins while
 * registers_spin, stores into *out. */
void registers_hold(const struct registers *in, struct registers *out, int load);

__asm__(".text\n.globl registers_hold\n.type registers_hold, @function\nregisters_hold:\n"
        "push %rbx\npush %rbp\npush %r12\npush %r13\npush %r14\npush %r15\npush %rsi\n"
        "fninit\nvzeroall\n"
        "test %edx, %edx\njz 1f\n"
        ".irp i, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\nvmovdqu \\i*32(%rdi), %ymm\\i\n.endr\n"
        "ldmxcsr 512(%rdi)\nfldcw 516(%rdi)\n"
        ".irp i, 0,1,2,3,4,5,6,7\nfldl 520+\\i*8(%rdi)\n.endr\n"
        "1:\npush 696(%rdi)\n"
        "mov 584(%rdi), %rax\nmov 592(%rdi), %rbx\nmov 600(%rdi), %rdx\nmov 608(%rdi), %rbp\nmov 616(%rdi), %rsi\n"
        ".irp i, 8,9,10,11,12,13,14,15\nmov 624+(\\i-8)*8(%rdi), %r\\i\n.endr\n"
        "mov 688(%rdi), %rdi\n"
        "popfq\n"
        "2:\nmov registers_spin(%rip), %rcx\njrcxz 3f\njmp 2b\n" /* neither mov, jrcxz nor jmp touches the flags */
        "3:\npushfq\ncld\nxchg %rdi, 8(%rsp)\n"                  /* out; rdi's value is where out was */
        ".irp i, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\nvmovdqu %ymm\\i, \\i*32(%rdi)\n.endr\n"
        "stmxcsr 512(%rdi)\nmovl $0, 516(%rdi)\nfnstcw 516(%rdi)\n"
        ".irp i, 7,6,5,4,3,2,1,0\nfstpl 520+\\i*8(%rdi)\n.endr\nfninit\n"
        "movl $0x1f80, -4(%rsp)\nldmxcsr -4(%rsp)\n"
        "mov %rax, 584(%rdi)\nmov %rbx, 592(%rdi)\nmov %rdx, 600(%rdi)\nmov %rbp, 608(%rdi)\nmov %rsi, 616(%rdi)\n"
        ".irp i, 8,9,10,11,12,13,14,15\nmov %r\\i, 624+(\\i-8)*8(%rdi)\n.endr\n"
        "pop %rax\nmov %rax, 696(%rdi)\n"
        "pop %rax\nmov %rax, 688(%rdi)\n"
        "vzeroupper\n"
        "pop %r15\npop %r14\npop %r13\npop %r12\npop %rbp\npop %rbx\nret\n"
        ".size registers_hold, .-registers_hold\n");

static volatile int begun;

static void *hold(void *arg)
{
	int load = (intptr_t)arg;
	struct registers in, out;

	target_fill(&in, sizeof(in), target_random());
	in.mxcsr = 0x1f80 | 0x6000 | 0x21; /* round to zero, two sticky flags */
	in.fcw = 0x0b7f;                   /* round up */
	for (int i = 0; i < 8; i++)
		in.x87[i] = i * 1.5 + 0.25;
	in.flags =
	        0x202 | 0x001 | 0x004 | 0x040 | 0x080 | 0x400 | 0x800; /* IF; carry, parity, zero, sign, direction, overflow */
	memset(&out, 0x55, sizeof(out));
	__atomic_add_fetch(&begun, 1, __ATOMIC_SEQ_CST);
	registers_hold(&in, &out, load);
	target_check(memcmp(in.general, out.general, sizeof(in.general)) == 0, "general registers");
	target_check((in.flags & 0xcd5) == (out.flags & 0xcd5), "flags were %lx, are %lx", in.flags, out.flags);
	if (!load) {
		for (size_t i = 0; i < sizeof(out.vector); i++)
			target_check(out.vector[i / 32][i % 32] == 0, "vector register %zu is not in its initial state",
			             i / 32);
		target_check(out.mxcsr == 0x1f80 && out.fcw == 0x37f, "mxcsr %x, x87 control word %x", out.mxcsr, out.fcw);
		return NULL;
	}
	for (int i = 0; i < 16; i++) {
		target_check(memcmp(in.vector[i], out.vector[i], 16) == 0, "low half of vector register %d", i);
		target_check(memcmp(in.vector[i] + 16, out.vector[i] + 16, 16) == 0, "high half of vector register %d", i);
	}
	target_check(in.mxcsr == out.mxcsr, "mxcsr was %x, is %x", in.mxcsr, out.mxcsr);
	target_check(in.fcw == out.fcw, "x87 control word was %x, is %x", in.fcw, out.fcw);
	for (int i = 0; i < 8; i++)
		target_check(out.x87[i] == in.x87[i], "x87 register %d was %f, is %f", i, in.x87[i], out.x87[i]);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[2];

	target_init(argc, argv);
	if (!__builtin_cpu_supports("avx"))
		target_skip("this processor has no AVX");
	for (intptr_t i = 0; i < 2; i++)
		threads[i] = target_thread(hold, (void *)i);
	while (begun < 2)
		target_sleep_ms(1);
	target_sleep_ms(20);
	target_ready();
	while (target_turn())
		;
	registers_spin = 0;
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	target_done();
}
