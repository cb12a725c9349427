// SPDX-License-Identifier: LGPL-2.1-or-later
/* Pipes and FIFOs, with what is queued in them.
 *
 * Descriptions of one pipe are known by its inode. Queued data is duplicated by tee(2) into a pipe of our own and read from
 * there, read by read: in packet mode (O_DIRECT) each read is one packet. At a restart the pipe is made once and further
 * descriptions are opened through /proc/self/fd, for which a pipe waits for nobody. An end that nobody in the tree has is
 * closed: the target sees what a peer's death looks like. Tests: fd-pipe.c. */
#include "fd/kinds.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/io.h"

struct pipe_state {
	uint32_t file;
	uint32_t capacity; /* F_GETPIPE_SZ, bytes */
	bool abandoned;    /* nobody at all had the other end any more */
};

static const struct img_field pipe_fields[] = {
	IMG_FIELD_REQUIRED(1, pipe_state, file, IMG_U32, IMG_DEC),
	IMG_FIELD(2, pipe_state, capacity, IMG_U32, IMG_DEC),
	IMG_FIELD(3, pipe_state, abandoned, IMG_BOOL, IMG_DEC),
};
const struct img_schema fd_pipe_schema = IMG_SCHEMA("PIPE", 1, IMG_MUST_UNDERSTAND, "pipe", pipe_state, pipe_fields);

/* What one read would return, of the first description that reads. */
struct pipe_data {
	uint32_t file;
	struct img_bytes data;
};

static const struct img_field data_fields[] = {
	IMG_FIELD_REQUIRED(1, pipe_data, file, IMG_U32, IMG_DEC),
	IMG_FIELD_REQUIRED(2, pipe_data, data, IMG_BYTES, IMG_DEC),
};
const struct img_schema fd_pipe_data_schema =
        IMG_SCHEMA("PIPD", 1, IMG_MUST_UNDERSTAND, "data in a pipe", pipe_data, data_fields);

/* file->own in capture */
#define READER_INSIDE 1u
#define WRITER_INSIDE 2u

static bool reads(const struct fd_file *file)
{
	return (file->r.flags & O_ACCMODE) != O_WRONLY;
}

static bool writes(const struct fd_file *file)
{
	return (file->r.flags & O_ACCMODE) != O_RDONLY;
}

static bool same_pipe(const struct fd_file *a, const struct fd_file *b)
{
	return a->kind == b->kind && a->r.ino == b->r.ino && a->r.dev_major == b->r.dev_major &&
	       a->r.dev_minor == b->r.dev_minor;
}

/* ---- capture ---- */

static bool pipe_claim(const struct fd_look *look)
{
	return S_ISFIFO(look->st->st_mode) && look->link[0] != '/';
}

static bool fifo_claim(const struct fd_look *look)
{
	return S_ISFIFO(look->st->st_mode) && look->link[0] == '/';
}

static int pipe_inspect(struct fd_capture *cap, struct fd_file *file, const struct fd_look *look)
{
	struct pipe_state *state = file->state;
	struct pollfd poll_fd = { .fd = look->copy };
	int capacity = fcntl(look->copy, F_GETPIPE_SZ);

	(void)cap;
	if (capacity > 0)
		state->capacity = (uint32_t)capacity;
	/* fs/pipe.c, pipe_poll: POLLHUP tells a reader that there is no writer, POLLERR a writer that there is no reader. */
	if (poll(&poll_fd, 1, 0) > 0)
		state->abandoned = (poll_fd.revents & (reads(file) ? POLLHUP : POLLERR)) != 0;
	return 0;
}

static int pipe_resolve(struct fd_capture *cap, struct fd_file *file)
{
	const struct pipe_state *state = file->state;

	vec_each(&cap->files, it)
		if (same_pipe(*it, file))
			file->own |= (reads(*it) ? READER_INSIDE : 0) | (writes(*it) ? WRITER_INSIDE : 0);
	file->r.stdio = file->own != (READER_INSIDE | WRITER_INSIDE) && !state->abandoned;
	return 0;
}

