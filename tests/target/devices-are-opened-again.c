// SPDX-License-Identifier: LGPL-2.1-or-later
/* The harmless character devices (null, zero, full, random, urandom) work after the restart as before, as descriptors and, for
 * zero, as a mapping. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "target.h"

int main(int argc, char **argv)
{
	int null, zero, full, random, urandom;
	uint64_t word[2], last = 0;
	char *map;

	target_init(argc, argv);
	null = open("/dev/null", O_RDWR);
	zero = open("/dev/zero", O_RDWR);
	full = open("/dev/full", O_WRONLY);
	random = open("/dev/random", O_RDONLY | O_NONBLOCK);
	urandom = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
	target_check(null >= 0 && zero >= 0 && full >= 0 && random >= 0 && urandom >= 0, "%m");
	map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE, zero, 0);
	target_check(map != MAP_FAILED, "%m");
	strcpy(map, "written");
	target_ready();
	while (target_turn()) {
		word[0] = word[1] = 7;
		target_check(write(null, word, 8) == 8 && read(null, word, 8) == 0, "null: %m");
		target_check(read(zero, word, 8) == 8 && word[0] == 0, "zero: %m");
		target_check(write(full, word, 8) == -1 && errno == ENOSPC, "full");
		target_check(read(urandom, word, 8) == 8 && word[0] != last, "urandom: %m");
		last = word[0];
		target_check(read(random, word, 8) == 8 || errno == EAGAIN, "random: %m");
		target_check(strcmp(map, "written") == 0 && map[5000] == 0, "mapping of zero");
	}
	target_check(fcntl(urandom, F_GETFD) == FD_CLOEXEC && fcntl(random, F_GETFL) & O_NONBLOCK, "flags");
	target_done();
}
