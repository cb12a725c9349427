// SPDX-License-Identifier: LGPL-2.1-or-later
/* Regular files, directories and O_PATH: offsets, flags, names, deleted files, identity. */
#include "fd-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/cleanup.h"

/* A path in the test's directory, by which target and restored process name it as well. */
static char *in_dir(const struct fd_fixture *f, const char *name)
{
	static char path[4][256];
	static unsigned next;
	char *p = path[next++ % 4];

	snprintf(p, sizeof(path[0]), "%s/%s", f->dir, name);
	return p;
}

static void name_files(const struct fd_fixture *f)
{
	snprintf(fd_shared->name[0], 256, "%s", f->dir);
	snprintf(fd_shared->name[1], 256, "%s/a", f->dir);
	snprintf(fd_shared->name[2], 256, "%s/b", f->dir);
	snprintf(fd_shared->name[3], 256, "%s/log (deleted)", f->dir);
}

static void make_files(void)
{
	char path[300];

	put_file(fd_shared->name[1], "0123456789");
	at_fd(open(fd_shared->name[1], O_RDWR | O_CREAT | O_NOFOLLOW), 10);
	EXPECT_EQ(lseek(10, 4, SEEK_SET), 4);
	EXPECT_EQ(dup2(10, 11), 11);
	at_fd(open(fd_shared->name[1], O_RDONLY | O_CLOEXEC | O_NOATIME), 12);
	EXPECT_EQ(lseek(12, 7, SEEK_SET), 7);
	at_fd(open(fd_shared->name[1], O_WRONLY | O_DSYNC | O_NONBLOCK), 13);
	/* A second name of the same file, and a name that looks deleted. */
	EXPECT_EQ(link(fd_shared->name[1], fd_shared->name[2]), 0);
	at_fd(open(fd_shared->name[2], O_RDONLY), 14);
	put_file(fd_shared->name[3], "log\n");
	at_fd(open(fd_shared->name[3], O_WRONLY | O_APPEND), 15);
	at_fd(open(fd_shared->name[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC), 16);
	at_fd(open(fd_shared->name[1], O_PATH), 17);
	snprintf(path, sizeof(path), "%s/link", fd_shared->name[0]);
	EXPECT_EQ(symlink("nowhere", path), 0);
	at_fd(open(path, O_PATH | O_NOFOLLOW), 18);
	at_fd(open("/proc/self/status", O_RDONLY), 19);
	EXPECT_EQ(lseek(19, 5, SEEK_SET), 5);
}

static void check_files(void)
{
	char buf[64], text[300];
	struct stat a, b;

	expect_open(10, fd_shared->name[1], O_RDWR);
	EXPECT(same_description(10, 11));
	EXPECT(!same_description(10, 12));
	EXPECT_EQ(lseek(10, 0, SEEK_CUR), 4);
	EXPECT_EQ(read(11, buf, 2), 2);
	EXPECT(!memcmp(buf, "45", 2));
	EXPECT_EQ(lseek(10, 0, SEEK_CUR), 6);
	expect_open(12, fd_shared->name[1], O_RDONLY | O_NOATIME);
	EXPECT_EQ(fcntl(12, F_GETFD), FD_CLOEXEC);
	EXPECT_EQ(lseek(12, 0, SEEK_CUR), 7);
	expect_open(13, fd_shared->name[1], O_WRONLY | O_DSYNC | O_NONBLOCK);
	expect_open(14, fd_shared->name[2], O_RDONLY);
	EXPECT_EQ(fstat(10, &a), 0);
	EXPECT_EQ(fstat(14, &b), 0);
	EXPECT_EQ(a.st_ino, b.st_ino);
	expect_open(15, fd_shared->name[3], O_WRONLY | O_APPEND);
	EXPECT_EQ(write(15, "more\n", 5), 5);
	expect_file(fd_shared->name[3], "log\nmore\n");
	expect_open(16, fd_shared->name[0], O_RDONLY | O_DIRECTORY);
	EXPECT_EQ(fcntl(16, F_GETFD), FD_CLOEXEC);
	expect_open(17, fd_shared->name[1], O_PATH);
	EXPECT_EQ(fstat(18, &a), 0);
	EXPECT(S_ISLNK(a.st_mode));
	EXPECT_EQ(readlinkat(18, "", buf, sizeof(buf)), 7);
	/* "self" is the restored process. */
	snprintf(text, sizeof(text), "/proc/%d/status", getpid());
	expect_open(19, text, O_RDONLY);
	EXPECT_EQ(lseek(19, 0, SEEK_CUR), 5);
	EXPECT(read(19, buf, sizeof(buf)) > 0);
}

static void files_keep_offset_flags_and_name(void **state)
{
	struct fd_fixture *f = *state;

	name_files(f);
	for (int generations = 1; generations <= 2; generations++) {
		fd_start(f, make_files);
		for (int i = 1; i <= generations; i++) {
			fd_shared->value[63] = f->target;
			if (fd_checkpoint(f) || fd_restart(f, i == generations ? check_files : NULL))
				fail_msg("%s", f->said);
		}
		fd_end_target(f);
		for (int i = 1; i < 4; i++)
			unlink(fd_shared->name[i]);
		unlink(in_dir(f, "link"));
	}
}

static void make_deleted_files(void)
{
	char big[10000];

	memset(big, 'x', sizeof(big));
	at_fd(open(fd_shared->name[1], O_RDWR | O_CREAT | O_EXCL, 0640), 20);
	EXPECT_EQ(write(20, big, sizeof(big)), sizeof(big));
	EXPECT_EQ(ftruncate(20, 50000001), 0);
	EXPECT_EQ(pwrite(20, "end", 3, 49999998), 3);
	/* A second description of the same inode, one with a mode that forbids everything. */
	at_fd(open(fd_shared->name[1], O_RDONLY), 21);
	EXPECT_EQ(lseek(21, 49999998, SEEK_SET), 49999998);
	EXPECT_EQ(fchmod(20, 0), 0);
	EXPECT_EQ(unlink(fd_shared->name[1]), 0);
	at_fd(open(fd_shared->name[0], O_TMPFILE | O_RDWR, 0600), 22);
	EXPECT_EQ(write(22, "nameless", 8), 8);
	/* The name is somebody else's by now. */
	at_fd(open(fd_shared->name[2], O_RDWR | O_CREAT, 0600), 23);
	EXPECT_EQ(write(23, "old", 3), 3);
	EXPECT_EQ(unlink(fd_shared->name[2]), 0);
	put_file(fd_shared->name[2], "new");
	/* A directory that was removed. */
	EXPECT_EQ(mkdir(fd_shared->name[3], 0700), 0);
	at_fd(open(fd_shared->name[3], O_RDONLY | O_DIRECTORY), 24);
	EXPECT_EQ(rmdir(fd_shared->name[3]), 0);
}

static void check_deleted_files(void)
{
	char buf[16], path[300];
	struct stat a, b;

	EXPECT_EQ(lseek(20, 0, SEEK_CUR), 10000);
	EXPECT_EQ(fstat(20, &a), 0);
	EXPECT_EQ(fstat(21, &b), 0);
	EXPECT_EQ(a.st_ino, b.st_ino);
	EXPECT_EQ(a.st_size, 50000001);
	EXPECT_EQ(a.st_nlink, 0);
	EXPECT_EQ(a.st_mode, S_IFREG | 0);
	EXPECT(a.st_blocks * 512 < 1000000); /* holes are holes again */
	EXPECT_EQ(read(21, buf, sizeof(buf)), 3);
	EXPECT(!memcmp(buf, "end", 3));
	EXPECT_EQ(pread(20, buf, 2, 9999), 2);
	EXPECT(!memcmp(buf, "x\0", 2));
	EXPECT_EQ(pwrite(20, "Y", 1, 0), 1);
	EXPECT_EQ(pread(21, buf, 1, 0), 1);
	EXPECT_EQ(buf[0], 'Y');
	snprintf(path, sizeof(path), "%s (deleted)", fd_shared->name[1]);
	expect_open(20, path, O_RDWR);
	EXPECT_EQ(pread(22, buf, sizeof(buf), 0), 8);
	EXPECT(!memcmp(buf, "nameless", 8));
	/* It can still be given a name. */
	EXPECT_EQ(linkat(AT_FDCWD, "/proc/self/fd/22", AT_FDCWD, fd_shared->name[1], AT_SYMLINK_FOLLOW), 0);
	expect_file(fd_shared->name[1], "nameless");
	EXPECT_EQ(unlink(fd_shared->name[1]), 0);
	EXPECT_EQ(pread(23, buf, sizeof(buf), 0), 3);
	EXPECT(!memcmp(buf, "old", 3));
	expect_file(fd_shared->name[2], "new");
	EXPECT_EQ(unlink(fd_shared->name[2]), 0);
	EXPECT_EQ(fstat(24, &a), 0);
	EXPECT(S_ISDIR(a.st_mode) && a.st_nlink == 0);
}

static void deleted_files_come_back_without_a_name(void **state)
{
	struct fd_fixture *f = *state;

	name_files(f);
	snprintf(fd_shared->name[3], 256, "%s/gone", f->dir);
	fd_round_trip(f, make_deleted_files, check_deleted_files);
}

/* ---- identity of files that are only read ---- */

static void make_reader(void)
{
	at_fd(open(fd_shared->name[1], O_RDONLY), 10);
}

static void check_reader(void)
{
	char buf[16];

	EXPECT_EQ(read(10, buf, sizeof(buf)), 4);
	EXPECT(!memcmp(buf, fd_shared->name[3], 4));
}

/* Checkpoints a reader of a, then changes what there is. */
static void capture_reader(struct fd_fixture *f)
{
	name_files(f);
	strcpy(fd_shared->name[3], "same");
	put_file(fd_shared->name[1], "same");
	fd_start(f, make_reader);
	assert_int_equal(fd_checkpoint(f), 0);
}

static void file_with_the_same_contents_is_accepted(void **state)
{
	struct fd_fixture *f = *state;

	capture_reader(f);
	unlink(fd_shared->name[1]);
	put_file(fd_shared->name[1], "same");
	if (fd_restart(f, check_reader))
		fail_msg("%s", f->said);
}

static void changed_file_is_refused_unless_mapped(void **state)
{
	struct fd_fixture *f = *state;
	char map[600], object[300];

	capture_reader(f);
	put_file(fd_shared->name[1], "othr");
	assert_int_equal(fd_restart(f, check_reader), -EOPNOTSUPP);
	snprintf(object, sizeof(object), "file %s", fd_shared->name[1]);
	const struct finding *it = fd_finding(f, object);
	assert_non_null(it);
	assert_non_null(strstr(it->obstacle, "modified"));
	assert_non_null(strstr(it->remedy, "--map file:"));
	unlink(fd_shared->name[1]);
	assert_int_equal(fd_restart(f, check_reader), -EOPNOTSUPP);
	it = fd_finding(f, object);
	assert_non_null(it);
	assert_non_null(strstr(it->obstacle, "missing"));
	/* The user's word, with one file and with the directory. */
	put_file(fd_shared->name[2], "mine");
	strcpy(fd_shared->name[3], "mine");
	snprintf(map, sizeof(map), "file:%s=%s", fd_shared->name[1], fd_shared->name[2]);
	assert_int_equal(resource_map_add(&f->map, &f->rep, map), 0);
	if (fd_restart(f, check_reader))
		fail_msg("%s", f->said);
	resource_map_finish(&f->map);
	fd_end_target(f);
	snprintf(map, sizeof(map), "%s/other", f->dir);
	assert_int_equal(mkdir(map, 0700), 0);
	strcat(map, "/a");
	put_file(map, "mine");
	snprintf(map, sizeof(map), "file:%s=%s/other", f->dir, f->dir);
	assert_int_equal(resource_map_add(&f->map, &f->rep, map), 0);
	if (fd_restart(f, check_reader))
		fail_msg("%s", f->said);
	assert_true(f->map.list.items[0].used);
}

/* ---- a path that leads elsewhere ---- */

static void make_covered(void)
{
	EXPECT_EQ(mkdir(fd_shared->name[2], 0700), 0);
	put_file(fd_shared->name[1], "covered");
	at_fd(open(fd_shared->name[1], O_RDWR), 10);
	at_fd(open(fd_shared->name[1], O_RDONLY), 11);
}

static void check_covered(void)
{
	char buf[16];

	EXPECT_EQ(read(11, buf, sizeof(buf)), 7);
	EXPECT(!memcmp(buf, "covered", 7));
	EXPECT_EQ(pwrite(10, "C", 1, 0), 1);
	EXPECT_EQ(pread(11, buf, 1, 0), 1);
	EXPECT_EQ(buf[0], 'C');
	expect_file(fd_shared->name[1], "above");
}

static void file_under_a_mount_is_taken_along(void **state)
{
	struct fd_fixture *f = *state;

	snprintf(fd_shared->name[2], 256, "%s/d", f->dir);
	snprintf(fd_shared->name[1], 256, "%s/d/a", f->dir);
	fd_start(f, make_covered);
	if (mount("none", fd_shared->name[2], "tmpfs", 0, NULL)) {
		print_message("nothing can be mounted here: not tested\n");
		skip();
	}
	put_file(fd_shared->name[1], "above");
	int err = fd_checkpoint(f);
	if (!err)
		err = fd_restart(f, check_covered);
	umount2(fd_shared->name[2], MNT_DETACH);
	if (err)
		fail_msg("%s", f->said);
}

/* ---- mapped files ---- */

static void make_mapped(void)
{
	/* Our own program is an ELF file with a build-id, mapped as it runs; a private mapping of data besides. */
	int fd = open(fd_shared->name[1], O_RDONLY);
	void *p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);

	EXPECT(p != MAP_FAILED);
	close(fd);
}

