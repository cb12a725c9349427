// SPDX-License-Identifier: LGPL-2.1-or-later
/* A shared mapping of a file goes on being the file: what the program writes through it is in the file, and the other way
 * round; the file's contents at a restart are those of the instant of the checkpoint. */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "target.h"

#define SIZE (1 << 20)

int main(int argc, char **argv)
{
	uint64_t *map, value = 0, turns = 0;
	int fd;

	target_init(argc, argv);
	fd = open(target_path("file"), O_CREAT | O_RDWR, 0600);
	target_check(ftruncate(fd, SIZE) == 0, "%m");
	map = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	target_check(map != MAP_FAILED, "%m");
	target_fill(map + 1024, 65536, 8);
	target_ready();
	while (target_turn()) {
		/* The same number in memory, in the mapping, and by way of the descriptor: never more than one step apart. */
		target_check(map[0] == turns, "the mapping says %lu after %lu turns", map[0], turns);
		target_check(pread(fd, &value, 8, 0) == 8 && value == turns, "the file says %lu after %lu turns", value, turns);
		turns++;
		map[0] = turns;
		target_check(pread(fd, &value, 8, 0) == 8 && value == turns, "written through the mapping, not in the file");
		target_check(pwrite(fd, &turns, 8, 800000) == 8 && map[100000] == turns,
		             "written to the file, not in the mapping");
	}
	target_check(target_filled(map + 1024, 65536, 8), "contents");
	close(fd);
	fd = open(target_path("file"), O_RDONLY);
	target_check(pread(fd, &value, 8, 0) == 8 && value == turns, "the file by its path says %lu after %lu turns", value,
	             turns);
	target_check(pread(fd, map + 1024, 65536, 8192) == 65536, "%m");
	target_done();
}
