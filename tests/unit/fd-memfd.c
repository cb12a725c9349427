// SPDX-License-Identifier: LGPL-2.1-or-later
/* memfds, shared anonymous memory and shared mappings: contents, names, seals, huge pages, one inode behind all of it. */
#include "fd-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/io.h"

#ifndef MFD_EXEC
#define MFD_NOEXEC_SEAL 0x0008U
#define MFD_EXEC 0x0010U
#endif
#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x0020
#endif

static void make_memfds(void)
{
	at_fd(memfd_create("plain", MFD_CLOEXEC), 10);
	EXPECT_EQ(write(10, "plain", 5), 5);
	at_fd(memfd_create("sealed", MFD_ALLOW_SEALING), 11);
	EXPECT_EQ(ftruncate(11, 3 << 20), 0);
	EXPECT_EQ(pwrite(11, "tail", 4, (3 << 20) - 4), 4);
	EXPECT_EQ(fchmod(11, 0440), 0);
	EXPECT_EQ(fcntl(11, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW), 0);
	/* Two descriptions of one memfd. */
	at_fd(memfd_create("twice", 0), 12);
	EXPECT_EQ(write(12, "0123456789", 10), 10);
	at_fd(open("/proc/self/fd/12", O_RDONLY), 13);
	EXPECT_EQ(lseek(13, 3, SEEK_SET), 3);
	int fd = memfd_create("noexec", MFD_NOEXEC_SEAL);
	fd_shared->value[0] = fd >= 0; /* 6.3 */
	at_fd(fd >= 0 ? fd : memfd_create("noexec", 0), 14);
}

static void check_memfds(void)
{
	char buf[16];
	struct stat a, b;

	expect_open(10, "/memfd:plain (deleted)", O_RDWR);
	EXPECT_EQ(fcntl(10, F_GETFD), FD_CLOEXEC);
	EXPECT_EQ(lseek(10, 0, SEEK_CUR), 5);
	EXPECT_EQ(pread(10, buf, 16, 0), 5);
	EXPECT_EQ(fcntl(10, F_GET_SEALS), F_SEAL_SEAL);
	expect_open(11, "/memfd:sealed (deleted)", O_RDWR);
	EXPECT_EQ(fcntl(11, F_GET_SEALS), F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW);
	EXPECT_EQ(fstat(11, &a), 0);
	EXPECT_EQ(a.st_size, 3 << 20);
	EXPECT_EQ(a.st_mode, S_IFREG | 0440);
	EXPECT_EQ(a.st_blocks, 8);
	EXPECT_EQ(pread(11, buf, 16, (3 << 20) - 4), 4);
	EXPECT(!memcmp(buf, "tail", 4));
	EXPECT_EQ(pwrite(11, "x", 1, 0), -1);
	EXPECT(!same_description(12, 13));
	EXPECT_EQ(fstat(12, &a), 0);
	EXPECT_EQ(fstat(13, &b), 0);
	EXPECT_EQ(a.st_ino, b.st_ino);
	EXPECT_EQ(read(13, buf, 16), 7);
	expect_open(13, "/memfd:twice (deleted)", O_RDONLY);
	EXPECT_EQ(fstat(14, &a), 0);
	if (fd_shared->value[0]) {
		EXPECT_EQ(a.st_mode & 0777, 0666);
		EXPECT(fcntl(14, F_GET_SEALS) & F_SEAL_EXEC);
	}
	EXPECT_EQ(fstat(10, &a), 0);
	EXPECT_EQ(a.st_mode & 0777, 0777);
}

static void memfd_keeps_contents_name_and_seals(void **state)
{
	fd_round_trip(*state, make_memfds, check_memfds);
}

/* ---- mappings ---- */

#define LEN (64 * 4096)

/* Addresses chosen by the kernel go down, and mappings are met from the lowest: the order is asked for. */
static char *map_at(int n, int prot, int flags, int fd, off_t offset)
{
	char *want = (char *)0x10000000 + n * 0x1000000l;
	char *p = mmap(want, LEN, prot, flags | MAP_FIXED_NOREPLACE, fd, offset);

	EXPECT(p == want);
	return p;
}

