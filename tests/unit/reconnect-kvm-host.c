// SPDX-License-Identifier: LGPL-2.1-or-later
/* What a host's KVM can do is read whole, and nothing is left open or allocated whichever question fails. KVM is played by an
 * ioctl() of this program; where there is a real /dev/kvm, it is asked as well. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kvm/compare.h"

enum { KVM_FD = 1000, N_CPUID = 300, N_MSRS = 40 };

static struct {
	unsigned long fails; /* this request ... */
	int fails_with;	     /* ... fails with this errno */
	int api, cap_value, eintr;
	bool real; /* let everything through */
} play;

static int played_list(struct kvm_msr_list *list, uint32_t n)
{
	uint32_t room = list->nmsrs;

	list->nmsrs = n;
	if (room < n) {
		errno = E2BIG;
		return -1;
	}
	for (uint32_t i = 0; i < n; i++)
		list->indices[i] = 0x100 + i;
	return 0;
}

static int played_cpuid(struct kvm_cpuid2 *cpuid)
{
	if (cpuid->nent < N_CPUID) {
		errno = E2BIG;
		return -1;
	}
	cpuid->nent = N_CPUID;
	for (uint32_t i = 0; i < N_CPUID; i++)
		cpuid->entries[i] = (struct kvm_cpuid_entry2){ .function = i };
	return 0;
}

static int played_kvm(unsigned long request, void *arg)
{
	struct kvm_msrs *msrs = arg;

	switch (request) {
	case KVM_GET_API_VERSION:
		return play.api;
	case KVM_CHECK_EXTENSION:
		return play.cap_value;
	case KVM_GET_SUPPORTED_CPUID:
		return played_cpuid(arg);
	case KVM_GET_MSR_INDEX_LIST:
		return played_list(arg, N_MSRS);
	case KVM_GET_MSR_FEATURE_INDEX_LIST:
		return played_list(arg, 3);
	case KVM_GET_MSRS: /* one of the three cannot be read */
		msrs->entries[0].data = 77;
		return msrs->entries[0].index != 0x101;
	case KVM_GET_DEVICE_ATTR:
		*(uint64_t *)(uintptr_t)((struct kvm_device_attr *)arg)->addr = 3 << 17;
		return 0;
	case KVM_CREATE_VM:
		if (play.eintr-- > 0) {
			errno = EINTR;
			return -1;
		}
		return open("/dev/null", O_RDONLY | O_CLOEXEC);
	}
	errno = ENOTTY;
	return -1;
}

/* In place of the C library's. */
int ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (play.real)
		return syscall(SYS_ioctl, fd, request, arg);
	if (request == play.fails) {
		errno = play.fails_with;
		return -1;
	}
	if (fd == KVM_FD)
		return played_kvm(request, arg);
	if (request == KVM_CREATE_VCPU)
		return open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (request == KVM_GET_TSC_KHZ)
		return 2400000;
	return syscall(SYS_ioctl, fd, request, arg);
}

static int afresh(void **state)
{
	(void)state;
	memset(&play, 0, sizeof(play));
	play.api = KVM_API_VERSION;
	play.cap_value = 5000;
	return 0;
}

static int lowest_free(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	close(fd);
	return fd;
}

static void everything_is_read(void **state)
{
	struct kvm_host h;
	int fd = lowest_free();

	(void)state;
	play.eintr = 2;
	assert_int_equal(kvm_host_read(KVM_FD, &h), 0);
	assert_int_equal(h.api_version, 12);
	assert_int_equal(h.n_cpuid, N_CPUID);
	assert_int_equal(h.cpuid[N_CPUID - 1].function, N_CPUID - 1);
	assert_int_equal(h.n_msrs, N_MSRS);
	assert_int_equal(h.msrs[N_MSRS - 1], 0x100 + N_MSRS - 1);
	assert_int_equal(h.n_features, 2);
	assert_int_equal(h.features[1].index, 0x102);
	assert_int_equal(h.features[1].data, 77);
	assert_true(h.n_caps > 200);
	assert_int_equal(kvm_host_cap(&h, KVM_CAP_IRQCHIP), 5000);
	assert_int_equal(kvm_host_cap(&h, 5), 0); /* has no name: is not asked for */
	assert_int_equal(h.tsc_khz, 2400000);
	assert_int_equal(h.xsave_size, 5000);
	assert_int_equal(h.xcomp_supported, 3 << 17);
	assert_true(h.tsc_scaling);
	assert_int_equal(lowest_free(), fd);
	kvm_host_finish(&h);
	assert_null(h.cpuid);
	kvm_host_finish(&h);
}

