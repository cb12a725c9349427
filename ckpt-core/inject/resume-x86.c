// SPDX-License-Identifier: LGPL-2.1-or-later
/* Interrupted system calls. The kernel's own rules are in arch_do_signal_or_restart and handle_signal
 * (arch/x86/kernel/signal.c); the codes -512..-516 in include/linux/errno.h. */
#include "resume.h"

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

#define ERESTARTSYS 512
#define ERESTARTNOINTR 513
#define ERESTARTNOHAND 514
#define ERESTART_RESTARTBLOCK 516

void resume_reissue(struct user_regs_struct *regs)
{
	regs->rax = regs->orig_rax;
	regs->rip -= 2;
	regs->orig_rax = (unsigned long)-1;
}

/* Calls that return EINTR after a mere stop and that nobody minds being issued again (man 7 signal, "Interruption of system
 * calls and library functions by stop signals"). */
bool resume_shows_eintr(const struct user_regs_struct *regs)
{
	if ((long)regs->orig_rax < 0 || (long)regs->rax != -EINTR)
		return false;
	switch (regs->orig_rax) {
	case SYS_epoll_wait:
	case SYS_epoll_pwait:
#ifdef SYS_epoll_pwait2
	case SYS_epoll_pwait2:
#endif
	case SYS_rt_sigtimedwait:
	case SYS_semop:
	case SYS_semtimedop:
	case SYS_io_getevents:
		return true;
	}
	return false;
}

/* A call that has been restarted once already runs as restart_syscall; its number is still in the program's text, in the
 * "mov $nr, %eax" some bytes before the syscall instruction, where it is one of the few that use a restart block. */
static long restarted_nr(const uint8_t *code, size_t n)
{
	for (size_t i = n >= 7 ? n - 7 : 0; n >= 7; i--) {
		uint32_t nr;
		memcpy(&nr, code + i + 1, sizeof(nr));
		if (code[i] == 0xb8 && (nr == SYS_poll || nr == SYS_nanosleep || nr == SYS_clock_nanosleep || nr == SYS_futex))
			return nr;
		if (i == 0)
			break;
	}
	return -1;
}

static void resume_restart_block(struct user_regs_struct *regs, const uint8_t *code, size_t n_code)
{
	long nr = (long)regs->orig_rax;

	if (nr == SYS_restart_syscall)
		nr = restarted_nr(code, n_code);
	switch (nr) {
	case SYS_nanosleep: /* the kernel has written the remainder to rem */
		if (regs->rsi)
			regs->rdi = regs->rsi;
		break;
	case SYS_clock_nanosleep:
		if (regs->r10)
			regs->rdx = regs->r10;
		break;
	case -1:
		regs->rax = (unsigned long)-EINTR;
		return;
	}
	regs->orig_rax = (unsigned long)nr;
	resume_reissue(regs);
}

void resume_regs(struct user_regs_struct *regs, bool handler, bool sa_restart, const uint8_t *code, size_t n_code)
{
	if ((long)regs->orig_rax >= 0) {
		switch (-(long)regs->rax) {
		case ERESTARTSYS:
			if (handler && !sa_restart)
				regs->rax = (unsigned long)-EINTR;
			else
				resume_reissue(regs);
			break;
		case ERESTARTNOINTR:
			resume_reissue(regs);
			break;
		case ERESTARTNOHAND:
			if (handler)
				regs->rax = (unsigned long)-EINTR;
			else
				resume_reissue(regs);
			break;
		case ERESTART_RESTARTBLOCK:
			if (handler)
				regs->rax = (unsigned long)-EINTR;
			else
				resume_restart_block(regs, code, n_code);
			break;
		case EINTR:
			if (!handler && resume_shows_eintr(regs))
				resume_reissue(regs);
			break;
		}
	}
	regs->orig_rax = (unsigned long)-1;
}
