// SPDX-License-Identifier: LGPL-2.1-or-later
/* A directory of 400 entries is read half way through before the checkpoint and goes on afterwards: every entry is seen exactly
 * once. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "target.h"

#define ENTRIES 400

struct dirent64_kernel {
	uint64_t ino, off;
	uint16_t reclen;
	uint8_t type;
	char name[];
};

static char seen[ENTRIES];

/* Reads some entries; false at the end. */
static bool read_some(int fd)
{
	char buf[600] __attribute__((aligned(8)));
	long n = syscall(SYS_getdents64, fd, buf, sizeof(buf));
	int i;

	target_check(n >= 0, "%m");
	for (long at = 0; at < n; at += ((struct dirent64_kernel *)(buf + at))->reclen)
		if (sscanf(((struct dirent64_kernel *)(buf + at))->name, "entry-%d", &i) == 1)
			target_check(!seen[i]++, "entry %d is seen twice", i);
	return n > 0;
}

int main(int argc, char **argv)
{
	char name[64];
	int fd, all = 0;

	target_init(argc, argv);
	mkdir(target_path("directory"), 0777);
	fd = open(target_path("directory"), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	target_check(fd >= 0, "%m");
	for (int i = 0; i < ENTRIES; i++) {
		snprintf(name, sizeof(name), "entry-%d", i);
		close(openat(fd, name, O_CREAT | O_WRONLY, 0600));
	}
	for (int i = 0; i < 5; i++)
		target_check(read_some(fd), "the end comes too early");
	target_ready();
	while (target_turn())
		;
	while (read_some(fd))
		;
	for (int i = 0; i < ENTRIES; i++)
		all += seen[i];
	target_check(all == ENTRIES, "%d of %d entries seen", all, ENTRIES);
	target_done();
}
