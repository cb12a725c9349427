// SPDX-License-Identifier: LGPL-2.1-or-later
/* Runs a command and prints how many milliseconds pass from then until a file has grown: first-tick FILE COMMAND...
 * The command must end by itself or put itself into the background with all of its output elsewhere.
 * first-tick --copy FILE prints how long it takes to read a file and to copy it once into fresh memory. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LIMIT_MS 120000.0

static double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1e3 + ts.tv_nsec / 1e6;
}

static long size_of(const char *path)
{
	struct stat st;

	return stat(path, &st) ? 0 : (long)st.st_size;
}

static int copy(const char *path)
{
	static char block[1 << 20];
	double begin = now_ms();
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *to =
	        mmap(NULL, (size_t)size_of(path) + sizeof(block), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	size_t at = 0;
	ssize_t n = -1;

	if (fd < 0 || to == MAP_FAILED) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return 1;
	}
	madvise(to, (size_t)size_of(path), MADV_HUGEPAGE); /* as QEMU advises its guest's memory */
	while ((n = read(fd, block, sizeof(block))) > 0) {
		memcpy(to + at, block, (size_t)n);
		at += (size_t)n;
	}
	printf("%.1f\n", now_ms() - begin);
	return n < 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "--copy"))
		return copy(argv[2]);
	if (argc < 3) {
		fprintf(stderr, "usage: first-tick FILE COMMAND...\n");
		return 2;
	}
	long before = size_of(argv[1]);
	double begin = now_ms();
	pid_t pid = fork();
	if (pid == 0) {
		execvp(argv[2], argv + 2);
		fprintf(stderr, "%s: %s\n", argv[2], strerror(errno));
		_exit(127);
	}
	while (size_of(argv[1]) <= before) {
		int status;
		if (waitpid(pid, &status, WNOHANG) == pid && status) {
			fprintf(stderr, "%s failed: wait status %x\n", argv[2], status);
			return 1;
		}
		if (now_ms() - begin > LIMIT_MS) {
			fprintf(stderr, "%s does not grow\n", argv[1]);
			return 1;
		}
		usleep(200);
	}
	printf("%.1f\n", now_ms() - begin);
	return 0;
}
