// SPDX-License-Identifier: LGPL-2.1-or-later
/* The program's own file has been deleted while it runs and another one put in its place, as a package upgrade does. Its code,
 * used and not yet used, and the contents behind /proc/self/exe must be the old ones. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "target.h"

static const char rarely_used[20000] = { [0] = 'a', [9999] = 'b', [19999] = 'c' };

static uint64_t sum_of(const char *path)
{
	static char buf[65536];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t sum = 0;
	ssize_t n;

	target_check(fd >= 0, "%s: %m", path);
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		for (ssize_t i = 0; i < n; i++)
			sum = (sum << 5 | sum >> 59) ^ buf[i];
	close(fd);
	return sum;
}

static void copy(const char *from, const char *to)
{
	int in = open(from, O_RDONLY), out = open(to, O_CREAT | O_WRONLY, 0755);
	char buf[65536];
	ssize_t n;

	target_check(in >= 0 && out >= 0, "%m");
	while ((n = read(in, buf, sizeof(buf))) > 0)
		target_check(write(out, buf, n) == n, "%m");
	close(in);
	close(out);
}

int main(int argc, char **argv)
{
	const char *path;
	uint64_t sum;
	int fd;

	target_init(argc, argv);
	path = target_path("upgraded");
	if (!getenv("TARGET_COPIED")) {
		copy("/proc/self/exe", path);
		setenv("TARGET_COPIED", "1", 1);
		execv(path, argv);
		target_fail("execv: %m");
	}
	sum = sum_of("/proc/self/exe");
	unlink(path);
	fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0755);
	target_check(fd >= 0 && write(fd, "another program", 15) == 15, "%m");
	close(fd);
	target_ready();
	while (target_turn())
		;
	target_check(rarely_used[atoi("9999")] == 'b' && rarely_used[atoi("19999")] == 'c', "constants");
	target_check(sum_of("/proc/self/exe") == sum, "/proc/self/exe leads to another file");
	fd = open(path, O_RDONLY);
	char word[20] = "";
	target_check(read(fd, word, 19) == 15 && strcmp(word, "another program") == 0, "the new file was changed");
	target_done();
}
