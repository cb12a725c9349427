// SPDX-License-Identifier: LGPL-2.1-or-later
/* mutate-images IMAGE OUTDIR SEED COUNT [FIRST] writes altered copies of an image, OUTDIR/mutated-N.stasis, and says on
 * standard output what is wrong with each. Copy N depends on the image, SEED and N only, so a bad one can be made again. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "mutate.h"
#include "reseal.h"

#define ROOM 65536 /* bytes a copy may grow */

static int fail(const char *what, int err)
{
	fprintf(stderr, "mutate-images: %s: %s\n", what, strerror(-err));
	return 1;
}

static int write_copy(const char *dir, unsigned long n, const uint8_t *image, size_t size)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s/mutated-%lu.stasis", dir, n) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	return io_write_all(fd, image, size);
}

/* One to four alterations; three of four copies get right checksums again. */
static size_t alter(uint8_t *image, size_t size, unsigned long seed, unsigned long n)
{
	uint64_t state = seed * UINT64_C(0x2545f4914f6cdd1d) + n;
	size_t room = size + ROOM, times = 1 + mutate_random(&state) % 4;

	printf("mutated-%lu.stasis:", n);
	for (size_t i = 0; i < times; i++) {
		const char *what;
		size = mutate_image(image, size, room, &state, &what);
		printf("%s %s", i ? "," : "", what);
	}
	bool sealed = mutate_random(&state) % 4;
	if (sealed)
		reseal_image(image, size);
	printf("; checksums %s\n", sealed ? "right" : "as they were");
	return size;
}

int main(int argc, char **argv)
{
	AUTO_FREE char *image = NULL;
	size_t size;

	if (argc < 5 || argc > 6) {
		fprintf(stderr, "usage: mutate-images IMAGE OUTDIR SEED COUNT [FIRST]\n");
		return 2;
	}
	unsigned long seed = strtoul(argv[3], NULL, 10), count = strtoul(argv[4], NULL, 10);
	unsigned long first = argc > 5 ? strtoul(argv[5], NULL, 10) : 0;
	int err = io_read_file_at(AT_FDCWD, argv[1], &image, &size);
	if (err)
		return fail(argv[1], err);
	AUTO_FREE uint8_t *copy = malloc(size + ROOM);
	if (!copy)
		return fail(argv[1], -ENOMEM);
	for (unsigned long n = first; n < first + count; n++) {
		memcpy(copy, image, size);
		memset(copy + size, 0, ROOM);
		err = write_copy(argv[2], n, copy, alter(copy, size, seed, n));
		if (err)
			return fail(argv[2], err);
	}
	return fflush(stdout) ? fail("standard output", -errno) : 0;
}
