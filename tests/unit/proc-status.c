/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The parser of /proc/PID/status: lines of this kernel, lines an older one lacks, and damaged texts. */
#include "proc-exact.h"

#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/io.h"
#include "proc/status.h"

static const char sample[] = /* of kernel 6.18, of a process in a nested pid namespace */
	"Name:\tqemu) x\\n\n"
	"Umask:\t0022\n"
	"State:\tt (tracing stop)\n"
	"Tgid:\t5061\n"
	"Ngid:\t3\n"
	"Pid:\t5062\n"
	"PPid:\t5058\n"
	"TracerPid:\t77\n"
	"Uid:\t0\t1\t2\t4294967295\n"
	"Gid:\t10\t11\t12\t13\n"
	"FDSize:\t256\n"
	"Groups:\t4 24 65534 \n"
	"NStgid:\t5061\t1\n"
	"NSpid:\t5062\t2\n"
	"NSpgid:\t5058\t0\n"
	"NSsid:\t2612\t0\n"
	"Kthread:\t0\n"
	"VmPeak:\t    3060 kB\n"
	"CoreDumping:\t0\n"
	"THP_enabled:\t0\n"
	"untag_mask:\t0xffffffffffffffff\n"
	"Threads:\t17\n"
	"SigQ:\t2/96365\n"
	"SigPnd:\t0000000000000200\n"
	"ShdPnd:\t8000000000000000\n"
	"SigBlk:\t0000000000010000\n"
	"SigIgn:\t0000000000001000\n"
	"SigCgt:\t0000000180004003\n"
	"CapInh:\t0000000000000001\n"
	"CapPrm:\t000001fffeffffff\n"
	"CapEff:\t000001fffefffffe\n"
	"CapBnd:\t000001fffefffffd\n"
	"CapAmb:\t0000000000000002\n"
	"NoNewPrivs:\t1\n"
	"Seccomp:\t2\n"
	"Seccomp_filters:\t3\n"
	"Cpus_allowed:\t3\n";

static void every_line_lands_in_its_place(void **state)
{
	struct proc_status s;

	(void)state;
	assert_int_equal(proc_status_parse(sample, sizeof(sample) - 1, &s), 0);
	assert_true(s.has_umask);
	assert_int_equal(s.umask, 022);
	assert_int_equal(s.state, 't');
	assert_int_equal(s.tgid, 5061);
	assert_int_equal(s.ngid, 3);
	assert_int_equal(s.pid, 5062);
	assert_int_equal(s.ppid, 5058);
	assert_int_equal(s.tracerpid, 77);
	assert_int_equal(s.uid[0], 0);
	assert_int_equal(s.uid[3], UINT32_MAX);
	assert_int_equal(s.gid[0], 10);
	assert_int_equal(s.gid[3], 13);
	assert_int_equal(s.fdsize, 256);
	assert_int_equal(s.n_groups, 3);
	assert_int_equal(s.groups[0], 4);
	assert_int_equal(s.groups[2], 65534);
	assert_int_equal(s.nstgid.n, 2);
	assert_int_equal(s.nspid.n, 2);
	assert_int_equal(s.nspid.id[0], 5062);
	assert_int_equal(s.nspid.id[1], 2);
	assert_int_equal(s.nspgid.id[0], 5058);
	assert_int_equal(s.nssid.id[0], 2612);
	assert_false(s.kthread);
	assert_false(s.coredumping);
	assert_false(s.thp_enabled);
	assert_int_equal(s.threads, 17);
	assert_int_equal(s.sigq_used, 2);
	assert_int_equal(s.sigq_limit, 96365);
	assert_int_equal(s.sigpnd, 0x200);
	assert_int_equal(s.shdpnd, 0x8000000000000000);
	assert_int_equal(s.sigblk, 0x10000);
	assert_int_equal(s.sigign, 0x1000);
	assert_int_equal(s.sigcgt, 0x180004003);
	assert_int_equal(s.capinh, 1);
	assert_int_equal(s.capprm, 0x1fffeffffff);
	assert_int_equal(s.capeff, 0x1fffefffffe);
	assert_int_equal(s.capbnd, 0x1fffefffffd);
	assert_int_equal(s.capamb, 2);
	assert_true(s.nonewprivs);
	assert_int_equal(s.seccomp, 2);
	assert_true(s.has_seccomp_filters);
	assert_int_equal(s.seccomp_filters, 3);
	proc_status_finish(&s);
	assert_null(s.groups);
}

