// SPDX-License-Identifier: LGPL-2.1-or-later
/* Small things around batches of injected ioctls. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "kvm.h"
#include "requests.h"

uint64_t kvm_calls_ioctl(struct stasis_calls *c, unsigned flags, int fd, uint64_t request, const void *data, size_t size, size_t *ret_index)
{
	uint64_t at = size ? stasis_calls_put(c, data, size) : 0;
	size_t index = stasis_calls_add(c, flags, SYS_ioctl, (uint64_t)fd, request, at, 0);

	if (ret_index)
		*ret_index = index;
	return at;
}

uint64_t kvm_calls_msr(struct stasis_calls *c, int fd, uint64_t request, uint32_t index, uint64_t value, size_t *ret_index)
{
	struct kvm_one_msr m = { .head.nmsrs = 1, .entry = { .index = index, .data = value } };

	return kvm_calls_ioctl(c, STASIS_MAY_FAIL, fd, request, &m, sizeof(m), ret_index);
}

int kvm_bytes_copy(const void *data, size_t size, struct img_bytes *ret)
{
	void *copy = malloc(size);

	if (!copy)
		return -ENOMEM;
	memcpy(copy, data, size);
	free(ret->data);
	*ret = (struct img_bytes){ copy, size };
	return 0;
}

int kvm_bytes_from(struct stasis_calls *c, uint64_t addr, size_t size, struct img_bytes *ret)
{
	return kvm_bytes_copy(stasis_calls_at(c, addr), size, ret);
}

const char *kvm_request_name(uint64_t request, char buf[32])
{
	const struct kvm_request *r = kvm_request_find(request);

	if (r)
		return r->name;
	snprintf(buf, 32, "KVM ioctl %#lx", request);
	return buf;
}
