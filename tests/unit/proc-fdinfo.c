/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The parser of /proc/PID/fdinfo/FD: every kind it knows is made here and looked at. So a kernel with another format is
 * noticed. */
#include "proc-exact.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/io.h"
#include "proc/fdinfo.h"

static struct proc_fdinfo look(int fd)
{
	struct proc_fdinfo info;
	char *text;
	size_t size;

	assert_true(fd >= 0);
	assert_int_equal(io_read_filef(&text, &size, "/proc/self/fdinfo/%d", fd), 0);
	assert_int_equal(proc_fdinfo_parse(text, size, &info), 0);
	free(text);
	return info;
}

static struct proc_fdinfo parse(const char *text)
{
	struct proc_fdinfo info;

	assert_int_equal(proc_fdinfo_parse(text, strlen(text), &info), 0);
	return info;
}

static void a_file_has_position_and_flags(void **state)
{
	int fd = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
	struct proc_fdinfo info;
	struct stat st;

	(void)state;
	assert_int_equal(lseek(fd, 7, SEEK_SET), 7);
	assert_int_equal(fstat(fd, &st), 0);
	info = look(fd);
	assert_int_equal(info.pos, 7);
	assert_int_equal(info.flags & (O_ACCMODE | O_CLOEXEC), O_RDONLY | O_CLOEXEC);
	if (info.has_ino)
		assert_int_equal(info.ino, st.st_ino);
	assert_false(info.has_eventfd || info.has_sigmask || info.has_timerfd || info.has_pidfd || info.has_scm_fds);
	assert_int_equal(info.locks.n + info.epoll.n + info.inotify.n + info.other.n, 0);
	proc_fdinfo_finish(&info);
	close(fd);
}

static void an_eventfd_has_a_hex_count(void **state)
{
	int fd = eventfd(0xabc, EFD_NONBLOCK | EFD_SEMAPHORE);
	struct proc_fdinfo info = look(fd);

	(void)state;
	assert_true(info.has_eventfd);
	assert_int_equal(info.eventfd_count, 0xabc);
	if (info.has_eventfd_semaphore)
		assert_true(info.eventfd_semaphore);
	assert_true(info.flags & O_NONBLOCK);
	proc_fdinfo_finish(&info);
	close(fd);
	info = parse("pos:\t0\nflags:\t02\nmnt_id:\t9\neventfd-count: ffffffffffffffff\n"); /* as old kernels print it */
	assert_int_equal(info.eventfd_count, UINT64_MAX);
	assert_int_equal(info.eventfd_id, -1);
	assert_false(info.has_eventfd_semaphore || info.has_ino);
	proc_fdinfo_finish(&info);
}

static void a_signalfd_has_its_mask(void **state)
{
	struct proc_fdinfo info;
	sigset_t set;
	int fd;

	(void)state;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, 64);
	fd = signalfd(-1, &set, 0);
	info = look(fd);
	assert_true(info.has_sigmask);
	assert_int_equal(info.sigmask, 1ull << (SIGUSR1 - 1) | 1ull << 63);
	proc_fdinfo_finish(&info);
	close(fd);
}

static void an_epoll_lists_its_items(void **state)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET, .data.u64 = 0xdeadbeefcafebabe };
	int ep = epoll_create1(EPOLL_CLOEXEC), event = eventfd(0, 0), file[2];
	struct proc_fdinfo info;
	struct stat st;

	(void)state;
	assert_int_equal(pipe(file), 0);
	assert_int_equal(epoll_ctl(ep, EPOLL_CTL_ADD, event, &ev), 0);
	ev = (struct epoll_event){ .events = EPOLLIN | EPOLLONESHOT, .data.u64 = 5 };
	assert_int_equal(epoll_ctl(ep, EPOLL_CTL_ADD, file[0], &ev), 0);
	info = look(ep);
	assert_int_equal(info.epoll.n, 2);
	vec_each(&info.epoll, item) {
		if (item->tfd == event) {
			assert_int_equal(item->events & (EPOLLIN | EPOLLET), EPOLLIN | EPOLLET);
			assert_int_equal(item->data, 0xdeadbeefcafebabe);
		} else {
			assert_int_equal(item->tfd, file[0]);
			assert_int_equal(item->data, 5);
			assert_true(item->has_file);
			assert_int_equal(fstat(file[0], &st), 0);
			assert_int_equal(item->ino, st.st_ino);
			assert_int_equal(makedev(item->sdev >> 20, item->sdev & 0xfffff), st.st_dev);
		}
	}
	proc_fdinfo_finish(&info);
	info = parse("pos:\t0\nflags:\t02\ntfd:        5 events:       19 data:                5 \n"); /* before 4.13 */
	assert_int_equal(info.epoll.n, 1);
	assert_false(info.epoll.items[0].has_file);
	proc_fdinfo_finish(&info);
	close(ep);
	close(event);
	close(file[0]);
	close(file[1]);
}

