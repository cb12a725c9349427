// SPDX-License-Identifier: LGPL-2.1-or-later
/* The way home of an interrupted thread: a signal frame from which rt_sigreturn restores all of it without a controller.
 * Layout: struct rt_sigframe in arch/x86/include/asm/sigframe.h, checks in arch/x86/kernel/fpu/signal.c. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "base/cleanup.h"
#include "inject/batch.h"
#include "inject/resume.h"

#define XSTATE_MAGIC1 0x46505853u
#define XSTATE_MAGIC2 0x46505845u

/* struct _fpx_sw_bytes at offset 464 of the FXSAVE area. */
struct fpx_sw_bytes {
	uint32_t magic1, extended_size;
	uint64_t xfeatures;
	uint32_t xstate_size, padding[7];
};

static void frame_context(const struct tracee *t, const struct user_regs_struct *r, uint64_t fpstate, ucontext_t *uc)
{
	greg_t *g = uc->uc_mcontext.gregs;

	uc->uc_flags = 1 /* FP_XSTATE */ | 2 /* SIGCONTEXT_SS */ | 4 /* STRICT_RESTORE_SS */;
	uc->uc_stack.ss_flags = 0x1234; /* refused by do_sigaltstack, so that the thread's own altstack stays */
	g[REG_R8] = (greg_t)r->r8;
	g[REG_R9] = (greg_t)r->r9;
	g[REG_R10] = (greg_t)r->r10;
	g[REG_R11] = (greg_t)r->r11;
	g[REG_R12] = (greg_t)r->r12;
	g[REG_R13] = (greg_t)r->r13;
	g[REG_R14] = (greg_t)r->r14;
	g[REG_R15] = (greg_t)r->r15;
	g[REG_RDI] = (greg_t)r->rdi;
	g[REG_RSI] = (greg_t)r->rsi;
	g[REG_RBP] = (greg_t)r->rbp;
	g[REG_RBX] = (greg_t)r->rbx;
	g[REG_RDX] = (greg_t)r->rdx;
	g[REG_RAX] = (greg_t)r->rax;
	g[REG_RCX] = (greg_t)r->rcx;
	g[REG_RSP] = (greg_t)r->rsp;
	g[REG_RIP] = (greg_t)r->rip;
	g[REG_EFL] = (greg_t)r->eflags;
	g[REG_CSGSFS] = (greg_t)(r->cs | r->gs << 16 | r->fs << 32 | r->ss << 48);
	uc->uc_mcontext.fpregs = (void *)fpstate;
	memcpy(&uc->uc_sigmask, &t->sigmask, sizeof(t->sigmask));
}

int home_frame_build(const struct tracee *t, uint64_t area, uint8_t *copy, size_t size, uint64_t *ret_sp, size_t *ret_used)
{
	AUTO_FREE void *xstate = NULL;
	struct user_regs_struct regs = t->regs;
	size_t xsize, uc_size = offsetof(ucontext_t, uc_sigmask) + sizeof(t->sigmask);
	int err = tracee_get_xstate(t->tid, &xstate, &xsize);

	if (err)
		return err;
	/* From the end: FPU state (64-aligned) with its closing magic, below it the context. */
	uint64_t end = area + size;
	uint64_t fp = (end - xsize - 4) & ~63ul;
	uint64_t uc_addr = (fp - uc_size) & ~15ul;
	if (size < end - uc_addr)
		return -ENOSPC;
	memset(copy + (uc_addr - area), 0, end - uc_addr);
	memcpy(copy + (fp - area), xstate, xsize);
	struct fpx_sw_bytes sw = { .magic1 = XSTATE_MAGIC1, .extended_size = (uint32_t)xsize + 4, .xstate_size = (uint32_t)xsize };
	memcpy(&sw.xfeatures, (uint8_t *)xstate + 464, sizeof(sw.xfeatures)); /* the kernel's XCR0 lies there in ptrace's copy */
	memcpy(copy + (fp - area) + 464, &sw, sizeof(sw));
	uint32_t magic2 = XSTATE_MAGIC2;
	memcpy(copy + (fp - area) + xsize, &magic2, sizeof(magic2));

	resume_regs(&regs, false, false, NULL, 0);
	frame_context(t, &regs, fp, (ucontext_t *)(copy + (uc_addr - area)));
	*ret_sp = uc_addr;
	*ret_used = end - uc_addr;
	return 0;
}