static int pipe_check(struct fd_capture *cap, struct fd_file *file, struct fd_verdict *v)
{
	const struct pipe_state *state = file->state;

	(void)cap;
	if (file->own == (READER_INSIDE | WRITER_INSIDE))
		fd_verdict_action(v, "restored with what is queued");
	else if (file->r.stdio)
		fd_verdict_action(
		        v, "becomes the same descriptor of the command that restarts (its other end is outside of the target)");
	else if (file->kind == &fd_kind_fifo)
		fd_verdict_action(v, "%s: opened again%s; its other end is outside of the target", file->r.path,
		                  reads(file) ? ", with what is queued" : "");
	else
		fd_verdict_action(v,
		                  reads(file) ? "restored with what is queued, then end of file: %s"
		                              : "restored with nobody reading (EPIPE): %s",
		                  state->abandoned ? "its other end is closed" : "its other end is outside of the target");
	return 0;
}

static bool is_first_reader(const struct fd_capture *cap, const struct fd_file *file)
{
	vec_each(&cap->files, it)
		if (same_pipe(*it, file) && reads(*it))
			return *it == file;
	return false;
}

static int keep_data(struct fd_file *file, const char *buf, size_t size)
{
	struct pipe_data data = { .data = { malloc(size), size } };

	if (!data.data.data)
		return -ENOMEM;
	memcpy(data.data.data, buf, size);
	int err = fd_file_add_item(file, &data);
	if (err)
		free(data.data.data);
	return err;
}

/* Everything that is queued into a pipe of our own. */
static int tee_all(struct fd_capture *cap, const struct fd_file *file, int own, int queued)
{
	const struct pipe_state *state = file->state;
	AUTO_CLOSE int copy = fd_file_copy(cap, file);

	if (copy < 0)
		return copy;
	fcntl(own, F_SETPIPE_SZ, state->capacity);
	ssize_t n = tee(copy, own, INT32_MAX, SPLICE_F_NONBLOCK);
	if (n != queued)
		return report_fail(cap->rep, n < 0 ? -errno : -ENOSPC,
		                   "fd %d (pipe): %d bytes are queued, %zd could be copied: %s; raise "
		                   "fs.pipe-max-size and fs.pipe-user-pages-soft",
		                   file->slot_fd, queued, n < 0 ? 0 : n, n < 0 ? strerror(errno) : "no room");
	return 0;
}

static int pipe_save(struct fd_capture *cap, struct fd_file *file, struct img_writer *w)
{
	AUTO_CLOSE int in = -1;
	AUTO_CLOSE int out = -1;
	AUTO_FREE char *buf = NULL;
	int ends[2], queued = 0, err = 0;

	(void)w;
	if (!reads(file) || !is_first_reader(cap, file))
		return 0;
	AUTO_CLOSE int copy = fd_file_copy(cap, file);
	if (copy < 0)
		return copy;
	if (ioctl(copy, FIONREAD, &queued) || queued <= 0)
		return 0;
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK))
		return report_fail(cap->rep, -errno, "no pipe can be made: %s", strerror(errno));
	out = ends[0];
	in = ends[1];
	if (!(buf = malloc((size_t)queued)))
		return -ENOMEM;
	err = tee_all(cap, file, in, queued);
	for (ssize_t n; !err && (n = read(out, buf, (size_t)queued)) > 0;)
		err = keep_data(file, buf, (size_t)n);
	return err;
}

/* ---- restore ---- */

static struct fd_file *member(struct fd_plan *plan, const struct fd_file *file, bool (*is)(const struct fd_file *))
{
	vec_each(&plan->files, it)
		if (same_pipe(*it, file) && is(*it) && !(*it)->foreign_fd && (*it)->slot_fd >= 0)
			return *it;
	return NULL;
}

static bool has_data(const struct fd_file *file)
{
	return file->n_items > 0;
}

