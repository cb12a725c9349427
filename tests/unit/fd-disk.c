// SPDX-License-Identifier: LGPL-2.1-or-later
/* Disks: after a restart a file that was written to has the contents of the instant of the checkpoint, any number of times, and
 * nothing that was there is lost. */
#include "fd-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "base/cleanup.h"

#define DISK fd_shared->name[0]
#define BEFORE fd_shared->name[1]
#define OTHER fd_shared->name[2]

static void name_disk(const struct fd_fixture *f)
{
	snprintf(DISK, 256, "%s/disk", f->dir);
	snprintf(BEFORE, 256, "%s/disk.before-restart", f->dir);
	snprintf(OTHER, 256, "%s/other", f->dir);
}

static int64_t inode_of(const char *path)
{
	struct stat st;

	return stat(path, &st) ? -1 : (int64_t)st.st_ino;
}

/* Says again what the file holds, in place, from outside of the target. */
static void scribble(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, text, strlen(text), 0), strlen(text));
	close(fd);
}

static void make_disk(void)
{
	put_file(DISK, "checkpoint");
	EXPECT_EQ(chmod(DISK, 0620), 0);
	at_fd(open(DISK, O_RDWR), 10);
	EXPECT_EQ(lseek(10, 4, SEEK_SET), 4);
	/* A second description: both are of one file afterwards as well. */
	at_fd(open(DISK, O_RDONLY), 11);
	fd_shared->value[0] = inode_of(DISK);
}

static void check_disk(void)
{
	char buf[32];
	struct stat a, b;

	expect_file(DISK, "checkpoint");
	expect_open(10, DISK, O_RDWR);
	expect_open(11, DISK, O_RDONLY);
	EXPECT_EQ(fstat(10, &a), 0);
	EXPECT_EQ(fstat(11, &b), 0);
	EXPECT_EQ(a.st_ino, b.st_ino);
	EXPECT_EQ(a.st_ino, inode_of(DISK));
	EXPECT_EQ(a.st_nlink, 1);
	EXPECT_EQ(a.st_mode & 07777, 0620);
	EXPECT_EQ(lseek(10, 0, SEEK_CUR), 4);
	EXPECT_EQ(read(10, buf, sizeof(buf)), 6);
	EXPECT(!memcmp(buf, "kpoint", 6));
}

static void check_disk_in_place(void)
{
	check_disk();
	EXPECT_EQ(inode_of(DISK), fd_shared->value[0]);
	EXPECT_EQ(inode_of(BEFORE), -1);
}

/* Reverted, and the guest goes on to write. */
static void check_disk_and_write(void)
{
	check_disk();
	EXPECT_EQ(pwrite(10, "guest", 5, 0), 5);
}

static void start_disk(struct fd_fixture *f)
{
	name_disk(f);
	fd_start(f, make_disk);
	if (fd_checkpoint(f))
		fail_msg("%s", f->said);
}

static void expect_restart(struct fd_fixture *f, void (*check)(void))
{
	if (fd_restart(f, check))
		fail_msg("%s", f->said);
	fd_end_target(f);
}

static void unchanged_disk_is_used_in_place(void **state)
{
	struct fd_fixture *f = *state;

	start_disk(f);
	expect_restart(f, check_disk_in_place);
	expect_restart(f, check_disk_in_place);
}

static size_t count_entries(const struct fd_fixture *f)
{
	AUTO_CLOSEDIR DIR *dir = opendir(f->dir);
	size_t n = 0;

	while (readdir(dir))
		n++;
	return n - 2;
}

static void changed_disk_comes_back_any_number_of_times(void **state)
{
	struct fd_fixture *f = *state;

	start_disk(f);
	scribble(DISK, "changed");
	expect_restart(f, check_disk_and_write);
	/* Set aside, not overwritten. */
	assert_int_equal(inode_of(BEFORE), fd_shared->value[0]);
	expect_file(BEFORE, "changedint");
	expect_file(DISK, "guestpoint");
	for (int i = 0; i < 3; i++) {
		expect_restart(f, check_disk_and_write);
		expect_file(BEFORE, "guestpoint");
		expect_file(DISK, "guestpoint");
	}
	/* The disk, what it was before, the image. */
	assert_int_equal(count_entries(f), 3);
	assert_non_null(strstr(f->said, "contents of the checkpoint again"));
}

static void reverted_disk_that_nobody_wrote_to_is_used_in_place(void **state)
{
	struct fd_fixture *f = *state;

	start_disk(f);
	scribble(DISK, "changed");
	expect_restart(f, check_disk);
	fd_shared->value[0] = inode_of(DISK);
	unlink(BEFORE);
	expect_restart(f, check_disk_in_place);
}

static void missing_disk_is_made(void **state)
{
	struct fd_fixture *f = *state;

	start_disk(f);
	unlink(DISK);
	expect_restart(f, check_disk);
	assert_int_equal(count_entries(f), 2);
}

