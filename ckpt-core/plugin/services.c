// SPDX-License-Identifier: LGPL-2.1-or-later
/* What plugins may call (stasis/plugin.h): words, findings, the target's memory, records. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/timens.h"
#include "fd/fd-plugin.h"
#include "plugin/session.h"

/* ---- words ---- */

static void say(struct stasis_session *s, void (*how)(struct reporter *rep, const char *fmt, ...), const char *fmt, va_list ap)
{
	char text[1024];

	vsnprintf(text, sizeof(text), fmt, ap);
	how(s->set->rep, "%s", text);
}

int stasis_fail(struct stasis_session *s, int err, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return report_fail(s->set->rep, err, "%s", text);
}

void stasis_warn(struct stasis_session *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(s, report_warn, fmt, ap);
	va_end(ap);
}

void stasis_debug(struct stasis_session *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(s, report_debug, fmt, ap);
	va_end(ap);
}

int stasis_fault(struct stasis_session *s, const char *point)
{
	char name[64];

	snprintf(name, sizeof(name), "%s.%s", s->plugin->name, point);
	return report_fault(s->set->rep, name);
}

const char *stasis_mapped(struct stasis_session *s, const char *kind, const char *old)
{
	return s->set->map ? resource_map_ask(s->set->map, kind, old) : NULL;
}

int64_t stasis_clock_offset_ns(struct stasis_session *s)
{
	return timens_offset_ns(s->set->pid);
}

size_t stasis_descriptors(struct stasis_session *s, const struct stasis_descriptor **ret)
{
	*ret = s->descriptors.items;
	return s->descriptors.n;
}

void stasis_action(struct stasis_session *s, int fd, const char *fmt, ...)
{
	struct fd_verdict *v = fd_plugin_verdict(s->set->files, s->set->plan, fd);
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (v)
		fd_verdict_action(v, "%s", text);
}

void stasis_obstacle(struct stasis_session *s, int fd, const char *object, const char *remedy, const char *fmt, ...)
{
	struct fd_verdict *v = fd >= 0 ? fd_plugin_verdict(s->set->files, s->set->plan, fd) : NULL;
	char text[512], name[32];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (v && !v->obstacle) {
		fd_verdict_obstacle(v, remedy, "%s", text);
		return;
	}
	snprintf(name, sizeof(name), "fd %d", fd); /* a second one of the same descriptor */
	findings_obstacle(s->set->findings, object ? object : name, s->plugin->name, remedy, "%s", text);
}

/* ---- the target ---- */

int stasis_read(struct stasis_session *s, uint64_t addr, void *buf, size_t size)
{
	return inject_read(s->set->pid, addr, buf, size);
}

int stasis_write(struct stasis_session *s, uint64_t addr, const void *buf, size_t size)
{
	return inject_write(s->set->pid, addr, buf, size);
}

struct stasis_calls {
	struct batch b;
};

/* The recorder has set memory aside for this, so that a batch is not bound by the room on somebody's stack. */
int stasis_calls_create(struct stasis_session *s, size_t max_calls, struct stasis_calls **ret)
{
	struct batch_place place = s->set->place;
	struct stasis_calls *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	if (s->set->root_addr && s->set->root.scratch_size > place.size) {
		place.area = s->set->root.scratch;
		place.size = s->set->root.scratch_size;
		place.keep = false;
	}
	int err = batch_begin(&c->b, s->set->worker, &place, max_calls);
	if (err) {
		free(c);
		return err;
	}
	*ret = c;
	return 0;
}

void stasis_calls_destroy(struct stasis_calls *c)
{
	if (!c)
		return;
	batch_finish(&c->b);
	free(c);
}

void stasis_calls_reset(struct stasis_calls *c)
{
	batch_reset(&c->b);
}

uint64_t stasis_calls_put(struct stasis_calls *c, const void *data, size_t size)
{
	return data ? batch_put(&c->b, data, size) : batch_reserve(&c->b, size);
}

void *stasis_calls_at(struct stasis_calls *c, uint64_t addr)
{
	return batch_at(&c->b, addr);
}

size_t stasis_calls_room(const struct stasis_calls *c)
{
	return batch_data_left(&c->b);
}

