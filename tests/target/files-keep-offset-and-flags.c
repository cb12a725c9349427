// SPDX-License-Identifier: LGPL-2.1-or-later
/* Regular files keep offset, access mode, status flags, owner and close-on-exec, each open file once: duplicates share the
 * offset, a second open of the same file has its own. A file that is only appended to is a log: it is never taken back to an
 * earlier state. */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "target.h"

static int create(const char *name, int flags)
{
	int fd = open(target_path(name), O_CREAT | flags, 0640);

	target_check(fd >= 0, "%s: %m", name);
	return fd;
}

int main(int argc, char **argv)
{
	int rw, copy, second, high, append, excl, written;
	struct stat st, now;
	char c, page[4096];
	off_t n = 0;

	target_init(argc, argv);
	rw = create("data", O_RDWR | O_NOATIME);
	target_fill(page, sizeof(page), 3);
	target_check(write(rw, page, sizeof(page)) == sizeof(page), "%m");
	lseek(rw, 100, SEEK_SET);
	copy = dup(rw);
	high = fcntl(rw, F_DUPFD_CLOEXEC, 900);
	second = open(target_path("data"), O_RDONLY | O_NONBLOCK);
	lseek(second, 2000, SEEK_SET);
	append = create("log", O_WRONLY | O_APPEND | O_DSYNC);
	excl = create("once", O_WRONLY | O_EXCL | O_TRUNC); /* neither may be asked for again */
	written = create("written", O_RDWR);
	target_check(ftruncate(excl, 5) == 0, "%m");
	fcntl(rw, F_SETOWN, getpid());
	fcntl(rw, F_SETSIG, SIGRTMIN + 3);
	target_ready();
	while (target_turn()) {
		target_check(read(n % 2 ? rw : copy, &c, 1) == 1 && c == page[100 + n % 1000], "turn %ld: wrong byte", n);
		target_check(lseek(high, 0, SEEK_CUR) == 101 + n % 1000, "turn %ld: the duplicate is at %ld", n,
		             lseek(high, 0, SEEK_CUR));
		target_check(lseek(second, 0, SEEK_CUR) == 2000, "the second open file moved");
		if (++n % 1000 == 0)
			lseek(rw, 100, SEEK_SET);
		target_check(write(append, "line\n", 5) == 5, "%m");
		target_check(pwrite(written, &n, sizeof(n), 0) == sizeof(n), "%m");
	}
	target_check(fstat(append, &st) == 0 && st.st_size >= 5 * n && st.st_size % 5 == 0, "log has %ld bytes after %ld turns",
	             st.st_size, n);
	target_check(pread(written, page, 8, 0) == 8 && memcmp(page, &n, 8) == 0,
	             "the file written last is not as it was left");
	target_check(stat(target_path("log"), &now) == 0 && st.st_size == now.st_size && (st.st_mode & 0777) == 0640,
	             "log by its path");
	target_check((fcntl(rw, F_GETFL) & ~0100000 /* O_LARGEFILE, always on */) == (O_RDWR | O_NOATIME), "flags %o",
	             fcntl(rw, F_GETFL));
	target_check((fcntl(append, F_GETFL) & (O_ACCMODE | O_APPEND | O_DSYNC)) == (O_WRONLY | O_APPEND | O_DSYNC), "flags %o",
	             fcntl(append, F_GETFL));
	target_check(fcntl(second, F_GETFL) & O_NONBLOCK && write(second, &c, 1) == -1, "flags %o", fcntl(second, F_GETFL));
	target_check(fcntl(high, F_GETFD) == FD_CLOEXEC && fcntl(copy, F_GETFD) == 0, "close-on-exec");
	target_check(fcntl(rw, F_GETOWN) == getpid() && fcntl(copy, F_GETSIG) == SIGRTMIN + 3, "owner %d signal %d",
	             fcntl(rw, F_GETOWN), fcntl(rw, F_GETSIG));
	target_check(fstat(excl, &st) == 0 && st.st_size == 5, "the file opened with O_TRUNC has %ld bytes", st.st_size);
	target_check(fcntl(899, F_GETFD) == -1, "a descriptor too many");
	target_done();
}
