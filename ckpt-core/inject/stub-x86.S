/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The only code of ours that ever runs inside a target: walks an array of system calls, then tells the controller.
 *
 * In:  rbx first call, r12 end of the calls, r13 tgid, r14 tid (both as the target's pid namespace has them),
 *      r15 = the telling signal in bits 0-7, bit 8: this batch is one clone, the number of the last system call ("home")
 *      in the high half,
 *      rbp = the stack pointer for that last call.
 * A call (struct inject_call): 0 number (u32), 4 flags (u32), 8 six arguments, 56 result.
 * The walk ends at the first error (result in -4095..-1) unless flag 1. A task born in a clone batch (result 0) goes straight to
 * exit_group, touching no memory, so that a child whose controller died never runs as a second target.
 * Uses no stack, so that it can run on any thread. Keep it below INJECT_STUB_ROOM bytes. */
	.section .rodata
	.globl inject_stub, inject_stub_told, inject_stub_end
	.hidden inject_stub, inject_stub_told, inject_stub_end
	.balign 16
inject_stub:
	cmp	%r12, %rbx
	jae	2f
	mov	(%rbx), %eax
	mov	8(%rbx), %rdi
	mov	16(%rbx), %rsi
	mov	24(%rbx), %rdx
	mov	32(%rbx), %r10
	mov	40(%rbx), %r8
	mov	48(%rbx), %r9
	syscall
	test	%rax, %rax
	jz	3f
4:	mov	%rax, 56(%rbx)
	cmp	$-4095, %rax
	jb	1f
	testb	$1, 4(%rbx)
	jz	2f
1:	add	$64, %rbx
	jmp	inject_stub
3:	bt	$8, %r15
	jnc	4b
	mov	$231, %eax		/* exit_group */
	xor	%edi, %edi
	syscall
2:	mov	%r13, %rdi
	mov	%r14, %rsi
	movzbl	%r15b, %edx
	mov	$234, %eax		/* tgkill: the controller sees the signal and takes it away */
	syscall
inject_stub_told:
	mov	%r15, %rax
	shr	$32, %rax
	mov	%rbp, %rsp
	xor	%edi, %edi
	syscall				/* home: only ever reached without a controller */
	ud2
inject_stub_end:

	.section .note.GNU-stack, "", @progbits
