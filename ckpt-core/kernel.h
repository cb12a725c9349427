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

/* PAGEMAP_SCAN of /proc/PID/pagemap, linux/fs.h (6.7). */
struct pagemap_region {
	uint64_t start, end, categories;
};
struct pagemap_scan {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
#define PAGEMAP_SCAN_IOCTL       _IOWR('f', 16, struct pagemap_scan)
#define PAGEMAP_SCAN_WRITTEN     (1ull << 1)
#define PAGEMAP_SCAN_PRESENT     (1ull << 3)
#define PAGEMAP_SCAN_SWAPPED     (1ull << 4)
#define PAGEMAP_SCAN_WP_MATCHING (1ull << 0) /* protects what is found */
#define PAGEMAP_SCAN_CHECK_ASYNC (1ull << 1) /* -EPERM where no userfaultfd with WP_ASYNC watches */

/* A feature of userfaultfd, linux/userfaultfd.h (6.7). */
#ifndef UFFD_FEATURE_WP_ASYNC
#define UFFD_FEATURE_WP_ASYNC (1 << 15)
#endif

#endif
