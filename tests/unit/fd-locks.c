// SPDX-License-Identifier: LGPL-2.1-or-later
/* flock, POSIX locks, locks of descriptions, leases: taken again by who held them, refused while somebody else holds them. */
#include "fd-fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/wait.h>

static struct flock range(short type, off_t start, off_t len)
{
	return (struct flock){ .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len };
}

static void make_locks(void)
{
	struct flock posix = range(F_WRLCK, 0, 10), shared = range(F_RDLCK, 20, 0), ofd = range(F_WRLCK, 100, 3);

	put_file(fd_shared->name[0], "locked");
	at_fd(open(fd_shared->name[0], O_RDWR), 10);
	EXPECT_EQ(fcntl(10, F_OFD_SETLK, &ofd), 0);
	/* Taken last: to close any descriptor of the file would drop them. */
	EXPECT_EQ(dup2(10, 11), 11);
	EXPECT_EQ(flock(11, LOCK_EX), 0);
	/* It is mapped as well, so that a restart has to map it without dropping them. */
	EXPECT(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, 10, 0) != MAP_FAILED);
	put_file(fd_shared->name[1], "leased");
	at_fd(open(fd_shared->name[1], O_RDONLY), 12);
	EXPECT_EQ(fcntl(12, F_SETLEASE, F_RDLCK), 0);
	ofd = range(F_RDLCK, 201, 1);
	at_fd(open("/dev/null", O_RDWR), 13);
	EXPECT_EQ(fcntl(13, F_OFD_SETLK, &ofd), 0);
	EXPECT_EQ(fcntl(10, F_SETLK, &posix), 0);
	shared.l_start = 200; /* clear of the other two: all kinds of record locks conflict with each other */
	EXPECT_EQ(fcntl(10, F_SETLK, &shared), 0);
}

/* What a process of its own finds. 0 = free, else the type of the lock. */
static int found_by_others(int fd, struct flock lock)
{
	int status;
	pid_t child = fork();

	EXPECT(child >= 0);
	if (child == 0)
		_exit(fcntl(fd, F_GETLK, &lock) ? 99 : lock.l_type == F_UNLCK ? 0 : lock.l_type == F_RDLCK ? 1 : 2);
	EXPECT_EQ(waitpid(child, &status, 0), child);
	EXPECT(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void check_locks(void)
{
	struct flock ofd = range(F_WRLCK, 100, 3);
	int fd;

	/* A restart maps through a descriptor of the process's own, and then closes what lies in the range. */
	fd = fd_mapping_fd(0, true);
	EXPECT(fd == 10 || fd == 11);
	EXPECT(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) != MAP_FAILED);
	EXPECT_EQ(found_by_others(10, range(F_WRLCK, 0, 10)), 2);
	EXPECT_EQ(found_by_others(10, range(F_WRLCK, 5, 1)), 2);
	EXPECT_EQ(found_by_others(10, range(F_WRLCK, 10, 10)), 0);
	EXPECT_EQ(found_by_others(10, range(F_WRLCK, 1000000, 1)), 1);
	EXPECT_EQ(found_by_others(10, range(F_RDLCK, 1000000, 1)), 0);
	EXPECT_EQ(fcntl(12, F_GETLEASE), F_RDLCK);
	/* The description's own locks, asked by another description. */
	fd = open(fd_shared->name[0], O_RDWR);
	EXPECT(fd >= 0);
	EXPECT_EQ(flock(fd, LOCK_SH | LOCK_NB), -1);
	EXPECT_EQ(errno, EWOULDBLOCK);
	EXPECT_EQ(fcntl(fd, F_OFD_GETLK, &ofd), 0);
	EXPECT(ofd.l_type == F_WRLCK && ofd.l_start == 100 && ofd.l_len == 3 && ofd.l_pid == -1);
	ofd = range(F_WRLCK, 201, 1);
	fd = open("/dev/null", O_RDWR);
	EXPECT_EQ(fcntl(fd, F_OFD_GETLK, &ofd), 0);
	EXPECT_EQ(ofd.l_type, F_RDLCK);
	/* They belong to the description: unlocking through its duplicate works. */
	EXPECT_EQ(flock(10, LOCK_UN), 0);
}

static void name_files(const struct fd_fixture *f)
{
	snprintf(fd_shared->name[0], 256, "%s/locked", f->dir);
	snprintf(fd_shared->name[1], 256, "%s/leased", f->dir);
}

static void locks_are_taken_again(void **state)
{
	struct fd_fixture *f = *state;

	name_files(f);
	f->mappings = true;
	fd_start(f, make_locks);
	fd_shared->value[63] = f->target;
	if (fd_checkpoint(f) || fd_restart(f, check_locks))
		fail_msg("%s", f->said);
}

static void make_more(void)
{
	struct flock posix = range(F_WRLCK, 0, 10);

	put_file(fd_shared->name[0], "locked");
	at_fd(open(fd_shared->name[0], O_RDWR), 10);
	at_fd(open(fd_shared->name[0], O_RDWR), 11);
	EXPECT_EQ(fcntl(10, F_SETLK, &posix), 0);
}

static void check_more(void)
{
	EXPECT_EQ(found_by_others(11, range(F_WRLCK, 0, 10)), 2);
	/* One lock, though two descriptors showed it. */
	struct flock lock = range(F_UNLCK, 0, 10);
	EXPECT_EQ(fcntl(11, F_SETLK, &lock), 0);
	EXPECT_EQ(found_by_others(10, range(F_WRLCK, 0, 10)), 0);
}

static void posix_lock_survives_two_generations(void **state)
{
	struct fd_fixture *f = *state;

	name_files(f);
	fd_round_trip(f, make_more, check_more);
}

static void lock_of_another_process_is_an_obstacle(void **state)
{
	struct fd_fixture *f = *state;
	struct flock lock = range(F_WRLCK, 100, 1);
	char object[300];

	name_files(f);
	fd_start(f, make_locks);
	assert_int_equal(fd_checkpoint(f), 0);
	int fd = open(fd_shared->name[0], O_RDWR);
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
	assert_int_equal(fd_restart(f, check_locks), -EOPNOTSUPP);
	snprintf(object, sizeof(object), "file %s", fd_shared->name[0]);
	const struct finding *it = fd_finding(f, object);
	assert_non_null(it);
	assert_non_null(strstr(it->obstacle, "lock"));
	close(fd);
	/* flock cannot be asked for beforehand: it fails when it is taken. */
	fd = open(fd_shared->name[0], O_RDWR);
	assert_int_equal(flock(fd, LOCK_SH), 0);
	assert_int_equal(fd_restart(f, check_locks), -EAGAIN);
	assert_non_null(strstr(f->said, "locked by another process"));
	close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fd_fixture_setup, fd_fixture_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(locks_are_taken_again),
		TEST(posix_lock_survives_two_generations),
		TEST(lock_of_another_process_is_an_obstacle),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