static void nothing(void)
{
}

static void mapped_file_must_be_the_same(void **state)
{
	struct fd_fixture *f = *state;
	char object[300], map[600];

	name_files(f);
	put_file(fd_shared->name[1], "data");
	f->mappings = true;
	fd_start(f, make_mapped);
	fd_shared->value[63] = f->target;
	assert_int_equal(fd_checkpoint(f), 0);
	if (fd_restart(f, nothing))
		fail_msg("%s", f->said);
	fd_end_target(f);
	put_file(fd_shared->name[1], "atad");
	assert_int_equal(fd_restart(f, nothing), -EOPNOTSUPP);
	snprintf(object, sizeof(object), "file %s", fd_shared->name[1]);
	assert_non_null(fd_finding(f, object));
	/* Not even on the user's word: the mapping's pages would be others. */
	put_file(fd_shared->name[2], "atad");
	snprintf(map, sizeof(map), "file:%s=%s", fd_shared->name[1], fd_shared->name[2]);
	assert_int_equal(resource_map_add(&f->map, &f->rep, map), 0);
	assert_int_equal(fd_restart(f, nothing), -EOPNOTSUPP);
	put_file(fd_shared->name[2], "data");
	if (fd_restart(f, nothing))
		fail_msg("%s", f->said);
}

