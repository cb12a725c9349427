// SPDX-License-Identifier: LGPL-2.1-or-later
/* What ps and /proc show of the program: its file, command line (of which it has overwritten a part), environment, auxiliary
 * vector, name and the addresses of its segments. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "target.h"

static const char *const files[] = { "/proc/self/cmdline", "/proc/self/environ", "/proc/self/auxv", "/proc/self/comm" };

struct shown {
	char text[4][8192], exe[4096];
	size_t size[4];
	unsigned long addresses[10];
};

static void get(struct shown *s)
{
	/* Fields 26-28 and 45-51 of /proc/self/stat: code, stack, data, brk, arguments, environment. */
	static const int fields[10] = { 26, 27, 28, 45, 46, 47, 48, 49, 50, 51 };
	const char *p;
	int n = 2;

	memset(s, 0, sizeof(*s));
	for (int i = 0; i < 4; i++) {
		FILE *f = fopen(files[i], "re");

		s->size[i] = fread(s->text[i], 1, sizeof(s->text[i]), f);
		fclose(f);
	}
	target_check(readlink("/proc/self/exe", s->exe, sizeof(s->exe) - 1) > 0, "%m");
	p = strrchr(target_slurp("/proc/self/stat"), ')');
	for (p = p + 1; *p; p++)
		if (*p == ' ') {
			n++;
			for (int i = 0; i < 10; i++)
				if (fields[i] == n)
					s->addresses[i] = strtoul(p, NULL, 10);
		}
}

int main(int argc, char **argv)
{
	static struct shown before, now;

	target_init(argc, argv);
	prctl(PR_SET_NAME, "odd (name) \n");
	memset(argv[0], 'T', strlen(argv[0]));
	get(&before);
	target_check(before.addresses[0] && before.addresses[9] && before.text[0][0] == 'T', "set-up");
	target_ready();
	while (target_turn()) {
		get(&now);
		for (int i = 0; i < 4; i++)
			target_check(before.size[i] == now.size[i] && memcmp(before.text[i], now.text[i], now.size[i]) == 0,
			             "%s: %zu bytes, were %zu: %.200s", files[i], now.size[i], before.size[i], now.text[i]);
		target_check(strcmp(before.exe, now.exe) == 0, "%s, was %s", now.exe, before.exe);
		for (int i = 0; i < 10; i++)
			target_check(before.addresses[i] == now.addresses[i], "address %d was %lx, is %lx", i,
			             before.addresses[i], now.addresses[i]);
	}
	target_check(getauxval(AT_SYSINFO_EHDR) && access(now.exe, X_OK) == 0, "%s: %m", now.exe);
	target_done();
}
