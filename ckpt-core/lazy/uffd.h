/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* userfaultfd(2) as a lazy restart needs it: faults of the kernel's own accesses included (a guest's memory is read and written
 * by KVM, vhost and read(2)), and an event for whatever changes the layout. Source:
 * Documentation/admin-guide/mm/userfaultfd.rst. */
#ifndef STASIS_LAZY_UFFD_H
#define STASIS_LAZY_UFFD_H

#include <linux/userfaultfd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A descriptor of /dev/userfaultfd, or -1: whoever may open it needs no capability. */
int uffd_device(void);

/* Makes one for the memory of the calling process: through the device (may be -1), else by the system call. Returns it,
 * close-on-exec and non-blocking, or -EPERM when the caller may have none that serves the kernel's accesses, or another
 * negative errno. */
int uffd_open(int device);

/* Agrees on the features. `*ret_fork`: forks of the target are told (needs CAP_SYS_PTRACE in the initial user namespace);
 * without, a child sees zeros where the parent's pages are missing. Returns 0 or a negative errno. */
int uffd_handshake(int fd, bool *ret_fork);

/* Missing pages of [start, start + size) are asked for from now on. Returns 0 or a negative errno. */
int uffd_register(int fd, uint64_t start, uint64_t size);

/* Puts pages in, and wakes who waits for them. `*ret_done` bytes were put in, also on failure. -EEXIST: the page behind those
 * is there; -EAGAIN: an event must be read first; -ENOENT: not mapped, not registered, or not a single mapping; -ESRCH: the
 * process has ended or become another program. */
int uffd_copy(int fd, uint64_t addr, const void *data, size_t size, size_t *ret_done);
int uffd_zero(int fd, uint64_t addr, size_t size, size_t *ret_done);

void uffd_wake(int fd, uint64_t addr, size_t size);

#endif
