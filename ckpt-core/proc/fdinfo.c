/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Parses /proc/PID/fdinfo/FD. Each line is tried against the parsers of a table; what none takes is kept as key and value. */
#include "proc/fdinfo.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proc/text.h"

/* Picks the index of the word in a list that ends in NULL, or the index of that NULL. */
static int word_index(const struct text *word, const char *const *list)
{
	int i = 0;

	while (list[i] && !text_is(word, list[i]))
		i++;
	return i;
}

/* A span "0 EOF" or "100 199". */
static bool parse_span(struct text *t, struct proc_lock *lock)
{
	if (!text_u64(t, 10, &lock->start))
		return false;
	text_skip_blanks(t);
	lock->end = UINT64_MAX;
	return text_take(t, "EOF") || text_u64(t, 10, &lock->end);
}

/* 1: OFDLCK ADVISORY  READ -1 fe:00:10952768 10 EOF     (fs/locks.c, lock_get_status) */
static int parse_lock(struct text *t, struct proc_fdinfo *info)
{
	static const char *const types[] = { "FLOCK", "POSIX", "OFDLCK", "LEASE", "DELEG", NULL };
	static const char *const modes[] = { "ADVISORY", "MANDATORY", "ACTIVE", "BREAKING", "BREAKER", "*NOINODE*", NULL };
	static const char *const accesses[] = { "READ", "WRITE", "UNLCK", NULL };
	struct proc_lock lock = { 0 };
	struct text word;
	uint64_t number;

	if (!text_u64(t, 10, &number) || !text_take_char(t, ':') || !text_word(t, &word))
		return -EBADMSG;
	lock.type = (enum proc_lock_type)word_index(&word, types); /* what is not listed is PROC_LOCK_OTHER */
	if (!text_word(t, &word))
		return -EBADMSG;
	lock.mode = (enum proc_lock_mode)word_index(&word, modes);
	if (lock.mode > PROC_LOCK_NOINODE)
		lock.mode = PROC_LOCK_ADVISORY;
	if (!text_word(t, &word))
		return -EBADMSG;
	lock.access = (enum proc_lock_access)word_index(&word, accesses);
	if (lock.access > PROC_LOCK_NONE || !text_i32(t, &lock.pid))
		return -EBADMSG;
	text_skip_blanks(t);
	if (!text_take(t, "<none>:0") &&
	    !(text_u32(t, 16, &lock.dev_major) && text_take_char(t, ':') && text_u32(t, 16, &lock.dev_minor) &&
	      text_take_char(t, ':') && text_u64(t, 10, &lock.ino)))
		return -EBADMSG;
	return parse_span(t, &lock) ? vec_push(&info->locks, lock) : -EBADMSG;
}

/*       6 events: 40000019 data:                5  pos:0 ino:2216 sdev:f     (fs/eventpoll.c; ino and sdev in hex) */
static int parse_epoll(struct text *t, struct proc_fdinfo *info)
{
	struct proc_epoll_item item = { 0 };
	int64_t pos;

	if (!text_i32(t, &item.tfd))
		return -EBADMSG;
	text_skip_blanks(t);
	if (!text_take(t, "events:") || !text_u32(t, 16, &item.events))
		return -EBADMSG;
	text_skip_blanks(t);
	if (!text_take(t, "data:") || !text_u64(t, 16, &item.data))
		return -EBADMSG;
	text_skip_blanks(t);
	if (text_take(t, "pos:")) {
		if (!text_s64(t, &pos))
			return -EBADMSG;
		item.pos = (uint64_t)pos;
		text_skip_blanks(t);
		if (!text_take(t, "ino:") || !text_u64(t, 16, &item.ino))
			return -EBADMSG;
		text_skip_blanks(t);
		if (!text_take(t, "sdev:") || !text_u32(t, 16, &item.sdev))
			return -EBADMSG;
		item.has_file = true;
	}
	return vec_push(&info->epoll, item);
}

/* fhandle-bytes:8 fhandle-type:1 f_handle:5d03000000000000 */
static bool parse_handle(struct text *t, struct proc_inotify_watch *watch)
{
	uint32_t type;

	if (!text_u32(t, 16, &watch->handle_size) || watch->handle_size > sizeof(watch->handle))
		return false;
	text_skip_blanks(t);
	if (!text_take(t, "fhandle-type:") || !text_u32(t, 16, &type) || type > INT32_MAX)
		return false;
	watch->handle_type = (int32_t)type;
	text_skip_blanks(t);
	if (!text_take(t, "f_handle:") || text_left(t) < 2 * (size_t)watch->handle_size)
		return false;
	for (uint32_t i = 0; i < watch->handle_size; i++, t->p += 2) {
		struct text pair = { t->p, t->p + 2 };
		uint32_t byte;

		if (!text_u32(&pair, 16, &byte) || text_left(&pair))
			return false;
		watch->handle[i] = (uint8_t)byte;
	}
	watch->has_handle = true;
	return true;
}