/* Puts the queue back through the end `in`, which does not block. */
static int refill(struct fd_plan *plan, const struct fd_file *file, int in)
{
	const struct pipe_state *state = file->state;
	const struct fd_file *source = member(plan, file, has_data);
	int flags = fcntl(in, F_GETFL);

	if (state->capacity && fcntl(in, F_GETPIPE_SZ) != (int)state->capacity && fcntl(in, F_SETPIPE_SZ, state->capacity) < 0)
		report_warn(plan->rep, "fd %d (pipe): its capacity of %u bytes cannot be set: %s; raise fs.pipe-max-size",
		            file->slot_fd, state->capacity, strerror(errno));
	if (!source)
		return 0;
	const struct pipe_data *pieces = source->items;
	if (source->n_items > 1)
		fcntl(in, F_SETFL, flags | O_DIRECT);
	for (size_t i = 0; i < source->n_items; i++) {
		ssize_t n = write(in, pieces[i].data.data, pieces[i].data.size);
		if (n != (ssize_t)pieces[i].data.size)
			return report_fail(plan->rep, n < 0 ? -errno : -ENOSPC,
			                   "fd %d (pipe): what was queued does not fit any more: %s; "
			                   "raise fs.pipe-max-size",
			                   file->slot_fd, n < 0 ? strerror(errno) : "no room");
	}
	fcntl(in, F_SETFL, flags);
	return 0;
}

static int settle(struct fd_plan *plan, struct fd_file *file, int fd)
{
	file->fd = fd_plan_adopt(plan, fd);
	return file->fd < 0 ? file->fd : fd_set_status(plan, file, file->fd);
}

static bool is_reader(const struct fd_file *file)
{
	return (file->r.flags & O_ACCMODE) == O_RDONLY;
}

static bool is_writer(const struct fd_file *file)
{
	return (file->r.flags & O_ACCMODE) == O_WRONLY;
}

/* Makes the pipe; its ends go to the first that reads and the first that writes. */
static int make_pipe(struct fd_plan *plan, struct fd_file *file, int *ret_spare)
{
	AUTO_CLOSE int out = -1;
	AUTO_CLOSE int in = -1;
	int ends[2], err;

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK))
		return report_fail(plan->rep, -errno, "fd %d (pipe): %s", file->slot_fd, strerror(errno));
	out = ends[0];
	in = ends[1];
	err = refill(plan, file, in);
	vec_each(&plan->files, it) {
		struct fd_file *other = *it;

		if (err || !same_pipe(other, file) || other->foreign_fd || other->slot_fd < 0 || other->fd >= 0)
			continue;
		if (is_reader(other) && out >= 0)
			err = settle(plan, other, STEAL_FD(out));
		else if (is_writer(other) && in >= 0)
			err = settle(plan, other, STEAL_FD(in));
	}
	/* Descriptions that both read and write are opened through one of these. */
	if (!err && file->fd < 0)
		*ret_spare = STEAL_FD(out);
	return err;
}

