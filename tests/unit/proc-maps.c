/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The parser of /proc/PID/maps and smaps: names with newlines and " (deleted)", flags, order, and damaged texts. */
#include "proc-exact.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/io.h"
#include "proc/maps.h"

static const char maps[] = /* of kernel 6.18 */
	"55df5f3ac000-55df5f3ae000 r--p 00002000 fe:00 10952834                   /tmp/x y/fdi\n"
	"55df6f56f000-55df6f590000 rw-p 00000000 00:00 0                          [heap]\n"
	"7f3539a14000-7f3539a17000 rw-p 00000000 00:00 0 \n"
	"7f3539c00000-7f3539c02000 rw-s 00000000 00:01 24                         /dev/zero (deleted)\n"
	"7f3539c02000-7f3539c03000 rw-s 00000000 fe:00 10952785                   /tmp/a\\012b c\\d (deleted)\n"
	"7f3539c03000-7f3539c04000 ---p 00000000 00:00 0                          [anon:guest ram]\n"
	"7f3539c06000-7f3539c0a000 r--p 00000000 00:00 0                          [vvar]\n"
	"7f3539c0a000-7f3539c0c000 r--p 00000000 00:00 0                          [vvar_vclock]\n"
	"7f3539c0c000-7f3539c0e000 r-xp 00000000 00:00 0                          [vdso]\n"
	"7ffd74487000-7ffd744a8000 rw-p 00000000 00:00 0                          [stack]\n"
	"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]\n";

static void names_and_numbers_of_maps(void **state)
{
	struct proc_vma *v;
	size_t n;

	(void)state;
	assert_int_equal(proc_maps_parse(maps, sizeof(maps) - 1, &v, &n), 0);
	assert_int_equal(n, 11);
	assert_int_equal(v[0].start, 0x55df5f3ac000);
	assert_int_equal(v[0].end, 0x55df5f3ae000);
	assert_int_equal(v[0].prot, PROT_READ);
	assert_false(v[0].shared);
	assert_int_equal(v[0].offset, 0x2000);
	assert_int_equal(v[0].dev_major, 0xfe);
	assert_int_equal(v[0].dev_minor, 0);
	assert_int_equal(v[0].ino, 10952834);
	assert_string_equal(v[0].name, "/tmp/x y/fdi");
	assert_false(v[0].has_vm_flags);
	assert_string_equal(v[1].name, "[heap]");
	assert_string_equal(v[2].name, "");
	assert_string_equal(v[3].name, "/dev/zero");
	assert_true(v[3].deleted && v[3].shared);
	assert_string_equal(v[4].name, "/tmp/a\nb c\\d");
	assert_string_equal(v[4].raw, "/tmp/a\\012b c\\d (deleted)");
	assert_true(v[4].deleted);
	assert_string_equal(v[5].name, "[anon:guest ram]");
	assert_int_equal(v[5].prot, PROT_NONE);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(proc_vma_is_vdso(&v[i]), i >= 6 && i <= 8);
	assert_int_equal(v[10].end, 0xffffffffff601000);
	assert_int_equal(v[10].prot, PROT_EXEC);
	proc_maps_free(v, n);
}

static const char smaps[] = /* of kernel 6.18, shortened; the second of a KVM guest's RAM */
	"5601e6dff000-5601e6e01000 r--p 00000000 fe:00 247134                     /usr/bin/cat\n"
	"Size:                  8 kB\n"
	"KernelPageSize:        4 kB\n"
	"MMUPageSize:           4 kB\n"
	"Rss:                   8 kB\n"
	"Anonymous:             0 kB\n"
	"Swap:                  0 kB\n"
	"SwapPss:               0 kB\n"
	"THPeligible:           0\n"
	"VmFlags: rd mr mw me \n"
	"7f3500000000-7f3540000000 rw-p 00000000 00:00 0 \n"
	"KernelPageSize:     2048 kB\n"
	"Rss:              524288 kB\n"
	"Anonymous:        524284 kB\n"
	"Swap:                 12 kB\n"
	"THPeligible:           1\n"
	"ProtectionKey:         5\n"
	"VmFlags: rd wr mr mw me dc ac sd hg mg zz sl";

static void details_of_smaps(void **state)
{
	struct proc_vma *v;
	size_t n;

	(void)state;
	assert_int_equal(proc_maps_parse(smaps, sizeof(smaps) - 1, &v, &n), 0);
	assert_int_equal(n, 2);
	assert_true(v[0].has_vm_flags);
	assert_int_equal(v[0].vm_flags, PROC_VMA_RD | PROC_VMA_MR | PROC_VMA_MW | PROC_VMA_ME);
	assert_int_equal(v[0].rss, 8);
	assert_false(v[0].thp_eligible);
	assert_int_equal(v[1].vm_flags, PROC_VMA_RD | PROC_VMA_WR | PROC_VMA_MR | PROC_VMA_MW | PROC_VMA_ME | PROC_VMA_DC |
						PROC_VMA_AC | PROC_VMA_SD | PROC_VMA_HG | PROC_VMA_MG | PROC_VMA_SL);
	assert_int_equal(v[1].kernel_page_size, 2048);
	assert_int_equal(v[1].rss, 524288);
	assert_int_equal(v[1].anonymous, 524284);
	assert_int_equal(v[1].swap, 12);
	assert_int_equal(v[1].protection_key, 5);
	assert_true(v[1].thp_eligible);
	proc_maps_free(v, n);
}

