/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an image says of the host, the processes, their threads and their memory. Open files have their own records (fd/). */
#ifndef STASIS_RECORDS_H
#define STASIS_RECORDS_H

#include <stdint.h>

#include "schema.h"

/* The host and the moment. One per image, the first record. */
struct rec_host {
	char *stasis_version, *kernel, *arch, *hostname, *boot_id;
	char *name;               /* the target's registered name; NULL if none */
	struct img_bytes cpuid;   /* struct cpu_leaf[] of cpu-x86.h */
	uint64_t xcr0;
	uint64_t vdso_hash;       /* XXH3_64 of the [vdso] text; 0 when the target has none */
	uint64_t vdso_size;
	int64_t realtime_ns;      /* of the checkpoint */
	uint32_t n_processes, page_size;
};

/* One process of the tree; `index` 0 is the first, parents come before their children. */
struct rec_process {
	uint32_t index, parent; /* parent = index for the first */
	int32_t pid, pgid, sid; /* as its own pid namespace has them; 0 = outside that namespace */
	bool group_leader, session_leader, has_tty, stopped;
	char *comm, *exe, *cwd, *root, *cmdline;
	uint32_t exe_backing;
	uint32_t umask, personality;
	int32_t oom_score_adj, dumpable;
	uint32_t coredump_filter;
	bool thp_disable, subreaper;
	uint32_t membarrier; /* registrations, MEMBARRIER_CMD_* bits */
	uint32_t pkeys; /* bits of the protection keys that are allocated, 0 always; none: not known */
	uint64_t start_code, end_code, start_data, end_data, start_brk, brk, start_stack, arg_start, arg_end, env_start, env_end;
	struct img_bytes auxv;
	struct img_bytes rlimits;    /* struct rlimit64[16] */
	struct img_bytes sigactions; /* struct kernel_sigaction[64] */
	struct img_bytes itimers;    /* struct itimerval[3], what remains */
	struct img_bytes pending;    /* siginfo_t[]: for the whole process */
	int64_t monotonic_ns, boottime_ns; /* as the process saw them */
	uint32_t space; /* of its private memory among the page data */
	uint32_t exe_space; /* of the contents of a deleted executable; 0 = it has a file */
	uint64_t exe_size;  /* bytes */
};

struct rec_thread {
	uint32_t process;
	int32_t tid;
	char *comm;
	struct img_bytes regs;   /* struct user_regs_struct, ready to be started */
	struct img_bytes xstate; /* XSAVE area, standard format */
	uint64_t sigmask;
	struct img_bytes pending; /* siginfo_t[] */
	uint64_t altstack_sp, altstack_size;
	int32_t altstack_flags;
	uint64_t robust_list, clear_child_tid;
	uint64_t rseq_ptr;
	uint32_t rseq_size, rseq_sig;
	struct img_bytes affinity; /* cpu_set_t bits */
	uint32_t policy;           /* with SCHED_RESET_ON_FORK or-ed in */
	int32_t priority, nice, ioprio;
	uint64_t timer_slack_ns;
	int32_t pdeathsig;
	uint32_t uid[4], gid[4];
	struct img_bytes groups; /* uint32_t[] */
	uint64_t cap_inh, cap_prm, cap_eff, cap_bnd, cap_amb;
	uint32_t securebits;
	bool no_new_privs;
	uint32_t seccomp; /* 0 none, 1 strict, 2 filter (see rec_seccomp) */
	int32_t mce_kill; /* PR_MCE_KILL_LATE, _EARLY, _DEFAULT */
	int32_t tsc;      /* PR_TSC_ENABLE, _SIGSEGV */
};

/* One seccomp filter of a thread, the oldest first. */
struct rec_seccomp {
	uint32_t process;
	int32_t tid;
	struct img_bytes filter; /* struct sock_filter[] */
	uint64_t flags;          /* SECCOMP_FILTER_FLAG_* */
};

struct rec_timer {
	uint32_t process;
	int32_t id, signal, notify, clockid;
	int32_t target; /* tid in the target's pid namespace, for SIGEV_THREAD_ID */
	uint64_t value;
	int64_t remaining_ns, interval_ns;
	int32_t overrun;
};

enum vma_kind { VMA_ANON = 1, VMA_FILE, VMA_VDSO, VMA_PLUGIN };

#define MAPPING_PKEYS 16u /* protection keys that there can be */

struct rec_vma {
	uint32_t process;
	uint64_t start, end;
	uint32_t prot, kind;
	bool shared;
	uint64_t offset;
	uint32_t backing;  /* VMA_FILE: id of a backing file; VMA_PLUGIN: id of a FILE, whose plugin cares for the contents */
	uint64_t vm_flags; /* PROC_VMA_* as it was */
	uint32_t pkey;
	char *name;        /* VMA_VDSO: "[vdso]", "[vvar]" ...; VMA_ANON: name given with PR_SET_VMA; else for people */
};

/* Guard regions (MADV_GUARD_INSTALL). */
struct rec_guard {
	uint32_t process;
	uint64_t start, end;
};

extern const struct img_schema rec_host_schema, rec_process_schema, rec_thread_schema, rec_seccomp_schema, rec_timer_schema,
	rec_vma_schema, rec_guard_schema;

/* struct kernel_sigaction as rt_sigaction(2) has it on x86-64 (arch/x86/include/uapi/asm/signal.h). */
struct kernel_sigaction {
	uint64_t handler, flags, restorer, mask;
};

#endif