static void an_inotify_lists_its_watches(void **state)
{
	int fd = inotify_init1(IN_NONBLOCK), wd1, wd2;
	struct proc_fdinfo info;
	struct stat st;

	(void)state;
	wd1 = inotify_add_watch(fd, "/tmp", IN_CREATE | IN_DELETE);
	wd2 = inotify_add_watch(fd, "/etc/passwd", IN_ALL_EVENTS);
	assert_int_equal(stat("/etc/passwd", &st), 0);
	info = look(fd);
	assert_int_equal(info.inotify.n, 2);
	vec_each(&info.inotify, watch) {
		if (watch->wd == wd1) {
			assert_int_equal(watch->mask, IN_CREATE | IN_DELETE);
			continue;
		}
		assert_int_equal(watch->wd, wd2);
		assert_int_equal(watch->mask, IN_ALL_EVENTS);
		assert_int_equal(watch->ino, st.st_ino);
		assert_int_equal(makedev(watch->sdev >> 20, watch->sdev & 0xfffff), st.st_dev);
		if (watch->has_handle)
			assert_true(watch->handle_size >= 4);
	}
	proc_fdinfo_finish(&info);
	close(fd);
	info = parse("pos:\t0\nflags:\t00\ninotify wd:1f ino:3c51a sdev:fe00000 mask:300 ignored_mask:0 "
		     "fhandle-bytes:8 fhandle-type:4d f_handle:1ac5030000000080\n");
	assert_int_equal(info.inotify.items[0].wd, 31); /* hex as well */
	assert_true(info.inotify.items[0].has_handle);
	assert_int_equal(info.inotify.items[0].handle_size, 8);
	assert_int_equal(info.inotify.items[0].handle_type, 0x4d); /* btrfs */
	assert_memory_equal(info.inotify.items[0].handle, "\x1a\xc5\x03\0\0\0\0\x80", 8);
	proc_fdinfo_finish(&info);
}

static void a_timerfd_has_its_times(void **state)
{
	struct itimerspec relative = { { 1, 5 }, { 100, 7 } }, absolute = { { 0, 0 }, { 4000000000, 0 } };
	int fd = timerfd_create(CLOCK_MONOTONIC, 0);
	struct proc_fdinfo info;

	(void)state;
	assert_int_equal(timerfd_settime(fd, 0, &relative, NULL), 0);
	info = look(fd);
	assert_true(info.has_timerfd);
	assert_int_equal(info.timer_clockid, CLOCK_MONOTONIC);
	assert_int_equal(info.timer_ticks, 0);
	assert_int_equal(info.timer_settime_flags, 0);
	assert_int_equal(info.timer_interval_ns, 1000000005);
	assert_in_range(info.timer_value_ns, 90000000000, 100000000007);
	proc_fdinfo_finish(&info);
	close(fd);

	fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK);
	assert_int_equal(timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &absolute, NULL), 0);
	info = look(fd);
	assert_int_equal(info.timer_clockid, CLOCK_REALTIME);
	assert_int_equal(info.timer_settime_flags, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET);
	assert_int_equal(info.timer_interval_ns, 0);
	assert_true(info.timer_value_ns > 0 && info.timer_value_ns < 4000000000000000000); /* the time left, not the date */
	proc_fdinfo_finish(&info);
	close(fd);
}