static const struct finding *disk_finding(struct fd_fixture *f)
{
	char object[300];

	snprintf(object, sizeof(object), "file %s", DISK);
	return fd_finding(f, object);
}

static void other_file_is_refused_without_the_users_word(void **state)
{
	struct fd_fixture *f = *state;
	char map[600];

	start_disk(f);
	rename(DISK, OTHER);
	put_file(DISK, "somebody's");
	assert_int_equal(fd_restart(f, check_disk), -EOPNOTSUPP);
	assert_non_null(strstr(disk_finding(f)->obstacle, "another file"));
	assert_non_null(strstr(disk_finding(f)->remedy, "--disk=revert"));
	expect_file(DISK, "somebody's");
	f->restart_disk = STASIS_DISK_REVERT_ALWAYS;
	expect_restart(f, check_disk);
	expect_file(BEFORE, "somebody's");
	/* The right one by another name. */
	f->restart_disk = STASIS_DISK_REVERT_AUTO;
	put_file(DISK, "somebody's");
	unlink(DISK);
	put_file(DISK, "somebody's");
	snprintf(map, sizeof(map), "file:%s=%s", DISK, OTHER);
	assert_int_equal(resource_map_add(&f->map, &f->rep, map), 0);
	strcpy(DISK, OTHER);
	expect_restart(f, check_disk);
}

static void check_kept(void)
{
	char buf[32];

	EXPECT_EQ(pread(10, buf, sizeof(buf), 0), 10);
	EXPECT(!memcmp(buf, "changedint", 10));
	EXPECT_EQ(inode_of(DISK), fd_shared->value[0]);
	EXPECT_EQ(inode_of(BEFORE), -1);
}

static void kept_disk_is_not_touched(void **state)
{
	struct fd_fixture *f = *state;

	start_disk(f);
	scribble(DISK, "changed");
	f->restart_disk = STASIS_DISK_REVERT_KEEP;
	expect_restart(f, check_kept);
	assert_non_null(strstr(disk_finding(f)->action, "on your word"));
}

static void unsaved_disk_must_be_unchanged(void **state)
{
	struct fd_fixture *f = *state;

	f->disk = STASIS_DISK_NONE;
	start_disk(f);
	expect_restart(f, check_disk_in_place);
	scribble(DISK, "changed");
	assert_int_equal(fd_restart(f, check_disk), -EOPNOTSUPP);
	assert_non_null(strstr(disk_finding(f)->obstacle, "has changed"));
	f->restart_disk = STASIS_DISK_REVERT_KEEP;
	expect_restart(f, check_kept);
}

static void make_disk_and_lock(void)
{
	make_disk();
	at_fd(open(OTHER, O_RDONLY), 20);
	EXPECT_EQ(flock(20, LOCK_EX), 0);
}

static void failed_restart_leaves_nothing(void **state)
{
	struct fd_fixture *f = *state;

	name_disk(f);
	put_file(OTHER, "locked");
	fd_start(f, make_disk_and_lock);
	if (fd_checkpoint(f))
		fail_msg("%s", f->said);
	scribble(DISK, "changed");
	int fd = open(OTHER, O_RDWR);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_int_equal(fd_restart(f, check_disk), -EAGAIN);
	close(fd);
	expect_file(DISK, "changedint");
	assert_int_equal(inode_of(BEFORE), -1);
	assert_int_equal(count_entries(f), 3);
}

/* ---- the instant ---- */

/* Writes until the last moment, and again as soon as it may run on. */
static void make_busy(void)
{
	char text[32];

	at_fd(open(DISK, O_RDWR | O_CREAT | O_TRUNC, 0600), 10);
	fd_shared->ready = 1;
	for (long i = 0;; i++) {
		snprintf(text, sizeof(text), "%015ld", i);
		EXPECT_EQ(pwrite(10, text, 15, 0), 15);
		EXPECT_EQ(pwrite(10, text, 15, 1 << 20), 15);
	}
}

static void check_instant(void)
{
	char a[16] = "", b[16] = "";

	EXPECT_EQ(pread(10, a, 15, 0), 15);
	EXPECT_EQ(pread(10, b, 15, 1 << 20), 15);
	/* Frozen between two writes at most. */
	long x = atol(a), y = atol(b);
	EXPECT(x == y || x == y + 1);
	EXPECT(fd_shared->value[0] > x + 10); /* it was long past that when it ended */
}

static void disk_of_the_instant(struct fd_fixture *f)
{
	char text[16] = "";

	name_disk(f);
	f->keep_target = true;
	for (int i = 0; i < 3; i++) {
		unlink(DISK);
		unlink(BEFORE);
		fd_start(f, make_busy);
		usleep(30000);
		if (fd_checkpoint(f))
			fail_msg("%s", f->said);
		fd_end_target(f);
		int fd = open(DISK, O_RDONLY);
		assert_int_equal(pread(fd, text, 15, 0), 15);
		close(fd);
		fd_shared->value[0] = atol(text);
		expect_restart(f, check_instant);
	}
}

