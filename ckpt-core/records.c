// SPDX-License-Identifier: LGPL-2.1-or-later
/* The field tables of the engine's records. A field's number is its meaning for ever: add at the end, never change. */
#include "records.h"

#include "stasis.h"
#include "fd/fd.h"
#include "parent.h"
#include "plugin/session.h"

static const struct img_field host_fields[] = {
	IMG_FIELD(1, rec_host, stasis_version, IMG_STR, IMG_DEC),
	IMG_FIELD(2, rec_host, kernel, IMG_STR, IMG_DEC),
	IMG_FIELD(3, rec_host, arch, IMG_STR, IMG_DEC),
	IMG_FIELD(4, rec_host, hostname, IMG_STR, IMG_DEC),
	IMG_FIELD(5, rec_host, boot_id, IMG_STR, IMG_DEC),
	IMG_FIELD(6, rec_host, name, IMG_STR, IMG_DEC),
	IMG_FIELD(7, rec_host, cpuid, IMG_BYTES, IMG_HEX),
	IMG_FIELD(8, rec_host, xcr0, IMG_U64, IMG_HEX),
	IMG_FIELD(9, rec_host, vdso_hash, IMG_U64, IMG_HEX),
	IMG_FIELD(10, rec_host, vdso_size, IMG_U64, IMG_DEC),
	IMG_FIELD(11, rec_host, realtime_ns, IMG_I64, IMG_DEC),
	IMG_FIELD(12, rec_host, n_processes, IMG_U32, IMG_DEC),
	IMG_FIELD(13, rec_host, page_size, IMG_U32, IMG_DEC),
};

static const struct img_field process_fields[] = {
	IMG_FIELD_REQUIRED(1, rec_process, index, IMG_U32, IMG_DEC),
	IMG_FIELD(2, rec_process, parent, IMG_U32, IMG_DEC),
	IMG_FIELD_REQUIRED(3, rec_process, pid, IMG_I32, IMG_DEC),
	IMG_FIELD(4, rec_process, pgid, IMG_I32, IMG_DEC),
	IMG_FIELD(5, rec_process, sid, IMG_I32, IMG_DEC),
	IMG_FIELD(6, rec_process, group_leader, IMG_BOOL, IMG_DEC),
	IMG_FIELD(7, rec_process, session_leader, IMG_BOOL, IMG_DEC),
	IMG_FIELD(8, rec_process, has_tty, IMG_BOOL, IMG_DEC),
	IMG_FIELD(9, rec_process, stopped, IMG_BOOL, IMG_DEC),
	IMG_FIELD(10, rec_process, comm, IMG_STR, IMG_DEC),
	IMG_FIELD(11, rec_process, exe, IMG_STR, IMG_DEC),
	IMG_FIELD(12, rec_process, cwd, IMG_STR, IMG_DEC),
	IMG_FIELD(13, rec_process, root, IMG_STR, IMG_DEC),
	IMG_FIELD(14, rec_process, cmdline, IMG_STR, IMG_DEC),
	IMG_FIELD(15, rec_process, exe_backing, IMG_U32, IMG_DEC),
	IMG_FIELD(16, rec_process, umask, IMG_U32, IMG_OCT),
	IMG_FIELD(17, rec_process, personality, IMG_U32, IMG_HEX),
	IMG_FIELD(18, rec_process, oom_score_adj, IMG_I32, IMG_DEC),
	IMG_FIELD(19, rec_process, dumpable, IMG_I32, IMG_DEC),
	IMG_FIELD(20, rec_process, coredump_filter, IMG_U32, IMG_HEX),
	IMG_FIELD(21, rec_process, thp_disable, IMG_BOOL, IMG_DEC),
	IMG_FIELD(22, rec_process, subreaper, IMG_BOOL, IMG_DEC),
	IMG_FIELD(23, rec_process, membarrier, IMG_U32, IMG_DEC),
	IMG_FIELD(24, rec_process, start_code, IMG_U64, IMG_HEX),
	IMG_FIELD(25, rec_process, end_code, IMG_U64, IMG_HEX),
	IMG_FIELD(26, rec_process, start_data, IMG_U64, IMG_HEX),
	IMG_FIELD(27, rec_process, end_data, IMG_U64, IMG_HEX),
	IMG_FIELD(28, rec_process, start_brk, IMG_U64, IMG_HEX),
	IMG_FIELD(29, rec_process, brk, IMG_U64, IMG_HEX),
	IMG_FIELD(30, rec_process, start_stack, IMG_U64, IMG_HEX),
	IMG_FIELD(31, rec_process, arg_start, IMG_U64, IMG_HEX),
	IMG_FIELD(32, rec_process, arg_end, IMG_U64, IMG_HEX),
	IMG_FIELD(33, rec_process, env_start, IMG_U64, IMG_HEX),
	IMG_FIELD(34, rec_process, env_end, IMG_U64, IMG_HEX),
	IMG_FIELD(35, rec_process, auxv, IMG_BYTES, IMG_DEC),
	IMG_FIELD(36, rec_process, rlimits, IMG_BYTES, IMG_DEC),
	IMG_FIELD(37, rec_process, sigactions, IMG_BYTES, IMG_DEC),
	IMG_FIELD(38, rec_process, itimers, IMG_BYTES, IMG_DEC),
	IMG_FIELD(39, rec_process, pending, IMG_BYTES, IMG_DEC),
	IMG_FIELD(40, rec_process, monotonic_ns, IMG_I64, IMG_DEC),
	IMG_FIELD(41, rec_process, boottime_ns, IMG_I64, IMG_DEC),
	IMG_FIELD(42, rec_process, space, IMG_U32, IMG_DEC),
	IMG_FIELD(43, rec_process, exe_space, IMG_U32, IMG_DEC),
	IMG_FIELD(44, rec_process, exe_size, IMG_U64, IMG_DEC),
	IMG_FIELD(45, rec_process, pkeys, IMG_U32, IMG_HEX),
};