static int pipe_prepare(struct fd_plan *plan, struct fd_file *file)
{
	AUTO_CLOSE int spare = -1;
	char path[32];
	int via = -1;

	vec_each(&plan->files, it)
		if (same_pipe(*it, file) && (*it)->fd >= 0)
			via = (*it)->fd;
	if (via < 0) {
		int err = make_pipe(plan, file, &spare);
		if (err || file->fd >= 0)
			return err;
		via = spare;
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", via);
	int fd = open(path, ((int)file->r.flags & O_ACCMODE) | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return report_fail(plan->rep, -errno, "fd %d (pipe): cannot be opened once more: %s", file->slot_fd,
		                   strerror(errno));
	return settle(plan, file, fd);
}

const struct fd_kind fd_kind_pipe = {
	.name = "pipe",
	.state_schema = &fd_pipe_schema,
	.item_schema = &fd_pipe_data_schema,
	.claim = pipe_claim,
	.inspect = pipe_inspect,
	.resolve = pipe_resolve,
	.check = pipe_check,
	.save = pipe_save,
	.prepare = pipe_prepare,
};

/* ---- FIFOs ---- */

static int fifo_inspect(struct fd_capture *cap, struct fd_file *file, const struct fd_look *look)
{
	file->r.deleted = look->st->st_nlink == 0;
	return pipe_inspect(cap, file, look);
}

static int fifo_plan(struct fd_plan *plan, struct fd_file *file, struct fd_verdict *v)
{
	AUTO_FREE char *owned = NULL;
	struct stat st;
	bool mapped;
	int err = fd_plan_path(plan, file->r.path, &owned, &mapped);

	if (err)
		return err;
	const char *path = owned ? owned : file->r.path;
	if (file->r.deleted)
		return 0;
	if (stat(path, &st)) {
		if (errno == ENOENT)
			fd_verdict_action(v, "FIFO %s is missing: made again", path);
		else
			fd_verdict_obstacle(v, "point elsewhere with --map file:OLD=NEW", "FIFO %s: %s", path, strerror(errno));
	} else if (!S_ISFIFO(st.st_mode)) {
		fd_verdict_obstacle(v, "remove it, or point elsewhere with --map file:OLD=NEW", "%s is no FIFO", path);
	}
	return v->err;
}

/* Opens every description of the FIFO, while one that reads and writes keeps it from waiting or losing its contents. */
static int open_all(struct fd_plan *plan, const struct fd_file *file, const char *path, int hold)
{
	int queued = 0, err = 0;

	/* A peer outside that lived on has kept the contents alive. */
	ioctl(hold, FIONREAD, &queued);
	if (!queued)
		err = refill(plan, file, hold);
	vec_each(&plan->files, it) {
		struct fd_file *other = *it;

		if (err || !same_pipe(other, file) || other->foreign_fd || other->slot_fd < 0)
			continue;
		int fd = open(path, fd_open_flags(other) | O_NONBLOCK);
		err = fd < 0 ? report_fail(plan->rep, -errno, "fd %d: FIFO %s cannot be opened: %s", other->slot_fd, path,
		                           strerror(errno))
		             : settle(plan, other, fd);
	}
	return err;
}

/* A FIFO without a name is made under its old one with this and removed at once. */
static const char fifo_aside[] = ".stasis";

static int fifo_prepare(struct fd_plan *plan, struct fd_file *file)
{
	AUTO_FREE char *owned = NULL, *aside = NULL;
	bool mapped;
	int err = fd_plan_path(plan, file->r.path, &owned, &mapped);

	if (err)
		return err;
	const char *path = owned ? owned : file->r.path;
	size_t n = strlen(path), n_aside = strlen(fifo_aside);
	if (file->r.deleted && !(n > n_aside && !strcmp(path + n - n_aside, fifo_aside))) {
		if (asprintf(&aside, "%s%s", path, fifo_aside) < 0)
			return -ENOMEM;
		path = aside;
	}
	if (!mkfifo(path, file->r.mode & 07777)) {
		if (!(file->own_ptr = strdup(path)))
			return -ENOMEM;
	} else if (errno != EEXIST) {
		return report_fail(plan->rep, -errno, "fd %d: FIFO %s cannot be made: %s", file->slot_fd, path,
		                   strerror(errno));
	}
	AUTO_CLOSE int hold = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (hold < 0)
		return report_fail(plan->rep, -errno, "fd %d: FIFO %s cannot be opened: %s", file->slot_fd, path,
		                   strerror(errno));
	err = open_all(plan, file, path, hold);
	if (file->r.deleted && file->own_ptr)
		unlink(path);
	return err;
}

static void fifo_abandon(struct fd_plan *plan, struct fd_file *file)
{
	(void)plan;
	if (file->own_ptr && !file->r.deleted)
		unlink(file->own_ptr);
}

const struct fd_kind fd_kind_fifo = {
	.name = "fifo",
	.state_schema = &fd_pipe_schema,
	.item_schema = &fd_pipe_data_schema,
	.claim = fifo_claim,
	.inspect = fifo_inspect,
	.resolve = pipe_resolve,
	.check = pipe_check,
	.save = pipe_save,
	.plan = fifo_plan,
	.prepare = fifo_prepare,
	.abandon = fifo_abandon,
};
