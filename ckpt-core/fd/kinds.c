// SPDX-License-Identifier: LGPL-2.1-or-later
/* The table of kinds, and the small things that all rows use: verdicts and items. */
#include "fd/kinds.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "fd/fd-sock.h"

const struct fd_kind *const fd_kinds[] = {
	&fd_kind_path,       &fd_kind_kernel,  &fd_kind_memfd,    &fd_kind_regular, &fd_kind_directory, &fd_kind_pipe,
	&fd_kind_fifo,       &fd_kind_eventfd, &fd_kind_signalfd, &fd_kind_timerfd, &fd_kind_epoll,     &fd_kind_inotify,
	&fd_kind_pidfd,      &fd_kind_unix,    &fd_kind_tcp,      &fd_kind_inet,    &fd_kind_netlink,   &fd_kind_socket,
	&fd_kind_pty_master, &fd_kind_tty,     &fd_kind_plugin,   &fd_kind_device,  &fd_kind_block,     &fd_kind_foreign,
	NULL,
};

const struct fd_kind *fd_kind_find(const char *name)
{
	for (const struct fd_kind *const *k = fd_kinds; *k; k++)
		if (!strcmp((*k)->name, name))
			return *k;
	return NULL;
}

static void verdict_set(struct fd_verdict *v, char **text, const char *fmt, va_list ap)
{
	char *fresh;

	if (vasprintf(&fresh, fmt, ap) < 0) {
		v->err = -ENOMEM;
		return;
	}
	free(*text);
	*text = fresh;
}

void fd_verdict_action(struct fd_verdict *v, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	verdict_set(v, &v->action, fmt, ap);
	va_end(ap);
}

void fd_verdict_obstacle(struct fd_verdict *v, const char *remedy, const char *fmt, ...)
{
	va_list ap;

	if (v->obstacle)
		return;
	if (!(v->remedy = strdup(remedy)))
		v->err = -ENOMEM;
	va_start(ap, fmt);
	verdict_set(v, &v->obstacle, fmt, ap);
	va_end(ap);
}

void fd_verdict_clear(struct fd_verdict *v)
{
	free(v->action);
	free(v->obstacle);
	free(v->remedy);
	*v = (struct fd_verdict){ 0 };
}

int fd_verdict_give(struct fd_verdict *v, struct findings *findings, const char *object, const char *kind)
{
	int err = v->err;

	if (!err)
		err = findings_add(findings, object, kind, v->action, v->obstacle, v->remedy);
	fd_verdict_clear(v);
	return err;
}

int fd_file_add_item(struct fd_file *file, const void *item)
{
	size_t size = file->kind->item_schema->size;
	int err = vec_grow(&file->items, file->n_items, &file->room_items, size);

	if (err)
		return err;
	char *slot = (char *)file->items + file->n_items++ * size;
	memcpy(slot, item, size);
	memcpy(slot, &file->r.id, sizeof(file->r.id));
	return 0;
}

void fd_file_destroy(struct fd_file *file)
{
	if (!file)
		return;
	if (file->items)
		img_schema_free_array(file->kind->item_schema, file->items, file->n_items);
	if (file->state) {
		img_schema_clear(file->kind->state_schema, file->state);
		free(file->state);
	}
	img_schema_clear(&fd_file_schema, &file->r);
	fd_verdict_clear(&file->said);
	free(file->link);
	free(file->own_ptr);
	free(file);
}

void fd_back_destroy(struct fd_back *back)
{
	if (!back)
		return;
	const int fds[] = { back->clone_fd, back->fd_made, back->fd_ro, back->fd_rw };
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	img_schema_clear(&fd_back_schema, &back->r);
	vec_finish(&back->windows);
	free(back->path_now);
	free(back->path_temp);
	free(back);
}

const char *fd_file_name(const struct fd_file *file, char *buf, size_t size)
{
	snprintf(buf, size, "fd %d (%s)", file->slot_fd, file->link ? file->link : file->r.path);
	return buf;
}

const struct img_schema *const *fd_schemas(size_t *ret_n)
{
	static const struct img_schema *const all[] = {
		&fd_file_schema,     &fd_slot_schema,    &fd_back_schema,      &fd_lock_schema,
		&fd_block_schema,    &fd_pipe_schema,    &fd_pipe_data_schema, &fd_eventfd_schema,
		&fd_signalfd_schema, &fd_timerfd_schema, &fd_epoll_schema,     &fd_inotify_schema,
		&fd_pidfd_schema,    &fd_tty_schema,     &sock_state_schema,   &sock_item_schema,
		&fd_plugin_schema,
	};

	*ret_n = ARRAY_SIZE(all);
	return all;
}
