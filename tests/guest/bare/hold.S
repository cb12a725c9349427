/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Holds all general registers and the flags at given values for a while, and then tells what they are; and the ways into
 * interrupt handlers. The delay loop has only instructions that change no flag. */

#define FRAME_LOOPS 0
#define FRAME_FLAGS 8
#define FRAME_IN 16    /* rax rbx rdx rsi rdi rbp r8 .. r15 */
#define FRAME_RCX 128
#define FRAME_FLAGS_OUT 136
#define FRAME_OUT 144

	.text
	.globl hold_registers
hold_registers: /* (struct hold *) */
	pushq %rbx
	pushq %rbp
	pushq %r12
	pushq %r13
	pushq %r14
	pushq %r15
	pushq %rdi
	pushfq
	pushq FRAME_FLAGS(%rdi)
	movq FRAME_LOOPS(%rdi), %rcx
	movq FRAME_IN + 0(%rdi), %rax
	movq FRAME_IN + 8(%rdi), %rbx
	movq FRAME_IN + 16(%rdi), %rdx
	movq FRAME_IN + 24(%rdi), %rsi
	movq FRAME_IN + 40(%rdi), %rbp
	movq FRAME_IN + 48(%rdi), %r8
	movq FRAME_IN + 56(%rdi), %r9
	movq FRAME_IN + 64(%rdi), %r10
	movq FRAME_IN + 72(%rdi), %r11
	movq FRAME_IN + 80(%rdi), %r12
	movq FRAME_IN + 88(%rdi), %r13
	movq FRAME_IN + 96(%rdi), %r14
	movq FRAME_IN + 104(%rdi), %r15
	movq FRAME_IN + 32(%rdi), %rdi
	popfq
1:	leaq -1(%rcx), %rcx
	jrcxz 2f
	jmp 1b
2:	pushfq
	pushq %rdi
	movq 24(%rsp), %rdi
	movq %rax, FRAME_OUT + 0(%rdi)
	movq %rbx, FRAME_OUT + 8(%rdi)
	movq %rdx, FRAME_OUT + 16(%rdi)
	movq %rsi, FRAME_OUT + 24(%rdi)
	movq %rbp, FRAME_OUT + 40(%rdi)
	movq %r8, FRAME_OUT + 48(%rdi)
	movq %r9, FRAME_OUT + 56(%rdi)
	movq %r10, FRAME_OUT + 64(%rdi)
	movq %r11, FRAME_OUT + 72(%rdi)
	movq %r12, FRAME_OUT + 80(%rdi)
	movq %r13, FRAME_OUT + 88(%rdi)
	movq %r14, FRAME_OUT + 96(%rdi)
	movq %r15, FRAME_OUT + 104(%rdi)
	movq %rcx, FRAME_RCX(%rdi)
	popq %rax
	movq %rax, FRAME_OUT + 32(%rdi)
	popq %rax
	movq %rax, FRAME_FLAGS_OUT(%rdi)
	popfq
	popq %rdi
	popq %r15
	popq %r14
	popq %r13
	popq %r12
	popq %rbp
	popq %rbx
	ret

/* 256 ways in, 16 bytes apart: the vector and, where the processor pushes none, a zero error code. */
	.balign 16
	.globl hold_vectors
hold_vectors:
	vector = 0
	.rept 256
	.balign 16
	.if (vector == 8) || (vector >= 10 && vector <= 14) || (vector == 17) || (vector == 21) || (vector == 29) || (vector == 30)
	.else
	pushq $0
	.endif
	pushq $vector
	jmp hold_trap
	vector = vector + 1
	.endr

hold_trap:
	pushq %rax
	pushq %rcx
	pushq %rdx
	pushq %rsi
	pushq %rdi
	pushq %r8
	pushq %r9
	pushq %r10
	pushq %r11
	pushq %rbx
	cld
	movq %rsp, %rbx
	andq $-16, %rsp
	movq 80(%rbx), %rdi /* vector */
	movq 96(%rbx), %rsi /* rip */
	movq 88(%rbx), %rdx /* error code */
	call trap_handle
	movq %rbx, %rsp
	popq %rbx
	popq %r11
	popq %r10
	popq %r9
	popq %r8
	popq %rdi
	popq %rsi
	popq %rdx
	popq %rcx
	popq %rax
	addq $16, %rsp
	iretq
	.section .note.GNU-stack, "", @progbits
