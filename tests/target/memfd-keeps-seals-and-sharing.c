// SPDX-License-Identifier: LGPL-2.1-or-later
/* Memory files keep name, size, contents and seals; several mappings and descriptors of one go on being one, also where a
 * mapping's descriptor is closed. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "target.h"

#define SIZE (1 << 20)

int main(int argc, char **argv)
{
	char *a, *b, *readonly, *private, *kept, path[64], link[300] = "", last = 0;
	int fd, sealed, closed;
	struct stat st;

	target_init(argc, argv);
	fd = memfd_create("with a name", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	target_check(fd >= 0 && ftruncate(fd, SIZE) == 0, "%m");
	a = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	b = mmap(NULL, SIZE / 2, PROT_READ | PROT_WRITE, MAP_SHARED, fd, SIZE / 2);
	private = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	target_fill(a + 4096, 8192, 21); /* holes around it */
	target_fill(b, 8192, 22);
	private[0] = 'p';
	fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK);
	sealed = memfd_create("sealed", MFD_ALLOW_SEALING);
	target_check(write(sealed, "fixed", 5) == 5 &&
	                     fcntl(sealed, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) == 0,
	             "%m");
	readonly = mmap(NULL, 4096, PROT_READ, MAP_SHARED, sealed, 0);
	closed = memfd_create("closed", 0);
	target_check(write(closed, "kept by its mapping", 20) == 20, "%m");
	kept = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, closed, 0);
	close(closed);
	target_ready();
	while (target_turn()) {
		last++;
		a[SIZE / 2 + 9000] = last;
		target_check(b[9000] == last, "two mappings of one file differ");
		target_check(pread(fd, link, 1, SIZE / 2 + 9000) == 1 && link[0] == last, "mapping and descriptor differ");
		target_check(private[SIZE / 2 + 9000] == last && private[0] == 'p' && a[0] == 0, "private mapping");
	}
	target_check(target_filled(a + 4096, 8192, 21) && target_filled(b, 8192, 22), "contents");
	target_check(fcntl(fd, F_GET_SEALS) == F_SEAL_SHRINK, "seals %x", fcntl(fd, F_GET_SEALS));
	target_check(ftruncate(fd, 4096) == -1 && errno == EPERM && ftruncate(fd, 2 * SIZE) == 0, "seals are not in force");
	target_check(fcntl(sealed, F_GET_SEALS) == (F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL), "seals %x",
	             fcntl(sealed, F_GET_SEALS));
	target_check(pwrite(sealed, "x", 1, 0) == -1 && errno == EPERM && memcmp(readonly, "fixed", 6) == 0, "sealed file");
	target_check(fstat(sealed, &st) == 0 && st.st_size == 5, "size %ld", st.st_size);
	target_check(strcmp(kept, "kept by its mapping") == 0, "contents of the file that only a mapping keeps");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	link[readlink(path, link, sizeof(link) - 1)] = 0;
	target_check(strcmp(link, "/memfd:with a name (deleted)") == 0, "its name is %s", link);
	target_check(fcntl(fd, F_GETFD) == FD_CLOEXEC && fcntl(sealed, F_GETFD) == 0, "close-on-exec");
	target_done();
}
