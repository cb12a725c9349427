// SPDX-License-Identifier: LGPL-2.1-or-later
/* Hosts compared: processor features by name, and an old vdso tied to this kernel's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <time.h>

#include "base/io.h"
#include "cpu.h"
#include "proc/maps.h"
#include "restore/vdso.h"

static void same_processor_lacks_nothing(void **state)
{
	struct img_bytes cpuid;
	uint64_t xcr0;
	char *names;

	(void)state;
	assert_int_equal(cpu_capture(&cpuid, &xcr0), 0);
	assert_int_equal(cpu_missing(&cpuid, xcr0, &cpuid, xcr0, &names), 0);
	assert_string_equal(names, "");
	free(names);
	free(cpuid.data);
}

static void lesser_processor_is_told_by_name(void **state)
{
	struct cpu_leaf then[] = { { 1, 0, { 0, 0, 1u << 28 | 1u << 12, 0 } }, { 7, 0, { 0, 1u << 5, 0, 0 } } };
	struct cpu_leaf now[] = { { 1, 0, { 0, 0, 1u << 12, 0 } } };
	struct img_bytes a = { then, sizeof(then) }, b = { now, sizeof(now) };
	char *names;

	(void)state;
	assert_int_equal(cpu_missing(&a, 7, &b, 3, &names), 0);
	assert_string_equal(names, " avx avx2 xcr0:0x4");
	free(names);
	assert_int_equal(cpu_missing(&b, 3, &a, 7, &names), 0);
	assert_string_equal(names, "");
	free(names);
}

static void damaged_cpuid_is_harmless(void **state)
{
	char junk[5] = "junk";
	struct img_bytes then = { junk, sizeof(junk) }, none = { 0 };
	char *names;

	(void)state;
	assert_int_equal(cpu_missing(&then, 0, &none, 0, &names), 0);
	assert_string_equal(names, "");
	free(names);
}

/* This kernel's vdso, as "old" in a copy of its own and as "new" in place. */
static size_t own_vdso(const uint8_t **ret)
{
	char *text;
	size_t size, n, len = 0;
	struct proc_vma *vmas;

	assert_int_equal(io_read_filef(&text, &size, "/proc/self/maps"), 0);
	assert_int_equal(proc_maps_parse(text, size, &vmas, &n), 0);
	for (size_t i = 0; i < n; i++) {
		if (!strcmp(vmas[i].name, "[vdso]")) {
			*ret = (const uint8_t *)vmas[i].start;
			len = vmas[i].end - vmas[i].start;
		}
	}
	proc_maps_free(vmas, n);
	free(text);
	return len;
}

static void redirected_function_tells_this_kernels_time(void **state)
{
	const uint8_t *now;
	size_t size = own_vdso(&now);
	struct timespec a, b, c;

	(void)state;
	if (!size)
		skip();
	uint8_t *old = mmap(NULL, size, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memcpy(old, now, size);
	assert_int_equal(vdso_redirect(old, size, now, size, (uint64_t)now), 0);
	assert_memory_not_equal(old, now, size);
	void *handle = dlopen("linux-vdso.so.1", RTLD_NOW | RTLD_NOLOAD);
	uint8_t *symbol = handle ? dlsym(handle, "__vdso_clock_gettime") : NULL;
	if (!symbol)
		skip();
	int (*gettime)(clockid_t, struct timespec *) = (int (*)(clockid_t, struct timespec *))(old + (symbol - now));
	clock_gettime(CLOCK_MONOTONIC, &a);
	assert_int_equal(gettime(CLOCK_MONOTONIC, &b), 0);
	clock_gettime(CLOCK_MONOTONIC, &c);
	assert_true(a.tv_sec < b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec <= b.tv_nsec));
	assert_true(b.tv_sec < c.tv_sec || (b.tv_sec == c.tv_sec && b.tv_nsec <= c.tv_nsec));
	munmap(old, size);
}

static void damaged_vdso_is_refused_or_harmless(void **state)
{
	const uint8_t *now;
	size_t size = own_vdso(&now);

	(void)state;
	if (!size)
		skip();
	uint8_t *old = malloc(size);
	for (size_t cut = 0; cut < size; cut += 97) {
		uint8_t *part = malloc(cut + 1);
		memcpy(part, now, cut);
		vdso_redirect(part, cut, now, size, (uint64_t)now);
		free(part);
	}
	srand(1);
	for (int i = 0; i < 5000; i++) {
		memcpy(old, now, size);
		for (int k = 0; k < 8; k++)
			old[(size_t)rand() % size] ^= (uint8_t)(1 << rand() % 8);
		vdso_redirect(old, size, now, size, (uint64_t)now);
	}
	free(old);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_processor_lacks_nothing),
		cmocka_unit_test(lesser_processor_is_told_by_name),
		cmocka_unit_test(damaged_cpuid_is_harmless),
		cmocka_unit_test(redirected_function_tells_this_kernels_time),
		cmocka_unit_test(damaged_vdso_is_refused_or_harmless),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