size_t stasis_calls_add(struct stasis_calls *c, unsigned flags, long nr, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3)
{
	batch_call(&c->b, (uint32_t)nr, flags & STASIS_MAY_FAIL ? INJECT_MAY_FAIL : 0, a0, a1, a2, a3);
	return c->b.n_calls - 1;
}

int stasis_calls_run(struct stasis_calls *c, size_t *ret_failed)
{
	int err = batch_run(&c->b);

	if (err && ret_failed)
		*ret_failed = c->b.done;
	return err;
}

int64_t stasis_calls_result(const struct stasis_calls *c, size_t index)
{
	return ((const struct inject_call *)c->b.copy)[index].result;
}

/* ---- checkpoint ---- */

bool stasis_is_frozen(const struct stasis_session *s)
{
	return s->set->frozen;
}

pid_t stasis_pid(const struct stasis_session *s)
{
	return s->set->pid;
}

int stasis_descriptor_copy(struct stasis_session *s, int fd)
{
	return fd_plugin_copy(s->set->files, fd);
}

const char *stasis_descriptor_kind(struct stasis_session *s, int fd)
{
	return fd_plugin_kind_of(s->set->files, fd);
}

int stasis_recorded(struct stasis_session *s, uint64_t *ret_addr, uint64_t *ret_size)
{
	if (s->set->root_addr) {
		for (size_t i = 0; i < RECORDER_SECTIONS; i++) {
			const struct recorder_section *sec = &s->set->root.sections[i];
			if (sec->addr && !strncmp(sec->name, s->plugin->name, sizeof(sec->name))) {
				*ret_addr = sec->addr;
				*ret_size = sec->size;
				return 0;
			}
		}
	}
	return s->set->recorder_unknown ? -EPROTO : -ENOENT;
}

bool stasis_recording(struct stasis_session *s)
{
	uint32_t busy = 0;

	return !stasis_read(s, s->set->root_addr + offsetof(struct recorder_root, busy), &busy, sizeof(busy)) && busy;
}

bool stasis_recorder_broken(struct stasis_session *s)
{
	uint32_t broken = 0;

	return stasis_read(s, s->set->root_addr + offsetof(struct recorder_root, broken), &broken, sizeof(broken)) || broken;
}

const struct user_regs_struct *stasis_thread(struct stasis_session *s, size_t i)
{
	struct frozen *f = s->set->frozen;

	return f && i < f->threads.n ? &f->threads.items[i].regs : NULL;
}

int stasis_undo_ioctl(struct stasis_session *s, int fd, uint64_t request, const void *data, size_t size)
{
	return undo_note_ioctl(s->set->journal, s->set->pid, fd, request, data, size);
}

int stasis_undo_ioctl_at(struct stasis_session *s, int fd, uint64_t request, uint64_t addr)
{
	return undo_note_ioctl_at(s->set->journal, s->set->pid, fd, request, addr);
}

bool stasis_is_last(const struct stasis_session *s)
{
	return s->set->last;
}

void stasis_not_ready(struct stasis_session *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(s->not_ready, sizeof(s->not_ready), fmt, ap);
	va_end(ap);
}

int stasis_record(struct stasis_session *s, const struct img_schema *schema, const void *value)
{
	return img_writer_record(s->set->writer, schema, value);
}

/* ---- restart ---- */

int stasis_records(struct stasis_session *s, const struct img_schema *schema, void *ret_array, size_t *ret_n)
{
	void *array = NULL;
	int err = img_reader_load(s->set->reader, schema, &array, ret_n);

	if (!err)
		memcpy(ret_array, &array, sizeof(array));
	return err;
}

int stasis_damaged(struct stasis_session *s, const char *what)
{
	return stasis_fail(s, -EBADMSG, "the image's records of %s: %s; it is damaged or was not made by stasis", s->plugin->name, what);
}

void stasis_records_free(const struct img_schema *schema, void *array, size_t n)
{
	img_schema_free_array(schema, array, n);
}

unsigned stasis_wait_ms(const struct stasis_session *s)
{
	return s->set->wait_ms;
}

bool stasis_cancelled(const struct stasis_session *s)
{
	return report_cancelled(s->set->rep);
}

int stasis_give(struct stasis_session *s, int fd, int made)
{
	return fd_plugin_give(s->set->plan, s->set->process, fd, made);
}
