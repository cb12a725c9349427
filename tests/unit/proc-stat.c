/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The parser of /proc/PID/stat: fields land where they belong, whatever the name of the process holds. Damaged texts are
 * refused. */
#include "proc-exact.h"

#include <errno.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/io.h"
#include "proc/stat.h"

static const char sample[] = /* of kernel 6.18 */
	"5061 (cat) R 5058 5058 2612 34816 -1 4194304 100 0 0 0 0 0 0 0 20 0 1 0 117827 3133440 382 18446744073709551615 "
	"93916403212288 93916403232169 140725235170416 0 0 0 0 0 0 0 0 0 17 1 3 2 0 0 0 93916403248176 93916403249792 "
	"93916690141184 140725235174001 140725235174039 140725235174040 140725235175403 256\n";

static void every_field_lands_in_its_place(void **state)
{
	struct proc_stat s;

	(void)state;
	assert_int_equal(proc_stat_parse(sample, sizeof(sample) - 1, &s), 0);
	assert_int_equal(s.pid, 5061);
	assert_string_equal(s.comm, "cat");
	assert_int_equal(s.state, 'R');
	assert_int_equal(s.ppid, 5058);
	assert_int_equal(s.pgrp, 5058);
	assert_int_equal(s.session, 2612);
	assert_int_equal(proc_stat_tty_major(&s), 136);
	assert_int_equal(proc_stat_tty_minor(&s), 0);
	assert_int_equal(s.tpgid, -1);
	assert_int_equal(s.flags, 4194304);
	assert_int_equal(s.priority, 20);
	assert_int_equal(s.nice, 0);
	assert_int_equal(s.num_threads, 1);
	assert_int_equal(s.starttime, 117827);
	assert_int_equal(s.start_code, 93916403212288);
	assert_int_equal(s.end_code, 93916403232169);
	assert_int_equal(s.start_stack, 140725235170416);
	assert_int_equal(s.exit_signal, 17);
	assert_int_equal(s.rt_priority, 3);
	assert_int_equal(s.policy, 2);
	assert_int_equal(s.start_data, 93916403248176);
	assert_int_equal(s.end_data, 93916403249792);
	assert_int_equal(s.start_brk, 93916690141184);
	assert_int_equal(s.arg_start, 140725235174001);
	assert_int_equal(s.arg_end, 140725235174039);
	assert_int_equal(s.env_start, 140725235174040);
	assert_int_equal(s.env_end, 140725235175403);
	assert_int_equal(s.exit_code, 256);
}

static void negative_numbers_are_read(void **state)
{
	static const char text[] = "7 (x) S -1 -2 -3 0 -1 4 0 0 0 0 0 0 0 0 -51 -20 5 0 1 0 0 0 1 1 0 0 0 0 0 0 0 0 0 0 -1 0 "
				   "50 1 0 0 0 0 0 0 0 0 0 0 -9";
	struct proc_stat s;

	(void)state;
	assert_int_equal(proc_stat_parse(text, sizeof(text) - 1, &s), 0);
	assert_int_equal(s.ppid, -1);
	assert_int_equal(s.pgrp, -2);
	assert_int_equal(s.session, -3);
	assert_int_equal(s.priority, -51);
	assert_int_equal(s.nice, -20);
	assert_int_equal(s.exit_signal, -1);
	assert_int_equal(s.exit_code, -9);
}

static void name_from_live_kernel(const char *name)
{
	struct proc_stat s;
	char *text;
	size_t size;

	assert_int_equal(prctl(PR_SET_NAME, name), 0);
	assert_int_equal(io_read_file_at(-100, "/proc/self/stat", &text, &size), 0);
	assert_int_equal(proc_stat_parse(text, size, &s), 0);
	assert_string_equal(s.comm, name);
	assert_int_equal(s.pid, getpid());
	assert_int_equal(s.ppid, getppid());
	assert_int_equal(s.state, 'R');
	free(text);
}

static void a_name_may_hold_anything(void **state)
{
	(void)state;
	name_from_live_kernel("a) R 1 2 3");
	name_from_live_kernel("((");
	name_from_live_kernel("))");
	name_from_live_kernel("");
	name_from_live_kernel("new\nline) \\n \\");
	name_from_live_kernel("fifteen letters");
}

static void a_long_worker_name_is_cut(void **state)
{
	char text[512], *p = text;
	struct proc_stat s;

	(void)state;
	p += sprintf(p, "1 (");
	memset(p, 'k', 100);
	p += 100;
	p += sprintf(p, ")%s", strchr(sample, ')') + 1);
	assert_int_equal(proc_stat_parse(text, (size_t)(p - text), &s), 0);
	assert_int_equal(strlen(s.comm), 64);
}

static void refused(const char *text)
{
	struct proc_stat s;

	memset(&s, 0x55, sizeof(s));
	assert_int_equal(proc_stat_parse(text, strlen(text), &s), -EBADMSG);
	assert_int_equal(s.pid, 0x55555555); /* untouched */
}

static void nonsense_is_refused(void **state)
{
	(void)state;
	refused("");
	refused("\n");
	refused("5061");
	refused("5061 (cat");
	refused("5061 cat) R 1");
	refused("5061 (cat)");
	refused("5061 (cat) R 1 2");
	refused("x (cat) R 1");
	refused("99999999999 (cat) R 1");
}

static void try_text(const char *text, size_t size)
{
	struct proc_stat s;
	int err = proc_stat_parse(text, size, &s);

	assert_true(err == 0 || err == -EBADMSG);
	if (!err)
		assert_true(size > 200); /* the last field may lose digits, no more */
}

static void damage_is_harmless(void **state)
{
	(void)state;
	exact_each_damage(sample, sizeof(sample) - 1, try_text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_field_lands_in_its_place), cmocka_unit_test(negative_numbers_are_read),
		cmocka_unit_test(a_name_may_hold_anything),	  cmocka_unit_test(a_long_worker_name_is_cut),
		cmocka_unit_test(nonsense_is_refused),		  cmocka_unit_test(damage_is_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
