// SPDX-License-Identifier: LGPL-2.1-or-later
/* Files without a name (deleted, deleted and mapped only, O_TMPFILE) keep contents, offset and the identity between descriptor
 * and mapping; they do not come back into their directory, and another file under the old name is left alone. */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "target.h"

#define SIZE (40 << 10)

static char data[SIZE], back[SIZE];

static int create(const char *name)
{
	int fd = open(target_path(name), O_CREAT | O_EXCL | O_RDWR, 0600);

	target_check(fd >= 0 && write(fd, data, SIZE) == SIZE, "%s: %m", name);
	return fd;
}

int main(int argc, char **argv)
{
	int gone, mapped, nameless, other, n = 0;
	char *shared, *private;
	struct stat st;

	target_init(argc, argv);
	target_fill(data, SIZE, 11);
	gone = create("gone");
	lseek(gone, 1234, SEEK_SET);
	unlink(target_path("gone"));
	mapped = create("mapped");
	shared = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, mapped, 0);
	private = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, mapped, 0);
	target_check(shared != MAP_FAILED && private != MAP_FAILED, "%m");
	close(mapped);
	unlink(target_path("mapped"));
	private[5000] = 'P';
	nameless = open(target_path("."), O_TMPFILE | O_RDWR, 0600);
	target_check(nameless >= 0 && write(nameless, data, SIZE) == SIZE, "%m");
	other = open(target_path("gone"), O_CREAT | O_RDWR, 0600); /* a new file under the old name */
	target_check(write(other, "new", 3) == 3, "%m");
	target_ready();
	while (target_turn()) {
		shared[8192] = ++n;
		target_check(pwrite(gone, &n, sizeof(n), 0) == sizeof(n), "%m");
	}
	target_check(lseek(gone, 0, SEEK_CUR) == 1234, "offset %ld", lseek(gone, 0, SEEK_CUR));
	target_check(pread(gone, back, SIZE, 0) == SIZE && *(int *)back == n && memcmp(back + 4, data + 4, SIZE - 4) == 0,
	             "contents");
	target_check(fstat(gone, &st) == 0 && st.st_nlink == 0, "%d links", (int)st.st_nlink);
	target_check(pread(nameless, back, SIZE, 0) == SIZE && memcmp(back, data, SIZE) == 0, "contents of the nameless file");
	target_check(shared[8192] == (char)n && memcmp(shared, data, 8192) == 0, "contents of the shared mapping");
	target_check(private[5000] == 'P' && private[8192] == shared[8192], "the two mappings are not of one file any more");
	target_check(access(target_path("mapped"), F_OK) == -1, "a deleted file is back");
	target_check(stat(target_path("gone"), &st) == 0 && st.st_size == 3, "the new file under the old name");
	target_done();
}
