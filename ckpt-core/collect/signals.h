/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Signals that wait to be delivered. */
#ifndef STASIS_COLLECT_SIGNALS_H
#define STASIS_COLLECT_SIGNALS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/report.h"
#include "records.h"

/* The queue of a stopped thread, or with `shared` that of its whole process, as an array of siginfo_t in order; nothing is taken
 * out of it (PTRACE_PEEKSIGINFO). */
int collect_signals(struct reporter *rep, pid_t tid, bool shared, struct img_bytes *ret);

/* The first deliverable signal with a handler among two queues decides how an interrupted call ends: true if there is one,
 * with `*ret_restart` = its SA_RESTART. */
bool signals_handler_due(const struct img_bytes *thread_queue, const struct img_bytes *process_queue, uint64_t mask,
			 const struct img_bytes *sigactions, bool *ret_restart);

#endif