static void locks_are_listed_with_their_kind(void **state)
{
	char path[] = "/tmp/stasis-locks-XXXXXX";
	int fd = mkstemp(path), n = 0;
	struct flock posix = { .l_type = F_WRLCK, .l_start = 1, .l_len = 5 }, ofd = { .l_type = F_RDLCK, .l_start = 10 };
	struct proc_fdinfo info;
	struct stat st;

	(void)state;
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(fcntl(fd, F_SETLK, &posix), 0);
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &ofd), 0);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	info = look(fd);
	vec_each(&info.locks, lock) {
		assert_int_equal(lock->mode, PROC_LOCK_ADVISORY);
		assert_int_equal(lock->ino, st.st_ino);
		assert_int_equal(makedev(lock->dev_major, lock->dev_minor), st.st_dev);
		n |= 1 << lock->type;
		if (lock->type == PROC_LOCK_POSIX) {
			assert_int_equal(lock->pid, getpid());
			assert_int_equal(lock->access, PROC_LOCK_WRITE);
			assert_int_equal(lock->start, 1);
			assert_int_equal(lock->end, 5);
		} else if (lock->type == PROC_LOCK_OFD) {
			assert_int_equal(lock->pid, -1);
			assert_int_equal(lock->access, PROC_LOCK_READ);
			assert_int_equal(lock->start, 10);
			assert_int_equal(lock->end, UINT64_MAX);
		}
	}
	assert_int_equal(n, 1 << PROC_LOCK_FLOCK | 1 << PROC_LOCK_POSIX | 1 << PROC_LOCK_OFD);
	proc_fdinfo_finish(&info);
	unlink(path);
	close(fd);
}

static void rare_locks_are_understood(void **state)
{
	struct proc_fdinfo info = parse("pos:\t0\nflags:\t0120000\n"
					"lock:\t1: LEASE  ACTIVE    READ 5269 fe:00:10952769 0 EOF\n"
					"lock:\t2: LEASE  BREAKING  UNLCK 5269 fe:00:10952769 0 EOF\n"
					"lock:\t3: DELEG  BREAKER   WRITE 0 fe:00:10952769 0 EOF\n"
					"lock:\t4: POSIX  *NOINODE* WRITE 9 <none>:0 100 199\n"
					"lock:\t5: ACCESS ADVISORY  READ 9 fe:00:1 0 0\n");

	(void)state;
	assert_int_equal(info.locks.n, 5);
	assert_int_equal(info.locks.items[0].mode, PROC_LOCK_ACTIVE);
	assert_int_equal(info.locks.items[0].type, PROC_LOCK_LEASE);
	assert_int_equal(info.locks.items[1].mode, PROC_LOCK_BREAKING);
	assert_int_equal(info.locks.items[1].access, PROC_LOCK_NONE);
	assert_int_equal(info.locks.items[2].type, PROC_LOCK_DELEG);
	assert_int_equal(info.locks.items[2].mode, PROC_LOCK_BREAKER);
	assert_int_equal(info.locks.items[3].mode, PROC_LOCK_NOINODE);
	assert_int_equal(info.locks.items[3].ino, 0);
	assert_int_equal(info.locks.items[3].end, 199);
	assert_int_equal(info.locks.items[4].type, PROC_LOCK_OTHER);
	proc_fdinfo_finish(&info);
}

static void a_pidfd_names_its_process(void **state)
{
	int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	struct proc_fdinfo info = look(fd);

	(void)state;
	assert_true(info.has_pidfd);
	assert_int_equal(info.pid, getpid());
	assert_true(info.nspid.n >= 1);
	assert_int_equal(info.nspid.id[0], getpid());
	proc_fdinfo_finish(&info);
	close(fd);
	info = parse("pos:\t0\nflags:\t02\nPid:\t-1\nNSpid:\t-1\n");
	assert_int_equal(info.pid, -1);
	proc_fdinfo_finish(&info);
}

static void descriptors_in_flight_are_counted(void **state)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(2 * sizeof(int))];
	} control = { .header = { .cmsg_len = CMSG_LEN(2 * sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS } };
	struct iovec iov = { (char[]){ "x" }, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };
	struct proc_fdinfo info;
	int pair[2], fds[2] = { 1, 2 };

	(void)state;
	memcpy(CMSG_DATA(&control.header), fds, sizeof(fds));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(sendmsg(pair[0], &msg, 0), 1);
	info = look(pair[1]);
	if (info.has_scm_fds)
		assert_int_equal(info.scm_fds, 2);
	proc_fdinfo_finish(&info);
	close(pair[0]);
	close(pair[1]);
}

static void what_is_not_known_is_kept(void **state)
{
	struct proc_fdinfo info = parse("pos:\t0\nflags:\t0100002\nmnt_id:\t24\nino:\t105\niff:\ttap0 "
					"\nAPI:\taa:0:80\nfanotify flags:0 event\nodd\n\n");

	(void)state;
	assert_int_equal(info.other.n, 4);
	assert_string_equal(proc_fdinfo_get(&info, "iff"), "tap0");
	assert_string_equal(proc_fdinfo_get(&info, "API"), "aa:0:80");
	assert_string_equal(proc_fdinfo_get(&info, "fanotify flags"), "0 event");
	assert_string_equal(proc_fdinfo_get(&info, "odd"), "");
	assert_null(proc_fdinfo_get(&info, "pos"));
	proc_fdinfo_finish(&info);
}