static void missing_lines_leave_defaults(void **state)
{
	static const char text[] =
		"Tgid:\t1\nPid:\t1\nPPid:\t0\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nGroups:\t \nSigBlk:\t0000000000000001";
	struct proc_status s;

	(void)state;
	assert_int_equal(proc_status_parse(text, sizeof(text) - 1, &s), 0);
	assert_false(s.has_umask);
	assert_false(s.has_seccomp_filters);
	assert_true(s.thp_enabled);
	assert_int_equal(s.n_groups, 0);
	assert_int_equal(s.nspid.n, 0);
	assert_int_equal(s.sigblk, 1); /* the last line has no newline */
	proc_status_finish(&s);
}

static void this_process_agrees_with_the_system_calls(void **state)
{
	struct proc_status s;
	sigset_t set;
	char *text;
	size_t size;
	gid_t groups[256];
	int n = getgroups(256, groups);

	(void)state;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	assert_int_equal(sigprocmask(SIG_BLOCK, &set, NULL), 0);
	assert_int_equal(raise(SIGUSR2), 0);
	assert_int_equal(io_read_file_at(-100, "/proc/self/status", &text, &size), 0);
	assert_int_equal(proc_status_parse(text, size, &s), 0);
	assert_int_equal(s.pid, getpid());
	assert_int_equal(s.ppid, getppid());
	assert_int_equal(s.uid[1], geteuid());
	assert_int_equal(s.n_groups, n);
	assert_int_equal(s.threads, 1);
	assert_true(s.sigblk & (1ull << (SIGUSR2 - 1)));
	assert_int_equal(s.sigpnd | s.shdpnd, 1ull << (SIGUSR2 - 1));
	assert_int_equal(s.nonewprivs, prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	assert_true(s.nspid.n >= 1);
	assert_int_equal(s.nspid.id[s.nspid.n - 1], getpid());
	proc_status_finish(&s);
	free(text);
}

static void refused(const char *text)
{
	struct proc_status s = { .pid = -42 };

	assert_int_equal(proc_status_parse(text, strlen(text), &s), -EBADMSG);
	assert_int_equal(s.pid, -42);
}

#define HEAD "Tgid:\t1\nPid:\t1\nPPid:\t0\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\n"

static void nonsense_is_refused(void **state)
{
	char many[1024] = HEAD "NSpid:";

	(void)state;
	refused("");
	refused("Tgid:\t1\nPid:\t1\nPPid:\t0\nUid:\t0\t0\t0\t0\n");
	refused(HEAD "Uid:\t1\t2\t3\n");
	refused(HEAD "SigBlk:\t10000000000000000\n");
	refused(HEAD "SigBlk:\txyz\n");
	refused(HEAD "Groups:\t4 x\n");
	refused(HEAD "Groups:\t4 4294967296\n");
	refused(HEAD "SigQ:\t4\n");
	refused(HEAD "State:\t\n");
	for (int i = 0; i < 34; i++) /* more levels than the kernel has */
		strcat(many, "\t1");
	refused(many);
}

static void a_doubled_line_leaks_nothing(void **state)
{
	static const char text[] = HEAD "Groups:\t1 2 3\nGroups:\t7\n";
	struct proc_status s;

	(void)state;
	assert_int_equal(proc_status_parse(text, sizeof(text) - 1, &s), 0);
	assert_int_equal(s.n_groups, 1);
	assert_int_equal(s.groups[0], 7);
	proc_status_finish(&s);
}

static void try_text(const char *text, size_t size)
{
	struct proc_status s;
	int err = proc_status_parse(text, size, &s);

	assert_true(err == 0 || err == -EBADMSG);
	if (!err)
		proc_status_finish(&s);
}

static void damage_is_harmless(void **state)
{
	(void)state;
	exact_each_damage(sample, sizeof(sample) - 1, try_text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_line_lands_in_its_place),
		cmocka_unit_test(missing_lines_leave_defaults),
		cmocka_unit_test(this_process_agrees_with_the_system_calls),
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(a_doubled_line_leaks_nothing),
		cmocka_unit_test(damage_is_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