static void make_mappings(void)
{
	char *p;

	/* 0: a memfd that is open; 1: one whose descriptor is closed; 2: shared anonymous memory; 3: a deleted file. */
	at_fd(memfd_create("ram", MFD_ALLOW_SEALING), 10);
	EXPECT_EQ(ftruncate(10, 2 * LEN), 0);
	p = map_at(0, PROT_READ | PROT_WRITE, MAP_SHARED, 10, LEN);
	strcpy(p + 4096, "guest");
	EXPECT_EQ(fcntl(10, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), 0);
	int fd = memfd_create("closed", 0);
	EXPECT_EQ(ftruncate(fd, LEN), 0);
	p = map_at(1, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	strcpy(p, "memfd");
	close(fd);
	p = map_at(2, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	strcpy(p + LEN - 4096, "anonymous");
	EXPECT_EQ(mprotect(p, 4096, PROT_NONE), 0);
	fd = open(fd_shared->name[0], O_RDWR | O_CREAT | O_EXCL, 0600);
	EXPECT_EQ(ftruncate(fd, LEN), 0);
	p = map_at(3, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	strcpy(p + 2 * 4096, "deleted");
	EXPECT_EQ(unlink(fd_shared->name[0]), 0);
	close(fd);
	/* 4: a file that has a name and is written through a mapping; 5: one that is only read. */
	fd = open(fd_shared->name[1], O_RDWR | O_CREAT, 0600);
	EXPECT_EQ(ftruncate(fd, LEN), 0);
	p = map_at(4, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	strcpy(p, "named");
	close(fd);
	fd = open(fd_shared->name[1], O_RDONLY);
	map_at(5, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
}

static void expect_text(unsigned n, bool writable, off_t at, const char *text)
{
	int fd = fd_mapping_fd(n, writable);
	char *p = mmap(NULL, 4096, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, at);

	EXPECT(fd >= 0);
	EXPECT(p != MAP_FAILED);
	EXPECT(!strcmp(p, text));
	if (writable)
		strcpy(p, "changed");
}

static void check_mappings(void)
{
	/* A writable mapping was there before the seal; now that it is set no new one can be made. */
	EXPECT_EQ(fcntl(10, F_GET_SEALS), F_SEAL_FUTURE_WRITE);
	EXPECT(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, 10, 0) == MAP_FAILED);
	expect_text(0, false, LEN + 4096, "guest");
	expect_text(1, true, 0, "memfd");
	EXPECT_EQ(fd_mapping_fd(2, true), fd_mapping_fd(3, true));
	expect_text(3, true, LEN - 4096, "anonymous");
	expect_text(4, true, 2 * 4096, "deleted");
	expect_text(5, true, 0, "named");
	expect_text(6, false, 0, "changed");
}

static void shared_memory_keeps_contents_and_sharing(void **state)
{
	struct fd_fixture *f = *state;

	snprintf(fd_shared->name[0], 256, "%s/deleted", f->dir);
	snprintf(fd_shared->name[1], 256, "%s/named", f->dir);
	f->mappings = true;
	fd_start(f, make_mappings);
	fd_shared->value[63] = f->target;
	if (fd_checkpoint(f) || fd_restart(f, check_mappings))
		fail_msg("%s", f->said);
}

/* ---- huge pages ---- */

static void make_huge(void)
{
	at_fd(memfd_create("huge", MFD_HUGETLB | MFD_HUGE_2MB), 10);
	EXPECT_EQ(ftruncate(10, 4 << 20), 0);
	char *p = mmap(NULL, 4 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, 10, 0);
	EXPECT(p != MAP_FAILED);
	strcpy(p + (2 << 20) + 5000, "huge");
}

static void check_huge(void)
{
	char *p = mmap(NULL, 4 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, 10, 0);
	struct stat st;

	EXPECT(p != MAP_FAILED);
	EXPECT(!strcmp(p + (2 << 20) + 5000, "huge"));
	EXPECT_EQ(fstat(10, &st), 0);
	EXPECT_EQ(st.st_blksize, 2 << 20);
	expect_open(10, "/memfd:huge (deleted)", O_RDWR);
}

static void huge_pages_stay_huge(void **state)
{
	AUTO_FREE char *before = NULL;

	/* Four pages: two of the target, two of the restored process. They are given back at the end. */
	if (io_read_filef(&before, NULL, "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages") ||
	    io_write_textf("8", "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages")) {
		print_message("no huge pages may be reserved here: not tested\n");
		skip();
	}
	int fd = memfd_create("probe", MFD_HUGETLB | MFD_HUGE_2MB);
	void *p = fd >= 0 ? mmap(NULL, 8 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
	close(fd);
	if (p == MAP_FAILED) {
		io_write_textf(before, "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages");
		print_message("no huge pages are free here: not tested\n");
		skip();
	}
	munmap(p, 8 << 20);
	fd_round_trip(*state, make_huge, check_huge);
	io_write_textf(before, "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fd_fixture_setup, fd_fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(memfd_keeps_contents_name_and_seals),
		TEST(shared_memory_keeps_contents_and_sharing),
		TEST(huge_pages_stay_huge),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