/* wd:2 ino:35d sdev:fe00000 mask:fff ignored_mask:0 fhandle-bytes:8 ...     (fs/notify/fdinfo.c; all in hex) */
static int parse_inotify(struct text *t, struct proc_fdinfo *info)
{
	struct proc_inotify_watch watch = { 0 };
	uint64_t ignored;
	uint32_t wd;

	if (!text_u32(t, 16, &wd) || wd > INT32_MAX)
		return -EBADMSG;
	watch.wd = (int32_t)wd;
	text_skip_blanks(t);
	if (!text_take(t, "ino:") || !text_u64(t, 16, &watch.ino))
		return -EBADMSG;
	text_skip_blanks(t);
	if (!text_take(t, "sdev:") || !text_u32(t, 16, &watch.sdev))
		return -EBADMSG;
	text_skip_blanks(t);
	if (!text_take(t, "mask:") || !text_u32(t, 16, &watch.mask))
		return -EBADMSG;
	text_skip_blanks(t);
	if (text_take(t, "ignored_mask:") && !text_u64(t, 16, &ignored))
		return -EBADMSG;
	text_skip_blanks(t);
	if (text_take(t, "fhandle-bytes:") && !parse_handle(t, &watch))
		return -EBADMSG;
	return vec_push(&info->inotify, watch);
}

/* (99, 999990032) */
static bool parse_time(struct text *t, uint64_t *ret_ns)
{
	uint64_t sec, nsec, ns;

	text_skip_blanks(t);
	if (!text_take_char(t, '(') || !text_u64(t, 10, &sec) || !text_take_char(t, ',') || !text_u64(t, 10, &nsec) ||
	    !text_take_char(t, ')') || nsec >= 1000000000u || __builtin_mul_overflow(sec, (uint64_t)1000000000u, &ns) ||
	    __builtin_add_overflow(ns, nsec, &ns))
		return false;
	*ret_ns = ns;
	return true;
}

static int result_of(bool ok)
{
	return ok ? 0 : -EBADMSG;
}

static int parse_pos(struct text *t, struct proc_fdinfo *info)
{
	return result_of(text_s64(t, &info->pos));
}

static int parse_flags(struct text *t, struct proc_fdinfo *info)
{
	return result_of(text_u32(t, 8, &info->flags));
}

static int parse_mnt_id(struct text *t, struct proc_fdinfo *info)
{
	return result_of(text_i32(t, &info->mnt_id));
}

static int parse_ino(struct text *t, struct proc_fdinfo *info)
{
	info->has_ino = true;
	return result_of(text_u64(t, 10, &info->ino));
}

static int parse_eventfd_count(struct text *t, struct proc_fdinfo *info)
{
	info->has_eventfd = true;
	return result_of(text_u64(t, 16, &info->eventfd_count));
}

static int parse_eventfd_id(struct text *t, struct proc_fdinfo *info)
{
	return result_of(text_i32(t, &info->eventfd_id));
}

static int parse_eventfd_semaphore(struct text *t, struct proc_fdinfo *info)
{
	uint32_t value;

	if (!text_u32(t, 10, &value))
		return -EBADMSG;
	info->has_eventfd_semaphore = true;
	info->eventfd_semaphore = value != 0;
	return 0;
}

static int parse_sigmask(struct text *t, struct proc_fdinfo *info)
{
	info->has_sigmask = true;
	return result_of(text_u64(t, 16, &info->sigmask));
}

static int parse_clockid(struct text *t, struct proc_fdinfo *info)
{
	info->has_timerfd = true;
	return result_of(text_i32(t, &info->timer_clockid));
}

static int parse_ticks(struct text *t, struct proc_fdinfo *info)
{
	return result_of(text_u64(t, 10, &info->timer_ticks));
}

static int parse_settime_flags(struct text *t, struct proc_fdinfo *info)
{
	return result_of(text_u32(t, 8, &info->timer_settime_flags));
}

