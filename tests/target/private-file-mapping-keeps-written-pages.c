// SPDX-License-Identifier: LGPL-2.1-or-later
/* A private mapping of a file keeps the pages that were written to, takes the others from the file, also where the file grows
 * later, and its written pages stay out of the file. The last page reaches past the end of the file. */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "target.h"

#define PAGES 64
#define SIZE (PAGES * 4096)

static char data[SIZE];

int main(int argc, char **argv)
{
	const char *path;
	char *rw, *ro, *late, word[5] = "";
	int fd;

	target_init(argc, argv);
	path = target_path("file");
	fd = open(path, O_CREAT | O_RDWR, 0600);
	target_fill(data, SIZE, 5);
	target_check(write(fd, data, SIZE - 1000) == SIZE - 1000, "%m");
	rw = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	ro = mmap(NULL, SIZE / 2, PROT_READ, MAP_PRIVATE, fd, SIZE / 2);
	late = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	target_check(rw != MAP_FAILED && ro != MAP_FAILED && late != MAP_FAILED, "%m");
	close(fd);
	for (int i = 0; i < PAGES; i += 5)
		memcpy(rw + i * 4096 + 77, "COWed", 5);
	target_check(rw[SIZE - 1] == 0, "past the end of the file");
	rw[SIZE - 1] = 'e';
	/* Written to, then made inaccessible and read-only again. */
	target_check(mprotect(rw, 4096, PROT_NONE) == 0 && mprotect(rw + 5 * 4096, 4096, PROT_READ) == 0, "%m");
	target_ready();
	while (target_turn())
		for (int i = 1; i < PAGES; i++)
			target_check(rw[i * 4096 + 77] == (i % 5 ? data[i * 4096 + 77] : 'C'), "page %d", i);
	target_check(mprotect(rw, 4096, PROT_READ) == 0, "%m");
	for (int i = 0; i < PAGES - 1; i++) {
		target_check(memcmp(rw + i * 4096 + 77, i % 5 ? data + i * 4096 + 77 : "COWed", 5) == 0, "page %d", i);
		target_check(memcmp(rw + i * 4096 + 82, data + i * 4096 + 82, 4000) == 0, "rest of page %d", i);
	}
	target_check(rw[SIZE - 1] == 'e' && rw[SIZE - 2] == 0, "the part past the end of the file");
	target_check(memcmp(ro, data + SIZE / 2, SIZE / 2 - 1000) == 0, "read-only mapping");
	/* An untouched page is still the file's. */
	fd = open(path, O_RDWR);
	target_check(pread(fd, word, 4, 10 * 4096 + 77) == 4 && memcmp(word, data + 10 * 4096 + 77, 4) == 0,
	             "written pages came into the file");
	target_check(pwrite(fd, "late", 4, 20 * 4096) == 4 && memcmp(late + 20 * 4096, "late", 4) == 0,
	             "the mapping is not of that file any more");
	target_done();
}
