// SPDX-License-Identifier: LGPL-2.1-or-later
/* A ring of buffers between the threads that read and the caller, who fills in what is to be read and hands on what has been. The
 * runs of pages of one buffer are read with one call. (Two threads: memory in small pages is read at half the speed of a disk that is fast.) */
#include "collect/ahead.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/cpus.h"
#include "base/io.h"

#define PAGE 4096ul
#define BUFFERS 6
#define ROOM (IMG_CHUNK_PAGES * PAGE) /* of a buffer: one chunk of the image */
#define RUNS 64
#define THREADS 2

struct ahead_run {
	uint64_t start, size;
	bool drop_zero, changed;
};

struct ahead_buffer {
	struct ahead_run runs[RUNS];
	size_t n;
	uint64_t size;
	bool is_read;
	int err;
	uint64_t err_at;
	uint8_t *data;
};

struct ahead {
	struct reporter *rep;
	struct img_writer *writer;
	pid_t pid;
	uint32_t space;
	int mem;
	uint64_t done, total, err_at;
	pthread_t threads[THREADS];
	size_t n_threads;
	pthread_mutex_t lock;
	pthread_cond_t turn;
	/* How many buffers are to be read, have been begun with, and were handed on; the one that is being filled is the next. */
	uint64_t asked, begun, used;
	bool ends;
	struct ahead_buffer buffers[BUFFERS];
};

/* What process_vm_readv() may not read /proc/PID/mem may. */
static void buffer_read(const struct ahead *a, struct ahead_buffer *b)
{
	struct iovec local = { b->data, b->size }, remote[RUNS];
	uint8_t *at = b->data;

	for (size_t i = 0; i < b->n; i++)
		remote[i] = (struct iovec){ (void *)b->runs[i].start, b->runs[i].size };
	if (process_vm_readv(a->pid, &local, 1, remote, b->n, 0) == (ssize_t)b->size)
		return;
	for (size_t i = 0; i < b->n && !b->err; at += b->runs[i++].size) {
		b->err = io_pread_all(a->mem, at, b->runs[i].size, b->runs[i].start);
		b->err_at = b->runs[i].start;
	}
}

static void *ahead_thread(void *arg)
{
	struct ahead *a = arg;

	pthread_mutex_lock(&a->lock);
	for (;;) {
		while (!a->ends && a->begun == a->asked)
			pthread_cond_wait(&a->turn, &a->lock);
		if (a->ends)
			break;
		struct ahead_buffer *b = &a->buffers[a->begun++ % BUFFERS];
		pthread_mutex_unlock(&a->lock);
		buffer_read(a, b);
		pthread_mutex_lock(&a->lock);
		b->is_read = true;
		pthread_cond_broadcast(&a->turn);
	}
	pthread_mutex_unlock(&a->lock);
	return NULL;
}

int ahead_done(struct ahead *a, uint64_t size)
{
	a->done += size;
	report_progress(a->rep, "write", a->done, a->total);
	return report_cancelled(a->rep) ? -ECANCELED : 0;
}

uint64_t ahead_at(const struct ahead *a)
{
	return a->err_at;
}

/* Hands on the oldest buffer that was asked for. */
static int ahead_use(struct ahead *a)
{
	struct ahead_buffer *b = &a->buffers[a->used % BUFFERS];

	pthread_mutex_lock(&a->lock);
	while (!b->is_read)
		pthread_cond_wait(&a->turn, &a->lock);
	pthread_mutex_unlock(&a->lock);
	const uint8_t *at = b->data;
	int err = b->err;
	if (err)
		a->err_at = b->err_at;
	for (size_t i = 0; i < b->n && !err; at += b->runs[i++].size) {
		const struct ahead_run *run = &b->runs[i];
		err = (run->changed ? img_writer_changed_pages : img_writer_pages)(a->writer, a->space, run->start, at, run->size, run->drop_zero);
	}
	if (!err)
		err = ahead_done(a, b->size);
	b->n = 0;
	b->size = 0;
	b->err = 0;
	b->is_read = false;
	a->used++;
	return err;
}

/* Has the buffer read that is being filled; then there is an empty one. */
static int ahead_ask(struct ahead *a)
{
	pthread_mutex_lock(&a->lock);
	a->asked++;
	pthread_cond_broadcast(&a->turn);
	pthread_mutex_unlock(&a->lock);
	return a->asked - a->used == BUFFERS ? ahead_use(a) : 0;
}

int ahead_pages(struct ahead *a, uint64_t start, uint64_t end, bool drop_zero, bool changed)
{
	int err = 0;

	while (start < end && !err) {
		struct ahead_buffer *b = &a->buffers[a->asked % BUFFERS];
		const uint64_t room = ROOM - b->size, size = end - start < room ? end - start : room;
		b->runs[b->n++] = (struct ahead_run){ start, size, drop_zero, changed };
		b->size += size;
		start += size;
		if (b->n == RUNS || b->size == ROOM)
			err = ahead_ask(a);
	}
	return err;
}

int ahead_flush(struct ahead *a)
{
	int err = a->buffers[a->asked % BUFFERS].n ? ahead_ask(a) : 0;

	while (!err && a->used < a->asked)
		err = ahead_use(a);
	return err;
}

int ahead_create(struct reporter *rep, struct img_writer *w, pid_t pid, uint32_t space, uint64_t done, uint64_t total, struct ahead **ret)
{
	struct ahead *a = calloc(1, sizeof(*a));
	char path[40];
	int err = 0;

	if (!a)
		return -ENOMEM;
	*a = (struct ahead){ .rep = rep, .writer = w, .pid = pid, .space = space, .done = done, .total = total,
			     .lock = PTHREAD_MUTEX_INITIALIZER, .turn = PTHREAD_COND_INITIALIZER };
	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	if ((a->mem = open(path, O_RDONLY | O_CLOEXEC)) < 0)
		err = -errno;
	for (size_t i = 0; i < BUFFERS && !err; i++)
		if (!(a->buffers[i].data = aligned_alloc(PAGE, ROOM)))
			err = -ENOMEM;
	if (!err && !(a->n_threads = cpus_start(a->threads, cpus_usable(THREADS), ahead_thread, a)))
		err = -EAGAIN;
	if (err)
		ahead_destroy(a);
	else
		*ret = a;
	return err;
}

void ahead_destroy(struct ahead *a)
{
	if (!a)
		return;
	pthread_mutex_lock(&a->lock);
	a->ends = true;
	pthread_cond_broadcast(&a->turn);
	pthread_mutex_unlock(&a->lock);
	for (size_t i = 0; i < a->n_threads; i++)
		pthread_join(a->threads[i], NULL);
	if (a->mem >= 0)
		close(a->mem);
	for (size_t i = 0; i < BUFFERS; i++)
		free(a->buffers[i].data);
	free(a);
}