static const struct img_field thread_fields[] = {
	IMG_FIELD_REQUIRED(1, rec_thread, process, IMG_U32, IMG_DEC),
	IMG_FIELD_REQUIRED(2, rec_thread, tid, IMG_I32, IMG_DEC),
	IMG_FIELD(3, rec_thread, comm, IMG_STR, IMG_DEC),
	IMG_FIELD_REQUIRED(4, rec_thread, regs, IMG_BYTES, IMG_DEC),
	IMG_FIELD(5, rec_thread, xstate, IMG_BYTES, IMG_DEC),
	IMG_FIELD(6, rec_thread, sigmask, IMG_U64, IMG_HEX),
	IMG_FIELD(7, rec_thread, pending, IMG_BYTES, IMG_DEC),
	IMG_FIELD(8, rec_thread, altstack_sp, IMG_U64, IMG_HEX),
	IMG_FIELD(9, rec_thread, altstack_size, IMG_U64, IMG_DEC),
	IMG_FIELD(10, rec_thread, altstack_flags, IMG_I32, IMG_DEC),
	IMG_FIELD(11, rec_thread, robust_list, IMG_U64, IMG_HEX),
	IMG_FIELD(12, rec_thread, clear_child_tid, IMG_U64, IMG_HEX),
	IMG_FIELD(13, rec_thread, rseq_ptr, IMG_U64, IMG_HEX),
	IMG_FIELD(14, rec_thread, rseq_size, IMG_U32, IMG_DEC),
	IMG_FIELD(15, rec_thread, rseq_sig, IMG_U32, IMG_HEX),
	IMG_FIELD(16, rec_thread, affinity, IMG_BYTES, IMG_DEC),
	IMG_FIELD(17, rec_thread, policy, IMG_U32, IMG_DEC),
	IMG_FIELD(18, rec_thread, priority, IMG_I32, IMG_DEC),
	IMG_FIELD(19, rec_thread, nice, IMG_I32, IMG_DEC),
	IMG_FIELD(20, rec_thread, ioprio, IMG_I32, IMG_DEC),
	IMG_FIELD(21, rec_thread, timer_slack_ns, IMG_U64, IMG_DEC),
	IMG_FIELD(22, rec_thread, pdeathsig, IMG_I32, IMG_DEC),
	IMG_FIELD(23, rec_thread, uid[0], IMG_U32, IMG_DEC),
	IMG_FIELD(24, rec_thread, uid[1], IMG_U32, IMG_DEC),
	IMG_FIELD(25, rec_thread, uid[2], IMG_U32, IMG_DEC),
	IMG_FIELD(26, rec_thread, uid[3], IMG_U32, IMG_DEC),
	IMG_FIELD(27, rec_thread, gid[0], IMG_U32, IMG_DEC),
	IMG_FIELD(28, rec_thread, gid[1], IMG_U32, IMG_DEC),
	IMG_FIELD(29, rec_thread, gid[2], IMG_U32, IMG_DEC),
	IMG_FIELD(30, rec_thread, gid[3], IMG_U32, IMG_DEC),
	IMG_FIELD(31, rec_thread, groups, IMG_BYTES, IMG_DEC),
	IMG_FIELD(32, rec_thread, cap_inh, IMG_U64, IMG_HEX),
	IMG_FIELD(33, rec_thread, cap_prm, IMG_U64, IMG_HEX),
	IMG_FIELD(34, rec_thread, cap_eff, IMG_U64, IMG_HEX),
	IMG_FIELD(35, rec_thread, cap_bnd, IMG_U64, IMG_HEX),
	IMG_FIELD(36, rec_thread, cap_amb, IMG_U64, IMG_HEX),
	IMG_FIELD(37, rec_thread, securebits, IMG_U32, IMG_HEX),
	IMG_FIELD(38, rec_thread, no_new_privs, IMG_BOOL, IMG_DEC),
	IMG_FIELD(39, rec_thread, seccomp, IMG_U32, IMG_DEC),
	IMG_FIELD(40, rec_thread, mce_kill, IMG_I32, IMG_DEC),
	IMG_FIELD(41, rec_thread, tsc, IMG_I32, IMG_DEC),
};