static void disk_is_that_of_the_instant_by_copy(void **state)
{
	disk_of_the_instant(*state);
}

static void disk_is_that_of_the_instant_by_clone(void **state)
{
	struct fd_fixture *f = *state;

	f->clones = true;
	disk_of_the_instant(f);
}

/* ---- size ---- */

static void make_sparse(void)
{
	at_fd(open(DISK, O_RDWR | O_CREAT, 0600), 10);
	EXPECT_EQ(pwrite(10, "begin", 5, 100 << 20), 5);
	EXPECT_EQ(pwrite(10, "end", 3, (1ll << 30) - 3 + 7), 3);
}

static void check_sparse(void)
{
	char buf[8];
	struct stat st;

	EXPECT_EQ(fstat(10, &st), 0);
	EXPECT_EQ(st.st_size, (1ll << 30) + 7);
	EXPECT(st.st_blocks * 512 < 1 << 20);
	EXPECT_EQ(pread(10, buf, 5, 100 << 20), 5);
	EXPECT(!memcmp(buf, "begin", 5));
	EXPECT_EQ(pread(10, buf, 8, (1ll << 30) - 3 + 7), 3);
	EXPECT(!memcmp(buf, "end", 3));
}

static void sparse_disk_stays_sparse(void **state)
{
	struct fd_fixture *f = *state;
	struct stat st;

	name_disk(f);
	fd_start(f, make_sparse);
	if (fd_checkpoint(f))
		fail_msg("%s", f->said);
	assert_int_equal(stat(f->image, &st), 0);
	assert_true(st.st_size < 1 << 20);
	unlink(DISK);
	expect_restart(f, check_sparse);
}

static void make_filled(void)
{
	char *data = malloc(5 << 20);

	/* Not to be packed away. */
	for (int i = 0; i < 5 << 20; i++)
		data[i] = (char)(rand() >> 7);
	at_fd(open(DISK, O_RDWR | O_CREAT, 0600), 10);
	EXPECT_EQ(write(10, data, 5 << 20), 5 << 20);
	free(data);
}

static void no_room_is_said_beforehand(void **state)
{
	struct fd_fixture *f = *state;
	char dir[100];

	snprintf(dir, sizeof(dir), "%s/small", f->dir);
	mkdir(dir, 0700);
	if (mount("none", dir, "tmpfs", 0, "size=8m")) {
		print_message("no file system of 8 MiB can be mounted here: not tested\n");
		skip();
	}
	name_disk(f);
	snprintf(DISK, 256, "%s/disk", dir);
	fd_start(f, make_filled);
	int err = fd_checkpoint(f);
	scribble(DISK, "changed");
	size_t before = f->findings.obstacles;
	int refused = err ? err : fd_restart(f, check_disk);
	const struct finding *it = NULL;
	vec_each(&f->findings.list, entry)
		if (entry->obstacle && strstr(entry->obstacle, "MiB are free"))
			it = entry;
	umount2(dir, MNT_DETACH);
	assert_int_equal(before, 0);
	assert_int_equal(refused, -EOPNOTSUPP);
	assert_non_null(it);
}

/* ---- logs ---- */

static void make_log(void)
{
	put_file(DISK, "one\n");
	at_fd(open(DISK, O_WRONLY | O_APPEND), 10);
}

static void check_log(void)
{
	EXPECT_EQ(write(10, "three\n", 6), 6);
	expect_file(DISK, fd_shared->name[3]);
}

static void log_goes_on_where_it_is(void **state)
{
	struct fd_fixture *f = *state;

	name_disk(f);
	fd_start(f, make_log);
	if (fd_checkpoint(f))
		fail_msg("%s", f->said);
	int fd = open(DISK, O_WRONLY | O_APPEND);
	assert_int_equal(write(fd, "two\n", 4), 4);
	close(fd);
	strcpy(fd_shared->name[3], "one\ntwo\nthree\n");
	expect_restart(f, check_log);
	/* Rotated away: a new one is begun. */
	unlink(DISK);
	strcpy(fd_shared->name[3], "three\n");
	expect_restart(f, check_log);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fd_fixture_setup, fd_fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(unchanged_disk_is_used_in_place),
		TEST(changed_disk_comes_back_any_number_of_times),
		TEST(reverted_disk_that_nobody_wrote_to_is_used_in_place),
		TEST(missing_disk_is_made),
		TEST(other_file_is_refused_without_the_users_word),
		TEST(kept_disk_is_not_touched),
		TEST(unsaved_disk_must_be_unchanged),
		TEST(failed_restart_leaves_nothing),
		TEST(disk_is_that_of_the_instant_by_copy),
		TEST(disk_is_that_of_the_instant_by_clone),
		TEST(sparse_disk_stays_sparse),
		TEST(no_room_is_said_beforehand),
		TEST(log_goes_on_where_it_is),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
