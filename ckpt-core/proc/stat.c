/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Parses /proc/PID/stat. The name in brackets may hold anything, so the fields are counted from the last bracket on. */
#include "proc/stat.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "proc/text.h"

/* Unlike in status, nothing in the name is escaped here (fs/proc/array.c, do_task_stat). */
static void copy_comm(const struct text *raw, char *comm, size_t room)
{
	size_t n = text_left(raw) < room - 1 ? text_left(raw) : room - 1;

	if (n > 0)
		memcpy(comm, raw->p, n);
	comm[n] = '\0';
}

/* Field numbers are those of proc(5), 1-based; a field that a kernel prints as a plain number. */
enum { FIELD_FIRST = 4, FIELD_LAST = 52 };

static int parse_numbers(struct text *t, uint64_t value[FIELD_LAST + 1])
{
	for (int i = FIELD_FIRST; i <= FIELD_LAST; i++) {
		uint64_t magnitude;
		bool negative;

		if (!text_i64(t, &magnitude, &negative))
			return -EBADMSG;
		value[i] = negative ? 0 - magnitude : magnitude;
	}
	return 0;
}

int proc_stat_parse(const char *text, size_t size, struct proc_stat *ret)
{
	struct text t = text_init(text, size), comm;
	uint64_t v[FIELD_LAST + 1];
	struct proc_stat s = { 0 };
	const char *close;

	if (!text_i32(&t, &s.pid))
		return -EBADMSG;
	text_skip_blanks(&t);
	close = text_left(&t) ? memrchr(t.p, ')', text_left(&t)) : NULL;
	if (!close || !text_take_char(&t, '('))
		return -EBADMSG;
	comm = (struct text){ t.p, close };
	copy_comm(&comm, s.comm, sizeof(s.comm));
	t.p = close + 1;
	text_skip_blanks(&t);
	if (!text_left(&t))
		return -EBADMSG;
	s.state = *t.p++;
	if (parse_numbers(&t, v))
		return -EBADMSG;
	s.ppid = (int32_t)v[4];
	s.pgrp = (int32_t)v[5];
	s.session = (int32_t)v[6];
	s.tty_nr = (uint32_t)v[7];
	s.tpgid = (int32_t)v[8];
	s.flags = (uint32_t)v[9];
	s.priority = (int64_t)v[18];
	s.nice = (int64_t)v[19];
	s.num_threads = (int64_t)v[20];
	s.starttime = v[22];
	s.start_code = v[26];
	s.end_code = v[27];
	s.start_stack = v[28];
	s.exit_signal = (int32_t)v[38];
	s.cpu = (int32_t)v[39];
	s.rt_priority = (uint32_t)v[40];
	s.policy = (uint32_t)v[41];
	s.start_data = v[45];
	s.end_data = v[46];
	s.start_brk = v[47];
	s.arg_start = v[48];
	s.arg_end = v[49];
	s.env_start = v[50];
	s.env_end = v[51];
	s.exit_code = (int32_t)v[52];
	*ret = s;
	return 0;
}
