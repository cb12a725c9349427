/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The parsers of /proc/PID/limits and timers and the bits of pagemap entries, against samples and against this process. */
#include "proc-exact.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/io.h"
#include "proc/limits.h"
#include "proc/pagemap.h"
#include "proc/timers.h"

static const char limits[] = /* of kernel 6.18 */
	"Limit                     Soft Limit           Hard Limit           Units     \n"
	"Max cpu time              10                   unlimited            seconds   \n"
	"Max file size             unlimited            unlimited            bytes     \n"
	"Max data size             unlimited            unlimited            bytes     \n"
	"Max stack size            8388608              unlimited            bytes     \n"
	"Max core file size        0                    unlimited            bytes     \n"
	"Max resident set          unlimited            unlimited            bytes     \n"
	"Max processes             96365                96366                processes \n"
	"Max open files            20000                20001                files     \n"
	"Max locked memory         8388608              8388608              bytes     \n"
	"Max address space         unlimited            unlimited            bytes     \n"
	"Max file locks            unlimited            unlimited            locks     \n"
	"Max pending signals       96365                96365                signals   \n"
	"Max msgqueue size         819200               819200               bytes     \n"
	"Max nice priority         0                    0                    \n"
	"Max realtime priority     0                    0                    \n"
	"Max realtime timeout      unlimited            18446744073709551614 us        \n";

static void limits_are_in_their_slots(void **state)
{
	struct proc_limits l;

	(void)state;
	assert_int_equal(proc_limits_parse(limits, sizeof(limits) - 1, &l), 0);
	assert_int_equal(l.limit[RLIMIT_CPU].rlim_cur, 10);
	assert_int_equal(l.limit[RLIMIT_CPU].rlim_max, RLIM_INFINITY);
	assert_int_equal(l.limit[RLIMIT_NPROC].rlim_max, 96366);
	assert_int_equal(l.limit[RLIMIT_NOFILE].rlim_cur, 20000);
	assert_int_equal(l.limit[RLIMIT_NOFILE].rlim_max, 20001);
	assert_int_equal(l.limit[RLIMIT_RTTIME].rlim_max, 18446744073709551614u);
}

static void limits_of_this_process(void **state)
{
	struct proc_limits l;
	struct rlimit own;
	char *text;
	size_t size;

	(void)state;
	assert_int_equal(io_read_file_at(-100, "/proc/self/limits", &text, &size), 0);
	assert_int_equal(proc_limits_parse(text, size, &l), 0);
	for (unsigned i = 0; i < RLIM_NLIMITS; i++) {
		assert_int_equal(getrlimit(i, &own), 0);
		assert_int_equal(l.limit[i].rlim_cur, own.rlim_cur);
		assert_int_equal(l.limit[i].rlim_max, own.rlim_max);
	}
	free(text);
}

static void a_missing_limit_is_refused(void **state)
{
	struct proc_limits l;
	const char *last = strstr(limits, "Max realtime timeout");

	(void)state;
	assert_int_equal(proc_limits_parse(limits, (size_t)(last - limits), &l), -EBADMSG);
	assert_int_equal(proc_limits_parse(NULL, 0, &l), -EBADMSG);
}

static const char timers[] = /* of kernel 6.18 */
	"ID: 4\nsignal: 10/0000001234567890\nnotify: signal/tid.5269\nClockID: -2\n"
	"ID: 3\nsignal: 14/0000000000000000\nnotify: signal/pid.5269\nClockID: -6\n"
	"ID: 1\nsignal: 10/ffffffffffffffff\nnotify: none/pid.5269\nClockID: 0\n"
	"ID: 0\nsignal: 10/0000001234567890\nnotify: signal/pid.5269\nClockID: 1\n";

static void timers_come_sorted_by_id(void **state)
{
	struct proc_timer *t;
	size_t n;

	(void)state;
	assert_int_equal(proc_timers_parse(timers, sizeof(timers) - 1, &t, &n), 0);
	assert_int_equal(n, 4);
	assert_int_equal(t[0].id, 0);
	assert_int_equal(t[0].notify, SIGEV_SIGNAL);
	assert_int_equal(t[0].target, 5269);
	assert_int_equal(t[0].clockid, CLOCK_MONOTONIC);
	assert_int_equal(t[1].id, 1);
	assert_int_equal(t[1].notify, SIGEV_NONE);
	assert_int_equal(t[1].value, UINT64_MAX);
	assert_int_equal(t[2].id, 3);
	assert_int_equal(t[2].signal, 14);
	assert_int_equal(t[3].id, 4);
	assert_int_equal(t[3].notify, SIGEV_SIGNAL | SIGEV_THREAD_ID);
	assert_int_equal(t[3].clockid, -2);
	free(t);
}

