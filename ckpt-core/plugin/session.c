// SPDX-License-Identifier: LGPL-2.1-or-later
/* Sessions: begun for every plugin that has something to do, asked in turn, ended. */
#include "plugin/session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fd/fd-plugin.h"
#include "recorder/find.h"

static int session_descriptors(struct stasis_session *s)
{
	struct fd_plugin_slot slot;
	size_t i = 0;

	while (fd_plugin_next(s->set->files, s->set->plan, s->plugin->name, &i, &slot)) {
		struct stasis_descriptor d = { .fd = slot.fd, .link = slot.link, .what = slot.what, .base = slot.base };
		if (vec_push(&s->descriptors, d))
			return -ENOMEM;
	}
	return 0;
}

static void session_destroy(struct stasis_session *s)
{
	if (s->opened && s->plugin->close)
		s->plugin->close(s, s->state);
	vec_finish(&s->descriptors);
	free(s);
}

static struct stasis_session *session_of(struct plugin_set *set, const struct stasis_plugin *plugin)
{
	vec_each(&set->sessions, s)
		if ((*s)->plugin == plugin)
			return *s;
	return NULL;
}

static int session_create(struct plugin_set *set, const struct stasis_plugin *plugin)
{
	struct stasis_session *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->set = set;
	s->plugin = plugin;
	int err = session_descriptors(s);
	if (!err && s->descriptors.n) {
		s->opened = true;
		err = plugin->open ? plugin->open(s, &s->state) : 0;
		if (!err)
			err = vec_push(&set->sessions, s);
	} else if (!err) {
		session_destroy(s);
		return 0;
	}
	if (err)
		session_destroy(s);
	return err;
}

int plugin_set_open(struct plugin_set *set, const struct stasis_plugin *const *plugins, size_t n_plugins)
{
	int err = 0;

	for (size_t i = 0; i < n_plugins && !err; i++) {
		struct stasis_session *s = session_of(set, plugins[i]);
		if (s) {
			s->descriptors.n = 0;
			err = session_descriptors(s);
		} else {
			err = session_create(set, plugins[i]);
		}
	}
	if (err)
		plugin_set_close(set);
	return err;
}

void plugin_set_close(struct plugin_set *set)
{
	vec_each(&set->sessions, s)
		session_destroy(*s);
	vec_finish(&set->sessions);
}

bool plugin_set_is_empty(const struct plugin_set *set)
{
	return !set->sessions.n;
}

typedef int (*session_callback)(struct stasis_session *s, void *state);

/* A plugin built for an older interface has a shorter table. */
static session_callback session_has(const struct stasis_session *s, size_t offset)
{
	session_callback fn = NULL;

	if (offset + sizeof(fn) <= s->plugin->size)
		memcpy(&fn, (const char *)s->plugin + offset, sizeof(fn));
	return fn;
}

static int set_ask(struct plugin_set *set, size_t offset, const char *point)
{
	vec_each(&set->sessions, it) {
		struct stasis_session *s = *it;
		session_callback fn = session_has(s, offset);
		int err = point ? stasis_fault(s, point) : 0;
		if (!err && fn)
			err = fn(s, s->state);
		if (err)
			return err;
	}
	return 0;
}

int plugin_set_check(struct plugin_set *set)
{
	return set_ask(set, offsetof(struct stasis_plugin, check), NULL);
}

int plugin_set_rest(struct plugin_set *set)
{
	return set_ask(set, offsetof(struct stasis_plugin, rest), "rest");
}

int plugin_set_save(struct plugin_set *set)
{
	return set_ask(set, offsetof(struct stasis_plugin, save), "save");
}

int plugin_set_plan(struct plugin_set *set)
{
	return set_ask(set, offsetof(struct stasis_plugin, plan), "plan");
}

int plugin_set_restore(struct plugin_set *set)
{
	return set_ask(set, offsetof(struct stasis_plugin, restore), "restore");
}

int plugin_set_late(struct plugin_set *set)
{
	return set_ask(set, offsetof(struct stasis_plugin, late), "late");
}

void plugin_set_abandon(struct plugin_set *set)
{
	vec_each(&set->sessions, it) {
		session_callback fn = session_has(*it, offsetof(struct stasis_plugin, abandon));
		if (fn)
			fn(*it, (*it)->state); /* has said what went wrong; the others have their turn all the same */
	}
}

int plugin_set_ready(struct plugin_set *set, const char **ret_what)
{
	vec_each(&set->sessions, it) {
		struct stasis_session *s = *it;
		session_callback fn = session_has(s, offsetof(struct stasis_plugin, ready));
		s->not_ready[0] = '\0';
		int err = fn ? fn(s, s->state) : 0;
		if (err) {
			*ret_what = s->not_ready;
			return err;
		}
	}
	return 0;
}

int plugin_set_mapping(struct plugin_set *set, const struct proc_vma *vma, uint32_t *ret_file)
{
	struct stasis_mapping m = { .start = vma->start, .end = vma->end, .offset = vma->offset, .name = vma->raw };

	*ret_file = 0;
	vec_each(&set->sessions, it) {
		struct stasis_session *s = *it;
		int fd = -1, n = 0, err = 0;
		vec_each(&s->descriptors, d) {
			if (d->fd == d->base && !strcmp(d->link, vma->raw)) {
				fd = n++ ? fd : d->fd;
			}
		}
		if (!n && !s->plugin->claim(vma->raw, &(struct stat){ .st_mode = 0 }))
			continue;
		if (n > 1 && s->plugin->mapping)
			err = s->plugin->mapping(s, s->state, &m, &fd);
		if (!err && fd < 0) {
			char object[64];
			snprintf(object, sizeof(object), "mapping %lx-%lx", vma->start, vma->end);
			return findings_obstacle(set->findings, object, s->plugin->name, "let the target keep the descriptor open",
						 "the descriptor that %s was mapped from is closed", vma->raw);
		}
		if (!err)
			*ret_file = fd_plugin_file(set->files, fd);
		return err;
	}
	return 0;
}

int plugin_set_recorder(struct plugin_set *set, const struct proc_vma *vmas, size_t n_vmas)
{
	int err = recorder_find(set->pid, vmas, n_vmas, &set->root_addr, &set->root);

	set->recorder_unknown = err == -EPROTO;
	if (err)
		set->root_addr = 0;
	return 0;
}

size_t plugin_schemas(const struct stasis_plugin *const *plugins, size_t n_plugins, const struct img_schema **ret, size_t room)
{
	size_t n = 0;

	for (size_t i = 0; i < n_plugins; i++)
		for (const struct img_schema *const *s = plugins[i]->schemas; s && *s && n < room; s++)
			ret[n++] = *s;
	return n;
}