static int parse_it_value(struct text *t, struct proc_fdinfo *info)
{
	return result_of(parse_time(t, &info->timer_value_ns));
}

static int parse_it_interval(struct text *t, struct proc_fdinfo *info)
{
	return result_of(parse_time(t, &info->timer_interval_ns));
}

static int parse_pid(struct text *t, struct proc_fdinfo *info)
{
	info->has_pidfd = true;
	return result_of(text_i32(t, &info->pid));
}

static int parse_nspid(struct text *t, struct proc_fdinfo *info)
{
	info->nspid.n = 0;
	for (text_skip_blanks(t); text_left(t); text_skip_blanks(t)) {
		if (info->nspid.n == PROC_NS_LEVELS || !text_i32(t, &info->nspid.id[info->nspid.n]))
			return -EBADMSG;
		info->nspid.n++;
	}
	return 0;
}

static int parse_scm_fds(struct text *t, struct proc_fdinfo *info)
{
	info->has_scm_fds = true;
	return result_of(text_u64(t, 10, &info->scm_fds));
}

enum { LINE_POS, LINE_FLAGS, LINE_REQUIRED }; /* the first rows of the table: every fdinfo has them */

static const struct {
	const char *key;
	int (*parse)(struct text *t, struct proc_fdinfo *info);
} lines[] = {
	[LINE_POS] = { "pos:", parse_pos },
	[LINE_FLAGS] = { "flags:", parse_flags },
	{ "mnt_id:", parse_mnt_id },
	{ "ino:", parse_ino },
	{ "lock:", parse_lock },
	{ "eventfd-count:", parse_eventfd_count },
	{ "eventfd-id:", parse_eventfd_id },
	{ "eventfd-semaphore:", parse_eventfd_semaphore },
	{ "sigmask:", parse_sigmask },
	{ "tfd:", parse_epoll },
	{ "inotify wd:", parse_inotify },
	{ "clockid:", parse_clockid },
	{ "ticks:", parse_ticks },
	{ "settime flags:", parse_settime_flags },
	{ "it_value:", parse_it_value },
	{ "it_interval:", parse_it_interval },
	{ "Pid:", parse_pid },
	{ "NSpid:", parse_nspid },
	{ "scm_fds:", parse_scm_fds },
};

/* iff:	tap0     -- a line without a colon becomes a key with an empty value. */
static int keep_line(const struct text *line, struct proc_fdinfo *info)
{
	struct text key = *line, value = { line->end, line->end };
	const char *colon = text_left(line) ? memchr(line->p, ':', text_left(line)) : NULL;
	struct proc_key_value kv;
	int err = -ENOMEM;

	if (!text_left(line))
		return 0;
	if (colon) {
		key.end = colon;
		value.p = colon + 1;
		text_skip_blanks(&value);
	}
	kv.key = text_dup(&key);
	kv.value = text_dup(&value);
	if (kv.key && kv.value)
		err = vec_push(&info->other, kv);
	if (err) {
		free(kv.key);
		free(kv.value);
	}
	return err;
}

int proc_fdinfo_parse(const char *text, size_t size, struct proc_fdinfo *ret)
{
	struct text t = text_init(text, size), line;
	struct proc_fdinfo info = { .eventfd_id = -1 };
	bool seen[LINE_REQUIRED] = { false };
	int err = 0;

	while (!err && text_line(&t, &line)) {
		size_t i = 0;

		while (i < sizeof(lines) / sizeof(lines[0]) && !text_take(&line, lines[i].key))
			i++;
		if (i == sizeof(lines) / sizeof(lines[0])) {
			err = keep_line(&line, &info);
			continue;
		}
		if (i < LINE_REQUIRED)
			seen[i] = true;
		err = lines[i].parse(&line, &info);
	}
	if (!err && (!seen[LINE_POS] || !seen[LINE_FLAGS]))
		err = -EBADMSG;
	if (err) {
		proc_fdinfo_finish(&info);
		return err;
	}
	*ret = info;
	return 0;
}

void proc_fdinfo_finish(struct proc_fdinfo *info)
{
	vec_each(&info->other, kv) {
		free(kv->key);
		free(kv->value);
	}
	vec_finish(&info->other);
	vec_finish(&info->locks);
	vec_finish(&info->epoll);
	vec_finish(&info->inotify);
}

const char *proc_fdinfo_get(const struct proc_fdinfo *info, const char *key)
{
	vec_each(&info->other, kv)
		if (strcmp(kv->key, key) == 0)
			return kv->value;
	return NULL;
}
