// SPDX-License-Identifier: LGPL-2.1-or-later
/* FIFOs opened by path keep their data and their ends; one of them has been removed from its directory since. */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "target.h"

int main(int argc, char **argv)
{
	const char *path[2] = { 0 };
	char buf[100];
	int rd[2], wr[2];
	struct stat a, b;

	target_init(argc, argv);
	path[0] = target_path("fifo");
	path[1] = target_path("removed");
	for (int i = 0; i < 2; i++) {
		target_check(mkfifo(path[i], 0600) == 0, "%m");
		rd[i] = open(path[i], O_RDONLY | O_NONBLOCK);
		wr[i] = open(path[i], O_WRONLY);
		target_check(rd[i] >= 0 && wr[i] >= 0, "%m");
		target_check(write(wr[i], "data inside", 11) == 11, "%m");
	}
	unlink(path[1]);
	target_ready();
	while (target_turn())
		;
	for (int i = 0; i < 2; i++) {
		target_check(fcntl(rd[i], F_GETFL) & O_NONBLOCK && !(fcntl(wr[i], F_GETFL) & O_NONBLOCK), "flags of %s",
		             path[i]);
		target_check(read(rd[i], buf, sizeof(buf)) == 11 && memcmp(buf, "data inside", 11) == 0, "contents of %s",
		             path[i]);
		target_check(write(wr[i], "more", 4) == 4 && read(rd[i], buf, sizeof(buf)) == 4, "%s: %m", path[i]);
		close(wr[i]);
		target_check(read(rd[i], buf, sizeof(buf)) == 0, "%s does not end", path[i]);
	}
	target_check(fstat(rd[0], &a) == 0 && stat(path[0], &b) == 0 && a.st_ino == b.st_ino,
	             "not the FIFO of that path any more");
	target_check(access(path[1], F_OK) == -1, "the removed FIFO is back");
	target_done();
}
