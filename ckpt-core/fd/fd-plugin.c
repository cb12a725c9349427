// SPDX-License-Identifier: LGPL-2.1-or-later
/* Descriptors that belong to a plugin: who claimed them, what it says of them, what it made for them. */
#include "fd/fd-plugin.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "fd/kinds.h"
#include "stasis/plugin.h"

static const struct img_field plugin_fields[] = {
	IMG_FIELD_REQUIRED(1, fd_plugin_state, file, IMG_U32, IMG_DEC),
	IMG_FIELD_REQUIRED(2, fd_plugin_state, plugin, IMG_STR, IMG_DEC),
	IMG_FIELD(3, fd_plugin_state, what, IMG_STR, IMG_DEC),
};
const struct img_schema fd_plugin_schema =
        IMG_SCHEMA("PLFD", 1, IMG_MUST_UNDERSTAND, "plugin's descriptor", fd_plugin_state, plugin_fields);

const struct stasis_plugin *fd_plugin_claim(const struct fd_capture *cap, const char *link, const struct stat *st,
                                            const char **ret_what)
{
	for (size_t i = 0; i < cap->o.n_plugins; i++)
		if ((*ret_what = cap->o.plugins[i]->claim(link, st)))
			return cap->o.plugins[i];
	return NULL;
}

static int plugin_check(struct fd_capture *cap, struct fd_file *file, struct fd_verdict *v)
{
	(void)cap;
	*v = file->said;
	file->said = (struct fd_verdict){ 0 };
	return 0;
}

/* Only by the plugins' word, see fd_plugin_claim. */
static bool plugin_claim(const struct fd_look *look)
{
	(void)look;
	return false;
}

static bool has_plugin(const struct fd_plan *plan, const char *name)
{
	for (size_t i = 0; i < plan->o.n_plugins; i++)
		if (!strcmp(plan->o.plugins[i]->name, name))
			return true;
	return false;
}

static int plugin_plan(struct fd_plan *plan, struct fd_file *file, struct fd_verdict *v)
{
	const struct fd_plugin_state *state = file->state;

	*v = file->said;
	file->said = (struct fd_verdict){ 0 };
	if (!has_plugin(plan, state->plugin))
		fd_verdict_obstacle(v, "install the plugin that it was made with", "plugin %s, which this needs, is not here", state->plugin);
	return v->err;
}

const struct fd_kind fd_kind_plugin = {
	.name = "plugin",
	.state_schema = &fd_plugin_schema,
	.claim = plugin_claim,
	.check = plugin_check,
	.plan = plugin_plan,
};

static const char *slot_plugin(const struct fd_slot *slot)
{
	return slot->file->kind == &fd_kind_plugin ? ((const struct fd_plugin_state *)slot->file->state)->plugin : NULL;
}

bool fd_plugin_next(const struct fd_capture *cap, const struct fd_plan *plan, const char *plugin, size_t *pos, struct fd_plugin_slot *ret)
{
	const struct fd_slot *slots = cap ? cap->slots.items : plan->slots.items;
	size_t n = cap ? cap->slots.n : plan->slots.n;

	for (; *pos < n; (*pos)++) {
		const struct fd_slot *slot = &slots[*pos];
		const char *name = slot_plugin(slot);
		if (!name || strcmp(name, plugin))
			continue;
		const struct fd_plugin_state *state = slot->file->state;
		*ret = (struct fd_plugin_slot){ .fd = slot->r.fd, .link = cap ? slot->file->link : slot->file->r.path, .what = state->what,
			                        .base = slot->file->slot_fd };
		(*pos)++;
		return true;
	}
	return false;
}

static const struct fd_slot *find_slot(const struct fd_slot *slots, size_t n, int fd)
{
	for (size_t i = 0; i < n; i++)
		if (slots[i].r.fd == fd)
			return &slots[i];
	return NULL;
}

struct fd_verdict *fd_plugin_verdict(struct fd_capture *cap, struct fd_plan *plan, int fd)
{
	const struct fd_slot *slot = cap ? find_slot(cap->slots.items, cap->slots.n, fd) : find_slot(plan->slots.items, plan->slots.n, fd);

	return slot && slot_plugin(slot) ? &slot->file->said : NULL;
}

uint32_t fd_plugin_file(const struct fd_capture *cap, int fd)
{
	const struct fd_slot *slot = find_slot(cap->slots.items, cap->slots.n, fd);

	return slot ? slot->file->r.id : 0;
}

const char *fd_plugin_kind_of(const struct fd_capture *cap, int fd)
{
	const struct fd_slot *slot = find_slot(cap->slots.items, cap->slots.n, fd);

	return slot ? slot->file->kind->name : NULL;
}

int fd_plugin_copy(struct fd_capture *cap, int fd)
{
	const struct fd_slot *slot = find_slot(cap->slots.items, cap->slots.n, fd);

	return slot ? fd_file_copy(cap, slot->file) : -EBADF;
}

int fd_plugin_give(struct fd_plan *plan, uint32_t index, int fd, int made)
{
	vec_each(&plan->slots, slot) {
		if (slot->r.process != index || slot->r.fd != fd || slot->file->kind != &fd_kind_plugin)
			continue;
		int err = slot->file->fd >= 0 ? -EEXIST : fd_set_status(plan, slot->file, made);
		if (err) {
			close(made);
			return err == -EEXIST ? report_fail(plan->rep, err, "fd %d was made twice", fd) : err;
		}
		slot->file->fd = fd_plan_adopt(plan, made);
		return slot->file->fd < 0 ? slot->file->fd : 0;
	}
	close(made);
	return report_fail(plan->rep, -EBADMSG, "image %s: descriptor %d is no plugin's; the image is damaged", img_reader_path(plan->reader), fd);
}

int fd_plugin_number(const struct fd_plan *plan, uint32_t index, uint32_t file)
{
	vec_each(&plan->slots, slot)
		if (slot->r.process == index && slot->r.file == file)
			return slot->r.fd;
	return -ENOENT;
}
