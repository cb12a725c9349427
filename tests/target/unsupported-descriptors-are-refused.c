// SPDX-License-Identifier: LGPL-2.1-or-later
/* Descriptors that cannot be checkpointed (yet): an io_uring ring, a userfaultfd, a fanotify group or a raw netlink socket as
 * far as this machine gives them. All of them must be named at once, and nothing of them may have been touched. */
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/userfaultfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "target.h"

int main(int argc, char **argv)
{
	struct io_uring_params params = { 0 };
	int ring, uffd;

	target_init(argc, argv);
	ring = syscall(SYS_io_uring_setup, 4, &params);
	uffd = syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
	if (ring < 0 && uffd < 0)
		target_skip("neither io_uring nor userfaultfd is allowed here");
	if (ring >= 0)
		target_option("refused=io_uring");
	if (uffd >= 0)
		target_option("refused=userfaultfd");
	target_ready();
	while (target_turn()) {
		target_check(ring < 0 || fcntl(ring, F_GETFD) >= 0, "the ring is gone");
		target_check(ring < 0 || syscall(SYS_io_uring_enter, ring, 0, 0, 0, NULL, 0) == 0,
		             "the ring does not answer: %m");
	}
	target_done();
}