static void timers_of_this_process(void **state)
{
	struct sigevent ev = { .sigev_notify = SIGEV_THREAD_ID,
			       .sigev_signo = SIGUSR1,
			       .sigev_value.sival_ptr = (void *)0x1234567890 };
	struct proc_timer *t;
	timer_t id;
	char *text;
	size_t size, n;

	(void)state;
	ev._sigev_un._tid = gettid();
	assert_int_equal(timer_create(CLOCK_BOOTTIME, &ev, &id), 0);
	if (io_read_file_at(-100, "/proc/self/timers", &text, &size) == -ENOENT)
		skip(); /* kernel without CONFIG_CHECKPOINT_RESTORE or POSIX timers in proc */
	assert_int_equal(proc_timers_parse(text, size, &t, &n), 0);
	assert_int_equal(n, 1);
	assert_int_equal(t[0].signal, SIGUSR1);
	assert_int_equal(t[0].value, 0x1234567890);
	assert_int_equal(t[0].notify, SIGEV_SIGNAL | SIGEV_THREAD_ID);
	assert_int_equal(t[0].target, gettid());
	assert_int_equal(t[0].clockid, CLOCK_BOOTTIME);
	free(t);
	free(text);
	timer_delete(id);
}

static void refused(const char *text)
{
	struct proc_timer *t = (void *)0x10;
	size_t n = 42;

	assert_int_equal(proc_timers_parse(text, strlen(text), &t, &n), -EBADMSG);
	assert_ptr_equal(t, (void *)0x10);
}

static void nonsense_is_refused(void **state)
{
	(void)state;
	refused("ID: x\n");
	refused("ID: 1\n");
	refused("ID: 1\nsignal: 10\nnotify: none/pid.1\nClockID: 0\n");
	refused("ID: 1\nsignal: 10/0\nnotify: loudly/pid.1\nClockID: 0\n");
	refused("ID: 1\nsignal: 10/0\nnotify: none/gid.1\nClockID: 0\n");
	refused("ID: 1\nsignal: 10/0\nnotify: none/pid.1\n");
	refused("ID: 1\nID: 2\nsignal: 10/0\nnotify: none/pid.1\nClockID: 0\n");
}

static uint64_t entry_of(const void *address)
{
	uint64_t entry;
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(io_pread_all(fd, &entry, sizeof(entry), proc_pagemap_offset((uintptr_t)address)), 0);
	close(fd);
	return entry;
}

static void pagemap_tells_own_pages_from_file_pages(void **state)
{
	char path[] = "/tmp/stasis-pagemap-XXXXXX";
	int fd = mkstemp(path);
	volatile char *anon, *file;

	(void)state;
	assert_int_equal(unlink(path), 0);
	assert_int_equal(ftruncate(fd, 8192), 0);
	anon = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	file = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	assert_true(anon != MAP_FAILED && file != MAP_FAILED);
	anon[0] = 1;
	file[0] = 1;
	(void)file[4096];
	assert_true(proc_pagemap_private(entry_of((char *)anon)));
	assert_false(proc_pagemap_populated(entry_of((char *)anon + 4096)));
	assert_true(proc_pagemap_private(entry_of((char *)file)));
	assert_true(proc_pagemap_populated(entry_of((char *)file + 4096)));
	assert_false(proc_pagemap_private(entry_of((char *)file + 4096)));
	assert_false(proc_pagemap_populated(PROC_PM_GUARD | PROC_PM_SWAP));
	munmap((void *)anon, 8192);
	munmap((void *)file, 8192);
	close(fd);
}

static void try_limits(const char *text, size_t size)
{
	struct proc_limits l;
	int err = proc_limits_parse(text, size, &l);

	assert_true(err == 0 || err == -EBADMSG);
}

static void try_timers(const char *text, size_t size)
{
	struct proc_timer *t;
	size_t n;
	int err = proc_timers_parse(text, size, &t, &n);

	assert_true(err == 0 || err == -EBADMSG);
	if (!err)
		free(t);
}

static void damage_is_harmless(void **state)
{
	(void)state;
	exact_each_damage(limits, sizeof(limits) - 1, try_limits);
	exact_each_damage(timers, sizeof(timers) - 1, try_timers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(limits_are_in_their_slots),
		cmocka_unit_test(limits_of_this_process),
		cmocka_unit_test(a_missing_limit_is_refused),
		cmocka_unit_test(timers_come_sorted_by_id),
		cmocka_unit_test(timers_of_this_process),
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(pagemap_tells_own_pages_from_file_pages),
		cmocka_unit_test(damage_is_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
