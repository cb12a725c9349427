// SPDX-License-Identifier: LGPL-2.1-or-later
/* For all 64 signals the action as the kernel knows it (handler, flags, restorer, mask) stays the same; the program sets many
 * different ones, ignored and default ones among them. SIGTRAP is of interest, as stopping a thread carelessly changes it. */
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "target.h"

struct kernel_action {
	void (*handler)(int);
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};

static volatile sig_atomic_t caught;

static void on_signal(int sig)
{
	caught = sig;
}

static void on_info(int sig, siginfo_t *info, void *context)
{
	(void)info, (void)context;
	caught = -sig;
}

static void get_all(struct kernel_action *actions)
{
	memset(actions, 0, 65 * sizeof(*actions));
	for (int sig = 1; sig <= 64; sig++)
		target_check(syscall(SYS_rt_sigaction, sig, NULL, &actions[sig], 8) == 0, "signal %d: %m", sig);
}

int main(int argc, char **argv)
{
	static const int flags[] = { 0,         SA_RESTART, SA_NODEFER, SA_RESETHAND, SA_ONSTACK, SA_NOCLDSTOP | SA_NOCLDWAIT,
		                     SA_SIGINFO };
	static struct kernel_action before[65], now[65];

	target_init(argc, argv);
	for (int sig = 1; sig <= SIGRTMAX; sig++) {
		struct sigaction sa = { .sa_flags = flags[sig % 7] };

		if (sig == SIGKILL || sig == SIGSTOP || sig == 32 || sig == 33 || sig % 5 == 4)
			continue;
		if (sig % 5 == 3)
			sa.sa_handler = SIG_IGN;
		else if (sa.sa_flags & SA_SIGINFO)
			sa.sa_sigaction = on_info;
		else
			sa.sa_handler = on_signal;
		for (int i = 1; i < sig; i += 1 + sig % 4)
			sigaddset(&sa.sa_mask, i);
		target_check(sigaction(sig, &sa, NULL) == 0, "signal %d: %m", sig);
	}
	get_all(before);
	target_check(before[SIGTRAP].handler == on_signal, "the program's own set-up");
	target_ready();
	while (target_turn()) {
		get_all(now);
		for (int sig = 1; sig <= 64; sig++)
			target_check(memcmp(&before[sig], &now[sig], sizeof(now[sig])) == 0,
			             "signal %d: handler %p flags %lx restorer %p mask %lx, were %p %lx %p %lx", sig,
			             now[sig].handler, now[sig].flags, now[sig].restorer, now[sig].mask, before[sig].handler,
			             before[sig].flags, before[sig].restorer, before[sig].mask);
	}
	raise(SIGTRAP);
	target_check(caught == SIGTRAP, "caught %d", caught);
	raise(SIGRTMAX - 8); /* 56: flags 0, the plain handler */
	target_check(caught == 56, "caught %d", caught);
	target_done();
}
