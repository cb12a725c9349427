/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The first instructions of both CPUs: from 32 bits (PVH boot protocol) and from real mode (start-up IPI) to 64 bits with
 * paging, a stack each, and a call of C. Nothing here needs an interrupt, an exception or SSE. */

#define STACK_SIZE 0x4000
#define TRAMPOLINE 0x8000

	.section .note.pvh, "a", @note
	.balign 4
	.long 4, 8, 18 /* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.quad boot_start

	.section .text.boot, "ax"
	.code32
	.globl boot_start
boot_start:
	cli
	cld
	movl %ebx, boot_info
	/* Page tables: two first levels that differ in nothing, one second level, 4 GiB in pages of 2 MiB. */
	movl $boot_pdpt + 7, boot_pml4
	movl $boot_pdpt + 7, boot_pml4 + 4096
	movl $boot_pd + 7, %eax
	movl $boot_pdpt, %edi
	movl $4, %ecx
1:	movl %eax, (%edi)
	addl $4096, %eax
	addl $8, %edi
	decl %ecx
	jnz 1b
	movl $0x87, %eax /* present, writable, user, large */
	movl $boot_pd, %edi
	movl $2048, %ecx
2:	movl %eax, (%edi)
	addl $0x200000, %eax
	addl $8, %edi
	decl %ecx
	jnz 2b
	movl $boot_stacks + STACK_SIZE, %esp
	lgdt boot_gdt_pointer
	ljmp $0x18, $boot_long

/* 32 bits, paging off, our GDT, ESP set. */
boot_long:
	movl $0x10, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	movl %eax, %fs
	movl %eax, %gs
	movl $0x620, %eax /* PAE, OSFXSR, OSXMMEXCPT */
	movl %eax, %cr4
	movl $boot_pml4, %eax
	movl %eax, %cr3
	movl $0xc0000080, %ecx
	rdmsr
	orl $0x900, %eax /* LME, NXE */
	wrmsr
	movl %cr0, %eax
	andl $0x9fffffff, %eax /* caches on: off after INIT */
	orl $0x80000033, %eax  /* PG, NE, ET, MP, PE */
	andl $~0xc, %eax       /* no TS, no EM */
	movl %eax, %cr0
	ljmp $0x08, $boot_64

	.code64
boot_64:
	xorl %eax, %eax
	movl %esp, %ecx
	subl $boot_stacks + STACK_SIZE, %ecx
	shrl $14, %ecx /* which stack: which CPU */
	movl %esp, %esp
	movl %ecx, %edi
	call bare_main
1:	cli
	hlt
	jmp 1b

/* Copied to TRAMPOLINE. */
	.code16
	.globl boot_trampoline, boot_trampoline_end
boot_trampoline:
	cli
	cld
	movw %cs, %ax
	movw %ax, %ds
	lgdtl boot_trampoline_gdt - boot_trampoline
	movl %cr0, %eax
	orl $1, %eax
	movl %eax, %cr0
	ljmpl $0x18, $boot_second
	.balign 4
boot_trampoline_gdt:
	.word boot_gdt_end - boot_gdt - 1
	.long boot_gdt
boot_trampoline_end:

	.code32
boot_second:
	movl $0x10, %eax
	movl %eax, %ss
	movl $boot_stacks + 2 * STACK_SIZE, %esp
	jmp boot_long

	.data
	.balign 8
	.globl boot_gdt, boot_gdt_end, boot_info
boot_gdt:
	.quad 0
	.quad 0x00af9b000000ffff /* 0x08: code, 64 bits */
	.quad 0x00cf93000000ffff /* 0x10: data */
	.quad 0x00cf9b000000ffff /* 0x18: code, 32 bits */
	.quad 0, 0, 0, 0         /* 0x20, 0x30: TSS of each CPU */
	.quad 0, 0               /* 0x40: LDT */
	/* 0x50 to 0x68: data segments with different bases, limits and grains */
	.quad 0x00cf93000000ffff
	.quad 0x12409334567801ff
	.quad 0x00c2930000001fff
	.quad 0x7fcff3abcdef3333
boot_gdt_end:
boot_gdt_pointer:
	.word boot_gdt_end - boot_gdt - 1
	.long boot_gdt, 0
boot_info:
	.long 0

	.bss
	.balign 4096
	.globl boot_pml4, boot_pdpt, boot_stacks
boot_pml4:
	.skip 2 * 4096
boot_pdpt:
	.skip 4096
boot_pd:
	.skip 4 * 4096
	.balign STACK_SIZE
boot_stacks:
	.skip 2 * STACK_SIZE
	.section .note.GNU-stack, "", @progbits
