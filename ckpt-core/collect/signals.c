// SPDX-License-Identifier: LGPL-2.1-or-later
/* Pending signals of a stopped thread. */
#include "collect/signals.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>

#define BATCH 32

int collect_signals(struct reporter *rep, pid_t tid, bool shared, struct img_bytes *ret)
{
	siginfo_t info[BATCH];
	struct __ptrace_peeksiginfo_args args = { .flags = shared ? PTRACE_PEEKSIGINFO_SHARED : 0, .nr = BATCH };
	struct img_bytes all = { 0 };

	for (;;) {
		long n = ptrace(PTRACE_PEEKSIGINFO, tid, &args, info);
		if (n < 0) {
			int err = -errno;
			free(all.data);
			return report_fail(rep, err, "thread %d: its pending signals cannot be read: %s", tid, strerror(-err));
		}
		if (n == 0)
			break;
		void *more = realloc(all.data, all.size + (size_t)n * sizeof(siginfo_t));
		if (!more) {
			free(all.data);
			return -ENOMEM;
		}
		memcpy((char *)more + all.size, info, (size_t)n * sizeof(siginfo_t));
		all.data = more;
		all.size += (size_t)n * sizeof(siginfo_t);
		args.off += (uint64_t)n;
	}
	*ret = all;
	return 0;
}

/* The lowest deliverable signal with a handler in one queue, 0 if none. */
static int lowest_due(const struct img_bytes *queue, uint64_t mask, const struct kernel_sigaction *actions)
{
	const siginfo_t *info = queue->data;
	int lowest = 0;

	for (size_t i = 0; i < queue->size / sizeof(*info); i++) {
		int sig = info[i].si_signo;
		if (sig < 1 || sig > 64 || mask & 1ul << (sig - 1) || actions[sig - 1].handler <= 1 /* SIG_DFL, SIG_IGN */)
			continue;
		if (!lowest || sig < lowest)
			lowest = sig;
	}
	return lowest;
}

bool signals_handler_due(const struct img_bytes *thread_queue, const struct img_bytes *process_queue, uint64_t mask,
			 const struct img_bytes *sigactions, bool *ret_restart)
{
	const struct kernel_sigaction *actions = sigactions->data;

	if (sigactions->size < 64 * sizeof(*actions))
		return false;
	int sig = lowest_due(thread_queue, mask, actions);
	if (!sig)
		sig = lowest_due(process_queue, mask, actions);
	if (!sig)
		return false;
	*ret_restart = actions[sig - 1].flags & SA_RESTART;
	return true;
}
