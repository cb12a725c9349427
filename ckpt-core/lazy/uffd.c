// SPDX-License-Identifier: LGPL-2.1-or-later
/* The calls of userfaultfd. They say nothing: their callers know what a refusal means. */
#include "lazy/uffd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define EVENTS (UFFD_FEATURE_EVENT_REMAP | UFFD_FEATURE_EVENT_REMOVE | UFFD_FEATURE_EVENT_UNMAP)

int uffd_device(void)
{
	return open("/dev/userfaultfd", O_RDWR | O_CLOEXEC);
}

int uffd_open(int device)
{
	int fd = device >= 0 ? ioctl(device, USERFAULTFD_IOC_NEW, O_CLOEXEC | O_NONBLOCK) : -1;

	if (fd < 0)
		fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

int uffd_handshake(int fd, bool *ret_fork)
{
	struct uffdio_api api = { .api = UFFD_API, .features = EVENTS | UFFD_FEATURE_EVENT_FORK };

	*ret_fork = true;
	if (ioctl(fd, UFFDIO_API, &api) == 0)
		return 0;
	/* userfaultfd_api() in fs/userfaultfd.c: a handshake that was refused may be tried again. */
	*ret_fork = false;
	api = (struct uffdio_api){ .api = UFFD_API, .features = EVENTS };
	return ioctl(fd, UFFDIO_API, &api) < 0 ? -errno : 0;
}

int uffd_register(int fd, uint64_t start, uint64_t size)
{
	struct uffdio_register reg = { .range = { start, size }, .mode = UFFDIO_REGISTER_MODE_MISSING };

	return ioctl(fd, UFFDIO_REGISTER, &reg) < 0 ? -errno : 0;
}

int uffd_copy(int fd, uint64_t addr, const void *data, size_t size, size_t *ret_done)
{
	struct uffdio_copy copy = { .dst = addr, .src = (uintptr_t)data, .len = size };
	int err = ioctl(fd, UFFDIO_COPY, &copy) < 0 ? -errno : 0;

	*ret_done = copy.copy > 0 ? (size_t)copy.copy : 0;
	return err;
}

int uffd_zero(int fd, uint64_t addr, size_t size, size_t *ret_done)
{
	struct uffdio_zeropage zero = { .range = { addr, size } };
	int err = ioctl(fd, UFFDIO_ZEROPAGE, &zero) < 0 ? -errno : 0;

	*ret_done = zero.zeropage > 0 ? (size_t)zero.zeropage : 0;
	return err;
}

void uffd_wake(int fd, uint64_t addr, size_t size)
{
	struct uffdio_range range = { addr, size };

	ioctl(fd, UFFDIO_WAKE, &range);
}
