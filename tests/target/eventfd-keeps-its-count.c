// SPDX-License-Identifier: LGPL-2.1-or-later
/* Event counters of every sort (plain, semaphore, non-blocking, nearly full) keep count, kind, flags and descriptor number. */
#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "target.h"

static uint64_t take(int fd)
{
	uint64_t v = 0;

	target_check(read(fd, &v, 8) == 8, "fd %d: %m", fd);
	return v;
}

int main(int argc, char **argv)
{
	int plain, semaphore, empty, full, shared;
	uint64_t one = 1, turns = 0;

	target_init(argc, argv);
	plain = eventfd(12345, EFD_CLOEXEC);
	semaphore = eventfd(3, EFD_SEMAPHORE);
	empty = eventfd(0, EFD_NONBLOCK);
	full = eventfd(0, EFD_NONBLOCK);
	eventfd_write(full, 0xfffffffffffffffe);
	shared = dup2(plain, 700);
	target_ready();
	while (target_turn()) {
		eventfd_write(plain, 1);
		turns++;
		target_check(read(empty, &one, 8) == -1 && errno == EAGAIN, "the empty one is not empty");
		one = 1;
		target_check(write(full, &one, 8) == -1 && errno == EAGAIN, "the full one is not full");
	}
	target_check(fcntl(plain, F_GETFD) == FD_CLOEXEC && fcntl(shared, F_GETFD) == 0 && fcntl(semaphore, F_GETFD) == 0,
	             "close-on-exec");
	target_check(!(fcntl(plain, F_GETFL) & O_NONBLOCK) && fcntl(empty, F_GETFL) & O_NONBLOCK, "flags");
	target_check(take(shared) == 12345 + turns, "the count, read through the duplicate, is wrong after %lu turns", turns);
	for (int i = 0; i < 3; i++)
		target_check(take(semaphore) == 1, "semaphore");
	fcntl(semaphore, F_SETFL, O_NONBLOCK);
	target_check(read(semaphore, &one, 8) == -1 && errno == EAGAIN, "the semaphore had more than three");
	target_check(take(full) == 0xfffffffffffffffe, "the full one");
	target_done();
}
