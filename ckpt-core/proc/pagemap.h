/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Entries of /proc/PID/pagemap: one 64-bit number for each page of virtual memory. Source: the kernel's
 * Documentation/admin-guide/mm/pagemap.rst. */
#ifndef STASIS_PROC_PAGEMAP_H
#define STASIS_PROC_PAGEMAP_H

#include <stdbool.h>
#include <stdint.h>

#define PROC_PM_PFN_MASK   ((1ull << 55) - 1) /* zero for readers without CAP_SYS_ADMIN */
#define PROC_PM_SOFT_DIRTY (1ull << 55)
#define PROC_PM_EXCLUSIVE  (1ull << 56) /* mapped by this process only */
#define PROC_PM_UFFD_WP    (1ull << 57)
#define PROC_PM_GUARD      (1ull << 58) /* guard region (6.15); reads of it fault */
#define PROC_PM_FILE       (1ull << 61) /* file page or shared anonymous */
#define PROC_PM_SWAP       (1ull << 62)
#define PROC_PM_PRESENT    (1ull << 63)

/* The file offset of the entry for `address`. */
static inline uint64_t proc_pagemap_offset(uint64_t address)
{
	return address / 4096 * sizeof(uint64_t);
}

/* There is content: in memory or swapped out. A guard marker is neither, though older kernels show it as swapped. */
static inline bool proc_pagemap_populated(uint64_t entry)
{
	return (entry & (PROC_PM_PRESENT | PROC_PM_SWAP)) && !(entry & PROC_PM_GUARD);
}

/* In a private mapping: the page is the process's own (anonymous memory, or a file page that was written to). The zero page
 * looks the same unless its PFN can be seen. */
static inline bool proc_pagemap_private(uint64_t entry)
{
	return proc_pagemap_populated(entry) && !(entry & PROC_PM_FILE);
}

#endif