static const struct proc_vma *find(const struct proc_vma *v, size_t n, const void *address)
{
	for (size_t i = 0; i < n; i++)
		if (v[i].start <= (uintptr_t)address && (uintptr_t)address < v[i].end)
			return &v[i];
	fail_msg("no mapping holds %p", address);
	return NULL;
}

static void mappings_of_this_process(void **state)
{
	char path[] = "/tmp/stasis-\nmaps-XXXXXX", *text;
	int fd = mkstemp(path);
	struct proc_vma *v;
	const struct proc_vma *vma;
	struct stat st;
	void *file, *ram;
	size_t size, n;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 3 * 4096), 0);
	assert_int_equal(fstat(fd, &st), 0);
	file = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 2 * 4096);
	assert_ptr_not_equal(file, MAP_FAILED);
	assert_int_equal(unlink(path), 0);
	ram = mmap(NULL, 64 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_ptr_not_equal(ram, MAP_FAILED);
	assert_int_equal(madvise(ram, 64 * 4096, MADV_DONTFORK), 0);
	memset(ram, 1, 8 * 4096);

	assert_int_equal(io_read_file_at(-100, "/proc/self/smaps", &text, &size), 0);
	assert_int_equal(proc_maps_parse(text, size, &v, &n), 0);
	vma = find(v, n, file);
	assert_string_equal(vma->name, path);
	assert_true(vma->deleted && vma->shared);
	assert_int_equal(vma->offset, 2 * 4096);
	assert_int_equal(vma->ino, st.st_ino);
	assert_int_equal(makedev(vma->dev_major, vma->dev_minor), st.st_dev);
	assert_true(vma->vm_flags & PROC_VMA_SH);
	vma = find(v, n, ram);
	assert_int_equal(vma->prot, PROT_READ | PROT_WRITE);
	assert_true((vma->vm_flags & (PROC_VMA_DC | PROC_VMA_NR)) == (PROC_VMA_DC | PROC_VMA_NR));
	assert_true(vma->anonymous >= 8 * 4);
	assert_int_equal(vma->kernel_page_size, 4);
	assert_true(find(v, n, &st)->vm_flags & PROC_VMA_GD);
	proc_maps_free(v, n);
	free(text);
	munmap(file, 4096);
	munmap(ram, 64 * 4096);
	close(fd);
}

static void no_text_is_no_mappings(void **state)
{
	struct proc_vma *v;
	size_t n;

	(void)state;
	assert_int_equal(proc_maps_parse(NULL, 0, &v, &n), 0);
	assert_int_equal(n, 0);
	proc_maps_free(v, n);
}

static void refused(const char *text)
{
	struct proc_vma *v = (void *)0x10;
	size_t n = 42;

	assert_int_equal(proc_maps_parse(text, strlen(text), &v, &n), -EBADMSG);
	assert_ptr_equal(v, (void *)0x10);
	assert_int_equal(n, 42);
}

static void nonsense_is_refused(void **state)
{
	(void)state;
	refused("\n");
	refused("Rss: 8 kB\n");
	refused("1000-1000 r--p 0 00:00 0\n");
	refused("2000-1000 r--p 0 00:00 0\n");
	refused("1000-2000 r--x 0 00:00 0\n");
	refused("1000-2000 r-- 0 00:00 0\n");
	refused("1000-2000 r--p 0 0000 0\n");
	refused("1000-2000 r--p 0 00:00\n");
	refused("1000-10000000000000000 r--p 0 00:00 0\n");
	refused("1000-3000 r--p 0 00:00 0\n2000-4000 r--p 0 00:00 0\n"); /* overlap */
	refused("3000-4000 r--p 0 00:00 0\n1000-2000 r--p 0 00:00 0 [heap]\n"); /* order */
	refused("1000-2000 r--p 0 00:00 0 /x\nRss: many\n");
	refused("1000-2000 r--p 0 00:00 0 /x\nnot a line\n");
}

static void try_text(const char *text, size_t size)
{
	struct proc_vma *v;
	size_t n;
	int err = proc_maps_parse(text, size, &v, &n);

	assert_true(err == 0 || err == -EBADMSG);
	if (!err)
		proc_maps_free(v, n);
}

static void damage_is_harmless(void **state)
{
	(void)state;
	exact_each_damage(maps, sizeof(maps) - 1, try_text);
	exact_each_damage(smaps, sizeof(smaps) - 1, try_text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_and_numbers_of_maps), cmocka_unit_test(details_of_smaps),
		cmocka_unit_test(mappings_of_this_process),  cmocka_unit_test(no_text_is_no_mappings),
		cmocka_unit_test(nonsense_is_refused),	     cmocka_unit_test(damage_is_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
