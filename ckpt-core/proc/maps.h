/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Parses /proc/PID/maps and /proc/PID/smaps into an array of mappings. With a maps text the fields that only smaps has
 * stay 0. */
#ifndef STASIS_PROC_MAPS_H
#define STASIS_PROC_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The two-letter codes of VmFlags (fs/proc/task_mmu.c, show_smap_vma_flags). */
#define PROC_VMA_RD (1ull << 0)  /* readable */
#define PROC_VMA_WR (1ull << 1)  /* writable */
#define PROC_VMA_EX (1ull << 2)  /* executable */
#define PROC_VMA_SH (1ull << 3)  /* shared */
#define PROC_VMA_MR (1ull << 4)  /* may read */
#define PROC_VMA_MW (1ull << 5)  /* may write */
#define PROC_VMA_ME (1ull << 6)  /* may execute */
#define PROC_VMA_MS (1ull << 7)  /* may share */
#define PROC_VMA_GD (1ull << 8)  /* grows down */
#define PROC_VMA_PF (1ull << 9)  /* pure PFN range */
#define PROC_VMA_DW (1ull << 10) /* writes to the file denied (gone in newer kernels) */
#define PROC_VMA_LO (1ull << 11) /* mlocked */
#define PROC_VMA_LF (1ull << 12) /* mlocked on fault */
#define PROC_VMA_IO (1ull << 13) /* memory-mapped I/O */
#define PROC_VMA_SR (1ull << 14) /* MADV_SEQUENTIAL */
#define PROC_VMA_RR (1ull << 15) /* MADV_RANDOM */
#define PROC_VMA_DC (1ull << 16) /* MADV_DONTFORK */
#define PROC_VMA_DE (1ull << 17) /* no mremap growth */
#define PROC_VMA_AC (1ull << 18) /* accounted */
#define PROC_VMA_NR (1ull << 19) /* MAP_NORESERVE */
#define PROC_VMA_HT (1ull << 20) /* hugetlb */
#define PROC_VMA_SF (1ull << 21) /* MAP_SYNC faults */
#define PROC_VMA_WF (1ull << 22) /* MADV_WIPEONFORK */
#define PROC_VMA_DD (1ull << 23) /* MADV_DONTDUMP */
#define PROC_VMA_SD (1ull << 24) /* soft-dirty */
#define PROC_VMA_MM (1ull << 25) /* mixed map */
#define PROC_VMA_HG (1ull << 26) /* MADV_HUGEPAGE */
#define PROC_VMA_NH (1ull << 27) /* MADV_NOHUGEPAGE */
#define PROC_VMA_MG (1ull << 28) /* MADV_MERGEABLE */
#define PROC_VMA_UM (1ull << 29) /* userfaultfd missing */
#define PROC_VMA_UW (1ull << 30) /* userfaultfd write-protect */
#define PROC_VMA_UI (1ull << 31) /* userfaultfd minor */
#define PROC_VMA_SS (1ull << 32) /* shadow stack */
#define PROC_VMA_SL (1ull << 33) /* sealed */
#define PROC_VMA_DP (1ull << 34) /* droppable */
#define PROC_VMA_GU (1ull << 35) /* may hold guard regions */
#define PROC_VMA_BT (1ull << 36) /* arm64 BTI */
#define PROC_VMA_MT (1ull << 37) /* arm64 MTE */
#define PROC_VMA_AR (1ull << 38) /* architecture-specific */
#define PROC_VMA_NL (1ull << 39) /* non-linear (gone in newer kernels) */

struct proc_vma {
	uint64_t start, end; /* bytes, end exclusive */
	uint32_t prot;       /* PROT_* */
	bool shared;
	uint64_t offset; /* bytes */
	uint32_t dev_major, dev_minor;
	uint64_t ino; /* 0: no file */
	/* `name`: "" for plain anonymous memory, "[heap]", "[stack]", "[vdso]", "[anon:NAME]", or a path with newlines put back
	 * and without " (deleted)"; `raw`: exactly as printed. A file whose own name ends in " (deleted)" or holds a literal
	 * "\012" looks the same: compare dev and ino. Both owned, never NULL. */
	char *name, *raw;
	bool deleted;
	/* From smaps: */
	bool has_vm_flags;
	uint64_t vm_flags;           /* PROC_VMA_*; codes not known here are left out */
	uint64_t rss, anonymous, swap; /* KiB */
	uint64_t anon_huge;          /* KiB, in transparent huge pages; part of `anonymous` */
	uint32_t protection_key;
	uint64_t kernel_page_size; /* KiB */
	bool thp_eligible;
};

/* Mappings in the order of the text, which must be that of ascending addresses without overlaps. `*ret_array` is freed with
 * proc_maps_free (NULL when there are none). Returns 0, -EBADMSG or -ENOMEM. */
int proc_maps_parse(const char *text, size_t size, struct proc_vma **ret_array, size_t *ret_n);
void proc_maps_free(struct proc_vma *array, size_t n);

/* Gives mappings that were read from a maps text what only smaps says, from mappings read before. False when they are not the same
 * mappings, one by one. */
bool proc_maps_adopt(struct proc_vma *now, size_t n_now, const struct proc_vma *before, size_t n_before);

/* True for [vdso], [vvar], [vvar_vclock] and whatever else of the kernel is mapped into every process, but [vsyscall]. */
bool proc_vma_is_vdso(const struct proc_vma *vma);

#endif
