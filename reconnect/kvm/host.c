// SPDX-License-Identifier: LGPL-2.1-or-later
/* Asks /dev/kvm all that a restart compares. Source of every ioctl: Documentation/virt/kvm/api.rst. */
#include "kvm/host.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/cleanup.h"
#include "kvm/names.h"

enum { CPUID_FIRST = 128, CPUID_MOST = 4096, MSRS_MOST = 1 << 16 };

/* KVM_GET_SUPPORTED_CPUID says only that the room was too small, so it is tried with more. */
static int host_cpuid(int kvm_fd, struct kvm_host *host)
{
	for (uint32_t room = CPUID_FIRST; room <= CPUID_MOST; room *= 2) {
		AUTO_FREE struct kvm_cpuid2 *all = calloc(1, sizeof(*all) + room * sizeof(all->entries[0]));

		if (!all)
			return -ENOMEM;
		all->nent = room;
		if (ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, all) < 0) {
			if (errno == E2BIG)
				continue;
			return -errno;
		}
		host->n_cpuid = all->nent < room ? all->nent : room;
		host->cpuid = calloc(host->n_cpuid + 1, sizeof(*host->cpuid));
		if (!host->cpuid)
			return -ENOMEM;
		memcpy(host->cpuid, all->entries, host->n_cpuid * sizeof(*host->cpuid));
		return 0;
	}
	return -E2BIG;
}

/* One of the two lists of MSR numbers. Asked with no room, KVM answers E2BIG and how many there are. */
static int host_msr_list(int kvm_fd, unsigned long request, uint32_t **ret_msrs, size_t *ret_n)
{
	struct kvm_msr_list none = { 0 };
	AUTO_FREE struct kvm_msr_list *all = NULL;
	uint32_t *msrs, room;

	if (ioctl(kvm_fd, request, &none) < 0 && errno != E2BIG)
		return -errno;
	room = none.nmsrs;
	if (room > MSRS_MOST)
		return -E2BIG;
	all = calloc(1, sizeof(*all) + room * sizeof(all->indices[0]));
	if (!all)
		return -ENOMEM;
	all->nmsrs = room;
	if (ioctl(kvm_fd, request, all) < 0)
		return -errno;
	if (all->nmsrs < room)
		room = all->nmsrs;
	msrs = calloc(room + 1u, sizeof(*msrs));
	if (!msrs)
		return -ENOMEM;
	memcpy(msrs, all->indices, room * sizeof(*msrs));
	*ret_msrs = msrs;
	*ret_n = room;
	return 0;
}

/* The feature MSRs one by one, because KVM_GET_MSRS stops at the first it does not like. */
static int host_features(int kvm_fd, struct kvm_host *host)
{
	AUTO_FREE struct kvm_msrs *one = calloc(1, sizeof(*one) + sizeof(one->entries[0]));
	AUTO_FREE uint32_t *list = NULL;
	size_t n;
	int r;

	if (!one)
		return -ENOMEM;
	if (!kvm_host_cap(host, KVM_CAP_GET_MSR_FEATURES))
		return 0;
	r = host_msr_list(kvm_fd, KVM_GET_MSR_FEATURE_INDEX_LIST, &list, &n);
	if (r < 0)
		return r;
	host->features = calloc(n + 1, sizeof(*host->features));
	if (!host->features)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		one->nmsrs = 1;
		one->entries[0] = (struct kvm_msr_entry){ .index = list[i] };
		if (ioctl(kvm_fd, KVM_GET_MSRS, one) == 1)
			host->features[host->n_features++] = one->entries[0];
	}
	return 0;
}

static int host_caps(int kvm_fd, struct kvm_host *host)
{
	host->caps = calloc(KVM_NAMES_CAPS, sizeof(*host->caps));
	if (!host->caps)
		return -ENOMEM;
	for (uint32_t number = 0; number < KVM_NAMES_CAPS; number++) {
		int value = kvm_names_cap(number) ? ioctl(kvm_fd, KVM_CHECK_EXTENSION, (unsigned long)number) : 0;

		if (value > 0)
			host->caps[host->n_caps++] = (struct kvm_cap_value){ number, value };
	}
	return 0;
}

/* The frequency a new vCPU has, which is the host's. A host with an unstable TSC refuses to say: that is "not known". */
static int host_tsc_khz(int kvm_fd, uint32_t *ret_khz)
{
	AUTO_CLOSE int vm = -1, vcpu = -1;
	int khz;

	do
		vm = ioctl(kvm_fd, KVM_CREATE_VM, 0ul);
	while (vm < 0 && errno == EINTR);
	if (vm < 0)
		return -errno;
	vcpu = ioctl(vm, KVM_CREATE_VCPU, 0ul);
	if (vcpu < 0)
		return -errno;
	khz = ioctl(vcpu, KVM_GET_TSC_KHZ, 0ul);
	*ret_khz = khz > 0 ? khz : 0;
	return 0;
}

static int host_fill(int kvm_fd, struct kvm_host *host)
{
	int r = host_caps(kvm_fd, host);

	if (r < 0)
		return r;
	r = host_cpuid(kvm_fd, host);
	if (r < 0)
		return r;
	r = host_msr_list(kvm_fd, KVM_GET_MSR_INDEX_LIST, &host->msrs, &host->n_msrs);
	if (r < 0)
		return r;
	r = host_features(kvm_fd, host);
	if (r < 0)
		return r;
	if (kvm_host_cap(host, KVM_CAP_GET_TSC_KHZ)) {
		r = host_tsc_khz(kvm_fd, &host->tsc_khz);
		if (r < 0)
			return r;
	}
	host->tsc_scaling = kvm_host_cap(host, KVM_CAP_TSC_CONTROL);
	host->xsave_size = kvm_host_cap(host, KVM_CAP_XSAVE2);
	if (host->xsave_size < sizeof(struct kvm_xsave))
		host->xsave_size = sizeof(struct kvm_xsave);
	if (kvm_host_cap(host, KVM_CAP_SYS_ATTRIBUTES)) {
		struct kvm_device_attr attr = { .attr = KVM_X86_XCOMP_GUEST_SUPP, .addr = (uintptr_t)&host->xcomp_supported };

		if (ioctl(kvm_fd, KVM_GET_DEVICE_ATTR, &attr) < 0)
			host->xcomp_supported = 0;
	}
	return 0;
}

int kvm_host_read(int kvm_fd, struct kvm_host *ret_host)
{
	struct kvm_host host = { .api_version = ioctl(kvm_fd, KVM_GET_API_VERSION, 0ul) };
	int r = 0;

	if (host.api_version < 0)
		return errno == ENOTTY || errno == EINVAL ? -ENODEV : -errno;
	if (host.api_version == KVM_API_VERSION) /* another API has other ioctls: kvm_compare() refuses it */
		r = host_fill(kvm_fd, &host);
	if (r < 0) {
		kvm_host_finish(&host);
		return r;
	}
	*ret_host = host;
	return 0;
}

int kvm_host_cap(const struct kvm_host *host, uint32_t number)
{
	for (size_t i = 0; i < host->n_caps; i++)
		if (host->caps[i].number == number)
			return host->caps[i].value > 0 ? host->caps[i].value : 0;
	return 0;
}

void kvm_host_finish(struct kvm_host *host)
{
	free(host->cpuid);
	free(host->msrs);
	free(host->features);
	free(host->caps);
	*host = (struct kvm_host){ 0 };
}
