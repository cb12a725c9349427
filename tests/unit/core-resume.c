// SPDX-License-Identifier: LGPL-2.1-or-later
/* What becomes of interrupted system calls: the rules of the kernel, one by one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

#include "inject/resume.h"

#define RIP 0x401000ul

static struct user_regs_struct in_call(long nr, long result)
{
	return (struct user_regs_struct){ .orig_rax = (unsigned long)nr, .rax = (unsigned long)result, .rip = RIP };
}

static void assert_reissued(const struct user_regs_struct *regs, long nr)
{
	assert_int_equal(regs->rax, nr);
	assert_int_equal(regs->rip, RIP - 2);
	assert_int_equal((long)regs->orig_rax, -1);
}

static void assert_returns(const struct user_regs_struct *regs, long result)
{
	assert_int_equal((long)regs->rax, result);
	assert_int_equal(regs->rip, RIP);
	assert_int_equal((long)regs->orig_rax, -1);
}

static void finished_call_keeps_its_result(void **state)
{
	struct user_regs_struct regs = in_call(SYS_read, 42);

	(void)state;
	resume_regs(&regs, false, false, NULL, 0);
	assert_returns(&regs, 42);
	regs = in_call(SYS_read, -EAGAIN);
	resume_regs(&regs, false, false, NULL, 0);
	assert_returns(&regs, -EAGAIN);
}

static void user_code_is_left_alone(void **state)
{
	struct user_regs_struct regs = { .orig_rax = (unsigned long)-1, .rax = (unsigned long)-512, .rip = RIP };

	(void)state;
	resume_regs(&regs, true, false, NULL, 0);
	assert_returns(&regs, -512);
}

static void restartable_calls_are_issued_again(void **state)
{
	static const long codes[] = { -512, -513, -514 };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct user_regs_struct regs = in_call(SYS_ppoll, codes[i]);
		resume_regs(&regs, false, false, NULL, 0);
		assert_reissued(&regs, SYS_ppoll);
	}
}

static void handler_interrupts_as_the_kernel_would(void **state)
{
	struct user_regs_struct regs = in_call(SYS_read, -512);

	(void)state;
	resume_regs(&regs, true, false, NULL, 0);
	assert_returns(&regs, -EINTR);
	regs = in_call(SYS_read, -512);
	resume_regs(&regs, true, true, NULL, 0);
	assert_reissued(&regs, SYS_read);
	regs = in_call(SYS_pause, -514);
	resume_regs(&regs, true, true, NULL, 0);
	assert_returns(&regs, -EINTR);
	regs = in_call(SYS_read, -513);
	resume_regs(&regs, true, false, NULL, 0);
	assert_reissued(&regs, SYS_read);
}

static void sleeps_go_on_with_what_remains(void **state)
{
	struct user_regs_struct regs = in_call(SYS_nanosleep, -516);

	(void)state;
	regs.rdi = 0x1000;
	regs.rsi = 0x2000;
	resume_regs(&regs, false, false, NULL, 0);
	assert_reissued(&regs, SYS_nanosleep);
	assert_int_equal(regs.rdi, 0x2000);

	regs = in_call(SYS_clock_nanosleep, -516);
	regs.rdx = 0x1000;
	regs.r10 = 0x2000;
	resume_regs(&regs, false, false, NULL, 0);
	assert_reissued(&regs, SYS_clock_nanosleep);
	assert_int_equal(regs.rdx, 0x2000);

	regs = in_call(SYS_nanosleep, -516);
	regs.rdi = 0x1000;
	resume_regs(&regs, false, false, NULL, 0);
	assert_int_equal(regs.rdi, 0x1000);
}

static void restarted_call_is_found_in_the_text(void **state)
{
	const uint8_t poll_text[] = { 0x90, 0x90, 0xb8, 0x07, 0x00, 0x00, 0x00, 0x0f, 0x05 };
	const uint8_t other_text[] = { 0x90, 0x90, 0xb8, 0x01, 0x00, 0x00, 0x00, 0x0f, 0x05 };
	struct user_regs_struct regs = in_call(SYS_restart_syscall, -516);

	(void)state;
	resume_regs(&regs, false, false, poll_text, sizeof(poll_text));
	assert_reissued(&regs, SYS_poll);
	regs = in_call(SYS_restart_syscall, -516);
	resume_regs(&regs, false, false, other_text, sizeof(other_text));
	assert_returns(&regs, -EINTR);
	regs = in_call(SYS_restart_syscall, -516);
	resume_regs(&regs, false, false, other_text, 3);
	assert_returns(&regs, -EINTR);
}

static void only_harmless_eintr_is_hidden(void **state)
{
	struct user_regs_struct regs = in_call(SYS_epoll_wait, -EINTR);

	(void)state;
	assert_true(resume_shows_eintr(&regs));
	resume_regs(&regs, false, false, NULL, 0);
	assert_reissued(&regs, SYS_epoll_wait);
	regs = in_call(SYS_epoll_wait, -EINTR);
	resume_regs(&regs, true, false, NULL, 0);
	assert_returns(&regs, -EINTR);
	regs = in_call(SYS_ioctl, -EINTR);
	assert_false(resume_shows_eintr(&regs));
	resume_regs(&regs, false, false, NULL, 0);
	assert_returns(&regs, -EINTR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finished_call_keeps_its_result),
		cmocka_unit_test(user_code_is_left_alone),
		cmocka_unit_test(restartable_calls_are_issued_again),
		cmocka_unit_test(handler_interrupts_as_the_kernel_would),
		cmocka_unit_test(sleeps_go_on_with_what_remains),
		cmocka_unit_test(restarted_call_is_found_in_the_text),
		cmocka_unit_test(only_harmless_eintr_is_hidden),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