#define HEAD "pos:\t0\nflags:\t02\n"

static void refused(const char *text)
{
	struct proc_fdinfo info = { .mnt_id = 42 };

	assert_int_equal(proc_fdinfo_parse(text, strlen(text), &info), -EBADMSG);
	assert_int_equal(info.mnt_id, 42);
}

static void nonsense_is_refused(void **state)
{
	(void)state;
	refused("");
	refused("pos:\t0\n");
	refused("flags:\t02\n");
	refused("pos:\t0\nflags:\t8\n");
	refused(HEAD "eventfd-count: g\n");
	refused(HEAD "eventfd-count: 10000000000000000\n");
	refused(HEAD "it_value: (99)\n");
	refused(HEAD "it_value: (99, 1000000000)\n");
	refused(HEAD "it_value: (99999999999, 0)\n");
	refused(HEAD "it_value: (-1, 0)\n");
	refused(HEAD "tfd: 5\n");
	refused(HEAD "tfd: 5 events: 19 data: 5 pos:0 ino:\n");
	refused(HEAD "lock:\t1: FLOCK  ADVISORY  SIDEWAYS 1 fe:00:1 0 EOF\n");
	refused(HEAD "lock:\t1: FLOCK  ADVISORY  READ 1 fe:00 0 EOF\n");
	refused(HEAD "lock:\t1: FLOCK  ADVISORY  READ 1 fe:00:1 0 \n");
	refused(HEAD "lock:\t1:\n");
	refused(HEAD "inotify wd:1 ino:1 sdev:1 mask:1 ignored_mask:0 fhandle-bytes:8 fhandle-type:1 f_handle:1ac5\n");
	refused(HEAD "inotify wd:1 ino:1 sdev:1 mask:1 ignored_mask:0 fhandle-bytes:1 fhandle-type:1 f_handle:1x\n");
	refused(HEAD "inotify wd:1 ino:1 sdev:1 mask:1 ignored_mask:0 fhandle-bytes:ffffffff fhandle-type:1 f_handle:00\n");
	refused(HEAD "NSpid:\tone\n");
}

static void try_text(const char *text, size_t size)
{
	struct proc_fdinfo info;
	int err = proc_fdinfo_parse(text, size, &info);

	assert_true(err == 0 || err == -EBADMSG);
	if (!err)
		proc_fdinfo_finish(&info);
}

static void damage_is_harmless(void **state)
{
	static const char all[] =
		"pos:\t0\nflags:\t02\nmnt_id:\t9\nino:\t105\nlock:\t1: OFDLCK ADVISORY  READ -1 fe:00:10952768 10 EOF\n"
		"eventfd-count:              abc\neventfd-id: 1\neventfd-semaphore: 1\nsigmask:\t8000000000000200\n"
		"tfd:        6 events: 40000019 data:                5  pos:0 ino:2216 sdev:f\n"
		"inotify wd:2 ino:35d sdev:fe00000 mask:fff ignored_mask:0 fhandle-bytes:8 fhandle-type:1 "
		"f_handle:5d03000000000000\n"
		"clockid: 1\nticks: 0\nsettime flags: 00\nit_value: (99, 999990032)\nit_interval: (1, 5)\n"
		"Pid:\t5270\nNSpid:\t5270\t1\nscm_fds: 2\niff:\ttap0\n";

	(void)state;
	exact_each_damage(all, sizeof(all) - 1, try_text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_has_position_and_flags),     cmocka_unit_test(an_eventfd_has_a_hex_count),
		cmocka_unit_test(a_signalfd_has_its_mask),	     cmocka_unit_test(an_epoll_lists_its_items),
		cmocka_unit_test(an_inotify_lists_its_watches),	     cmocka_unit_test(a_timerfd_has_its_times),
		cmocka_unit_test(locks_are_listed_with_their_kind),  cmocka_unit_test(rare_locks_are_understood),
		cmocka_unit_test(a_pidfd_names_its_process),	     cmocka_unit_test(descriptors_in_flight_are_counted),
		cmocka_unit_test(what_is_not_known_is_kept),	     cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(damage_is_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
