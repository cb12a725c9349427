// SPDX-License-Identifier: LGPL-2.1-or-later
/* A program that root started and that changed its ids, groups, capabilities (five sets), securebits and dumpability keeps all
 * of them, though it is not root any more. Needs root. */
#include <linux/capability.h>
#include <linux/securebits.h>
#include <grp.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "target.h"

static const char *const fields[] = { "Uid", "Gid", "Groups", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs" };
#define FIELDS (int)(sizeof(fields) / sizeof(*fields))

static void limit_capabilities(void)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2] = { { 0 } };

	data[0].permitted = 1 << CAP_CHOWN | 1 << CAP_KILL | 1 << CAP_NET_RAW | 1 << CAP_SETUID;
	data[0].effective = 1 << CAP_CHOWN | 1 << CAP_KILL;
	data[0].inheritable = 1 << CAP_NET_RAW | 1 << CAP_KILL;
	target_check(prctl(PR_CAPBSET_DROP, CAP_SYS_TIME) == 0 && prctl(PR_CAPBSET_DROP, CAP_SYS_BOOT) == 0, "%m");
	target_check(prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_KEEP_CAPS | SECBIT_NO_SETUID_FIXUP_LOCKED) == 0, "%m");
	target_check(setresuid(1001, 1002, 1003) == 0, "%m");
	target_check(syscall(SYS_capset, &header, data) == 0, "%m");
	target_check(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0) == 0, "%m");
	setfsuid(1003);
}

int main(int argc, char **argv)
{
	static const gid_t groups[] = { 5, 60000, 7 };
	char before[FIELDS][1024];
	int securebits, dumpable;

	target_init(argc, argv);
	if (geteuid() != 0 || setgroups(3, groups))
		target_skip("credentials can be changed only by root");
	target_check(setresgid(2001, 2002, 2003) == 0, "%m");
	setfsgid(2003);
	limit_capabilities();
	for (int i = 0; i < FIELDS; i++)
		strcpy(before[i], target_field(target_slurp("/proc/self/status"), fields[i]));
	securebits = prctl(PR_GET_SECUREBITS);
	dumpable = prctl(PR_GET_DUMPABLE);
	target_ready();
	while (target_turn()) {
		for (int i = 0; i < FIELDS; i++) {
			const char *now = target_field(target_slurp("/proc/self/status"), fields[i]);

			target_check(strcmp(before[i], now) == 0, "%s was %s, is %s", fields[i], before[i], now);
		}
		target_check(prctl(PR_GET_SECUREBITS) == securebits, "securebits were %x, are %x", securebits,
		             prctl(PR_GET_SECUREBITS));
		target_check(prctl(PR_GET_DUMPABLE) == dumpable, "dumpable was %d, is %d", dumpable, prctl(PR_GET_DUMPABLE));
	}
	target_done();
}
