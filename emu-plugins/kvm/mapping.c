// SPDX-License-Identifier: LGPL-2.1-or-later
/* Which of several virtual CPUs of the same number (in several machines) a mapping shows: all of them have the same name, and the
 * kernel tells no more. */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "kvm.h"

/* A byte of padding in struct kvm_run that neither KVM nor a VMM looks at (include/uapi/linux/kvm.h). */
#define MARK offsetof(struct kvm_run, padding1)

/* Marks the page of one virtual CPU and looks whether the mapping shows the mark. */
static int shows(struct stasis_session *s, int fd, uint64_t addr, bool *ret)
{
	int copy = stasis_descriptor_copy(s, fd), err = 0;
	uint8_t seen[2] = { 0 };

	if (copy < 0)
		return copy;
	uint8_t *run = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, copy, 0);
	close(copy);
	if (run == MAP_FAILED)
		return -errno;
	uint8_t was = run[MARK];
	for (int i = 0; i < 2 && !err; i++) {
		run[MARK] = (uint8_t)(was + 1 + i);
		err = stasis_read(s, addr + MARK, &seen[i], 1);
	}
	run[MARK] = was;
	munmap(run, 4096);
	*ret = seen[0] == (uint8_t)(was + 1) && seen[1] == (uint8_t)(was + 2);
	return err;
}

int kvm_mapping(struct stasis_session *s, void *state, const struct stasis_mapping *m, int *ret_fd)
{
	const struct stasis_descriptor *d;
	size_t n = stasis_descriptors(s, &d);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		bool found = false;
		if (d[i].fd != d[i].base || strcmp(d[i].link, m->name))
			continue;
		*ret_fd = d[i].fd;
		if (!stasis_is_frozen(s) || m->offset)
			return 0; /* `check` only wants to know that there is one */
		int err = shows(s, d[i].fd, m->start, &found);
		if (err)
			return stasis_fail(s, err, "mapping %lx (%s): which virtual CPU it shows cannot be told: %s", m->start, m->name, strerror(-err));
		if (found)
			return 0;
	}
	*ret_fd = -1;
	return 0;
}