/* Everything of a file, and writes it as another. */
static void copy_file(const char *from, const char *to, size_t change_at)
{
	static char data[1 << 26]; /* sanitizers make large programs */
	int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_TRUNC, 0755);
	ssize_t n = read(in, data, sizeof(data));

	assert_true(n > 4096 && n < (ssize_t)sizeof(data));
	if (change_at)
		data[(size_t)n - change_at] ^= 1;
	assert_int_equal(write(out, data, (size_t)n), n);
	close(in);
	close(out);
}

static void mapped_program_is_known_by_its_build_id(void **state)
{
	struct fd_fixture *f = *state;
	char object[300];

	name_files(f);
	copy_file("/proc/self/exe", fd_shared->name[1], 0);
	f->mappings = true;
	fd_start(f, make_mapped);
	assert_int_equal(fd_checkpoint(f), 0);
	/* Its last byte, of the section headers, is no part of what was built. */
	copy_file("/proc/self/exe", fd_shared->name[1], 1);
	if (fd_restart(f, nothing))
		fail_msg("%s", f->said);
	fd_end_target(f);
	copy_file("/bin/sh", fd_shared->name[1], 0);
	assert_int_equal(fd_restart(f, nothing), -EOPNOTSUPP);
	snprintf(object, sizeof(object), "file %s", fd_shared->name[1]);
	assert_non_null(strstr(fd_finding(f, object)->obstacle, "has"));
}