static const struct img_field seccomp_fields[] = {
	IMG_FIELD_REQUIRED(1, rec_seccomp, process, IMG_U32, IMG_DEC),
	IMG_FIELD_REQUIRED(2, rec_seccomp, tid, IMG_I32, IMG_DEC),
	IMG_FIELD(3, rec_seccomp, filter, IMG_BYTES, IMG_DEC),
	IMG_FIELD(4, rec_seccomp, flags, IMG_U64, IMG_HEX),
};

static const struct img_field timer_fields[] = {
	IMG_FIELD_REQUIRED(1, rec_timer, process, IMG_U32, IMG_DEC),
	IMG_FIELD(2, rec_timer, id, IMG_I32, IMG_DEC),
	IMG_FIELD(3, rec_timer, signal, IMG_I32, IMG_DEC),
	IMG_FIELD(4, rec_timer, notify, IMG_I32, IMG_DEC),
	IMG_FIELD(5, rec_timer, clockid, IMG_I32, IMG_DEC),
	IMG_FIELD(6, rec_timer, target, IMG_I32, IMG_DEC),
	IMG_FIELD(7, rec_timer, value, IMG_U64, IMG_HEX),
	IMG_FIELD(8, rec_timer, remaining_ns, IMG_I64, IMG_DEC),
	IMG_FIELD(9, rec_timer, interval_ns, IMG_I64, IMG_DEC),
	IMG_FIELD(10, rec_timer, overrun, IMG_I32, IMG_DEC),
};

static const struct img_field vma_fields[] = {
	IMG_FIELD_REQUIRED(1, rec_vma, process, IMG_U32, IMG_DEC),
	IMG_FIELD_REQUIRED(2, rec_vma, start, IMG_U64, IMG_HEX),
	IMG_FIELD_REQUIRED(3, rec_vma, end, IMG_U64, IMG_HEX),
	IMG_FIELD(4, rec_vma, prot, IMG_U32, IMG_DEC),
	IMG_FIELD_REQUIRED(5, rec_vma, kind, IMG_U32, IMG_DEC),
	IMG_FIELD(6, rec_vma, shared, IMG_BOOL, IMG_DEC),
	IMG_FIELD(7, rec_vma, offset, IMG_U64, IMG_HEX),
	IMG_FIELD(8, rec_vma, backing, IMG_U32, IMG_DEC),
	IMG_FIELD(9, rec_vma, vm_flags, IMG_U64, IMG_HEX),
	IMG_FIELD(10, rec_vma, pkey, IMG_U32, IMG_DEC),
	IMG_FIELD(11, rec_vma, name, IMG_STR, IMG_DEC),
};

static const struct img_field guard_fields[] = {
	IMG_FIELD_REQUIRED(1, rec_guard, process, IMG_U32, IMG_DEC),
	IMG_FIELD_REQUIRED(2, rec_guard, start, IMG_U64, IMG_HEX),
	IMG_FIELD_REQUIRED(3, rec_guard, end, IMG_U64, IMG_HEX),
};

const struct img_schema rec_host_schema = IMG_SCHEMA("HOST", 1, IMG_MUST_UNDERSTAND, "host", rec_host, host_fields);
const struct img_schema rec_process_schema = IMG_SCHEMA("PROC", 1, IMG_MUST_UNDERSTAND, "process", rec_process, process_fields);
const struct img_schema rec_thread_schema = IMG_SCHEMA("THRD", 1, IMG_MUST_UNDERSTAND, "thread", rec_thread, thread_fields);
const struct img_schema rec_seccomp_schema = IMG_SCHEMA("SECC", 1, IMG_MUST_UNDERSTAND, "seccomp filter", rec_seccomp, seccomp_fields);
const struct img_schema rec_timer_schema = IMG_SCHEMA("TIMR", 1, IMG_MUST_UNDERSTAND, "POSIX timer", rec_timer, timer_fields);
const struct img_schema rec_vma_schema = IMG_SCHEMA("VMA ", 1, IMG_MUST_UNDERSTAND, "memory mapping", rec_vma, vma_fields);
const struct img_schema rec_guard_schema = IMG_SCHEMA("GARD", 1, IMG_MUST_UNDERSTAND, "guard region", rec_guard, guard_fields);

size_t stasis_schemas(const struct stasis_plugin *const *plugins, size_t n_plugins, const struct img_schema *ret[STASIS_SCHEMAS_MAX])
{
	static const struct img_schema *const own[] = {
		&rec_host_schema, &rec_process_schema, &rec_thread_schema, &rec_seccomp_schema, &rec_timer_schema, &rec_vma_schema, &rec_guard_schema,
		&img_parent_schema,
	};
	size_t n_fd, n = 0;
	const struct img_schema *const *fd = fd_schemas(&n_fd);

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		ret[n++] = own[i];
	for (size_t i = 0; i < n_fd && n < STASIS_SCHEMAS_MAX; i++)
		ret[n++] = fd[i];
	return n + plugin_schemas(plugins, n_plugins, ret + n, STASIS_SCHEMAS_MAX - n);
}
