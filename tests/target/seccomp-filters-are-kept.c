// SPDX-License-Identifier: LGPL-2.1-or-later
/* Two stacked seccomp filters of the process, and a third of one thread only, go on being in force, each with its own answer.
 * An ordinary user cannot read filters from outside; then the checkpoint must be refused. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "target.h"

static volatile bool begun, stop;

static void forbid(int number, int error, int flags)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { 4, code };

	target_check(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog) == 0, "%m");
}

static int try(int number)
{
	return syscall(number, -1, -1, -1, 0, 0, 0) < 0 ? errno : 0;
}

static void *thread(void *arg)
{
	(void)arg;
	forbid(SYS_getppid, 77, 0);
	begun = true;
	while (!stop) {
		target_check(try(SYS_getppid) == 77, "this thread's own filter is gone");
		target_check(try(SYS_getpriority) == 78 && try(SYS_getsid) == 79, "the process's filters are gone");
		target_sleep_ms(1);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t other;

	target_init(argc, argv);
	target_check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "%m");
	forbid(SYS_getpriority, 78, 0);
	forbid(SYS_getsid, 79, 0);
	other = target_thread(thread, NULL);
	while (!begun)
		target_sleep_ms(1);
	if (geteuid() != 0)
		target_option("refused=seccomp");
	target_ready();
	while (target_turn()) {
		target_check(try(SYS_getpriority) == 78 && try(SYS_getsid) == 79, "the process's filters are gone");
		target_check(try(SYS_getppid) == 0, "the other thread's filter came to this one");
		target_check(prctl(PR_GET_SECCOMP) == 2, "mode %d", prctl(PR_GET_SECCOMP));
	}
	stop = true;
	pthread_join(other, NULL);
	target_done();
}