static void make_deleted_mapping(void)
{
	int fd = open(fd_shared->name[1], O_RDONLY);
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

	EXPECT(p != MAP_FAILED);
	fd_shared->value[0] = (int64_t)(uintptr_t)p;
	close(fd);
	EXPECT_EQ(unlink(fd_shared->name[1]), 0);
}

static void private_mapping_of_a_deleted_file_needs_no_file(void **state)
{
	struct fd_fixture *f = *state;
	char object[64];

	name_files(f);
	put_file(fd_shared->name[1], "data");
	f->mappings = true;
	fd_start(f, make_deleted_mapping);
	assert_int_equal(fd_checkpoint(f), 0);
	snprintf(object, sizeof(object), "mapping %llx-%llx", (unsigned long long)fd_shared->value[0],
	         (unsigned long long)fd_shared->value[0] + 4096);
	const struct finding *it = fd_finding(f, object);
	assert_non_null(it);
	assert_null(it->obstacle);
	assert_non_null(strstr(it->action, "pages are saved"));
	if (fd_restart(f, nothing))
		fail_msg("%s", f->said);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fd_fixture_setup, fd_fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(files_keep_offset_flags_and_name),        TEST(deleted_files_come_back_without_a_name),
		TEST(file_with_the_same_contents_is_accepted), TEST(changed_file_is_refused_unless_mapped),
		TEST(file_under_a_mount_is_taken_along),       TEST(mapped_file_must_be_the_same),
		TEST(mapped_program_is_known_by_its_build_id), TEST(private_mapping_of_a_deleted_file_needs_no_file),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