static void a_poor_kvm_is_read(void **state)
{
	struct kvm_host h;

	(void)state;
	play.cap_value = 0;
	assert_int_equal(kvm_host_read(KVM_FD, &h), 0);
	assert_int_equal(h.n_caps, 0);
	assert_int_equal(h.n_features, 0);
	assert_int_equal(h.tsc_khz, 0);
	assert_int_equal(h.xsave_size, 4096);
	assert_false(h.tsc_scaling);
	kvm_host_finish(&h);
}

static void unstable_tsc_and_no_attribute_are_no_errors(void **state)
{
	struct kvm_host h;

	(void)state;
	play.fails = KVM_GET_TSC_KHZ;
	play.fails_with = EIO;
	assert_int_equal(kvm_host_read(KVM_FD, &h), 0);
	assert_int_equal(h.tsc_khz, 0);
	kvm_host_finish(&h);
	play.fails = KVM_GET_DEVICE_ATTR;
	assert_int_equal(kvm_host_read(KVM_FD, &h), 0);
	assert_int_equal(h.xcomp_supported, 0);
	kvm_host_finish(&h);
}

static void every_failure_is_handed_on_with_nothing_left(void **state)
{
	static const unsigned long requests[] = { KVM_GET_API_VERSION,	  KVM_GET_SUPPORTED_CPUID, KVM_GET_MSR_INDEX_LIST,
						  KVM_GET_MSR_FEATURE_INDEX_LIST, KVM_CREATE_VM,   KVM_CREATE_VCPU };
	struct kvm_host h = { .tsc_khz = 1 };
	int fd = lowest_free();

	(void)state;
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		play.fails = requests[i];
		play.fails_with = EPERM;
		assert_int_equal(kvm_host_read(KVM_FD, &h), -EPERM);
		assert_int_equal(h.tsc_khz, 1);
		assert_int_equal(lowest_free(), fd);
	}
	play.fails = KVM_GET_SUPPORTED_CPUID;
	play.fails_with = E2BIG;
	assert_int_equal(kvm_host_read(KVM_FD, &h), -E2BIG);
}

static void what_is_not_kvm_is_told(void **state)
{
	struct kvm_host h;
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	(void)state;
	assert_int_equal(kvm_host_read(fd, &h), -ENODEV);
	close(fd);
	assert_int_equal(kvm_host_read(-1, &h), -EBADF);
	play.api = 13; /* read no further: kvm_compare() refuses it */
	assert_int_equal(kvm_host_read(KVM_FD, &h), 0);
	assert_int_equal(h.api_version, 13);
	assert_int_equal(h.n_caps, 0);
}

static void hear(void *ctx, enum kvm_severity severity, const char *remedy, const char *text)
{
	(void)ctx, (void)severity;
	fail_msg("%s; %s", text, remedy ? remedy : "");
}

/* The real one. A guest that has all that KVM offers needs nothing else on the same host. */
static void this_host_equals_itself(void **state)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC), null = lowest_free();
	struct kvm_host a, b;

	(void)state;
	if (fd < 0) {
		print_message("not tested: no /dev/kvm here\n");
		skip();
	}
	play.real = true;
	assert_int_equal(kvm_host_read(fd, &a), 0);
	assert_int_equal(kvm_host_read(fd, &b), 0);
	assert_int_equal(lowest_free(), null);
	assert_true(a.n_cpuid > 5 && a.n_msrs > 20 && a.n_caps > 50);
	struct kvm_guest g = {
		.cpuid = a.cpuid, .n_cpuid = a.n_cpuid, .caps = a.caps, .n_caps = a.n_caps, .n_vcpus = 1, .xcr0 = 1
	};
	assert_int_equal(kvm_compare(&a, &b, &g, hear, NULL), 0);
	kvm_host_finish(&a);
	kvm_host_finish(&b);
	close(fd);
}

#define T(f) cmocka_unit_test_setup(f, afresh)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(everything_is_read),
		T(a_poor_kvm_is_read),
		T(unstable_tsc_and_no_attribute_are_no_errors),
		T(every_failure_is_handed_on_with_nothing_left),
		T(what_is_not_kvm_is_told),
		T(this_host_equals_itself),
	};

	return cmocka_run_group_tests_name("reconnect-kvm-host", tests, NULL, NULL);
}
