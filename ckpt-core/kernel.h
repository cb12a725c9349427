/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Structures and numbers of the kernel's interface that the C library's headers lack, or have under clashing names. */
#ifndef STASIS_KERNEL_H
#define STASIS_KERNEL_H

#include <stdint.h>

/* struct ptrace_rseq_configuration, linux/ptrace.h (5.13). */
#ifndef PTRACE_GET_RSEQ_CONFIGURATION
#define PTRACE_GET_RSEQ_CONFIGURATION 0x420f
#endif
struct rseq_configuration {
	uint64_t pointer;
	uint32_t size, signature, flags, pad;
};

/* struct rseq_cs, linux/rseq.h. */
struct rseq_section {
	uint32_t version, flags;
	uint64_t start_ip, post_commit_offset, abort_ip;
};

/* Where struct rseq holds the pointer to its rseq_cs. */
#define RSEQ_CS_OFFSET 8

/* struct sched_attr as sched_setattr(2) has it; 48 bytes without the utilisation clamps. */
struct sched_attributes {
	uint32_t size, policy;
	uint64_t flags; /* bit 0: reset on fork */
	int32_t nice;
	uint32_t priority;
	uint64_t runtime, deadline, period;
	uint32_t util_min, util_max;
};

#endif
