/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Parses /proc/PID/timers (fs/proc/base.c, show_timer): four lines for each timer, the newest timer first. */
#include "proc/timers.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "base/vec.h"
#include "proc/text.h"

/* notify: signal/tid.5269 */
static bool parse_notify(struct text *t, struct proc_timer *timer)
{
	text_skip_blanks(t);
	if (text_take(t, "signal/"))
		timer->notify = SIGEV_SIGNAL;
	else if (text_take(t, "none/"))
		timer->notify = SIGEV_NONE;
	else if (text_take(t, "thread/"))
		timer->notify = SIGEV_THREAD;
	else
		return false;
	if (text_take(t, "tid."))
		timer->notify |= SIGEV_THREAD_ID;
	else if (!text_take(t, "pid."))
		return false;
	return text_i32(t, &timer->target);
}

/* Reads the three lines that follow the ID line. */
static bool parse_rest(struct text *t, struct proc_timer *timer)
{
	struct text line;

	if (!text_line(t, &line) || !text_take(&line, "signal:") || !text_i32(&line, &timer->signal) ||
	    !text_take_char(&line, '/'))
		return false;
	text_take(&line, "0x"); /* %px prints none; be lenient */
	if (!text_u64(&line, 16, &timer->value))
		return false;
	if (!text_line(t, &line) || !text_take(&line, "notify:") || !parse_notify(&line, timer))
		return false;
	return text_line(t, &line) && text_take(&line, "ClockID:") && text_i32(&line, &timer->clockid);
}

static int compare_ids(const void *a, const void *b)
{
	const struct proc_timer *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

int proc_timers_parse(const char *text, size_t size, struct proc_timer **ret_array, size_t *ret_n)
{
	struct text t = text_init(text, size), line;
	VEC(struct proc_timer) timers = { 0 };
	int err = 0;

	while (!err && text_line(&t, &line)) {
		struct proc_timer timer = { 0 };

		if (!text_take(&line, "ID:"))
			continue;
		err = text_i32(&line, &timer.id) && parse_rest(&t, &timer) ? vec_push(&timers, timer) : -EBADMSG;
	}
	if (err) {
		vec_finish(&timers);
		return err;
	}
	if (timers.n)
		qsort(timers.items, timers.n, sizeof(*timers.items), compare_ids);
	*ret_array = timers.items;
	*ret_n = timers.n;
	return 0;
}
