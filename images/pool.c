// SPDX-License-Identifier: LGPL-2.1-or-later
/* A ring of chunks between one filling thread and a few packing ones. The three counters only grow: released <= taken <=
 * submitted <= released + n_slots; slot of number i is i % n_slots. */
#include "pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <xxhash.h>

#include "base/cpus.h"
#include "codec.h"
#include "format.h"

#define POOL_MAX_THREADS 16

struct pool {
	enum img_codec codec;
	int level;
	struct codec_pack *inline_pack; /* used when there are no threads */
	struct pool_chunk *slots;
	size_t n_slots;
	uint64_t released, submitted; /* the filling thread's */
	pthread_mutex_t lock;         /* guards queued, taken, stop and every slot's done */
	pthread_cond_t work, done;
	uint64_t queued, taken;
	bool stop;
	pthread_t threads[POOL_MAX_THREADS];
	size_t n_threads;
};

static void pool_pack(const struct pool *pool, struct pool_chunk *it, struct codec_pack *pack)
{
	size_t n = 0;

	it->err = pack ? codec_pack_chunk(pack, it->raw, it->raw_size, it->packed, &n) : 0;
	it->codec = n ? pool->codec : IMG_CODEC_NONE;
	it->stored = n ? it->packed : it->raw;
	it->stored_size = n ? n : it->raw_size;
	it->checksum = XXH3_64bits(it->stored, it->stored_size);
}

static void *pool_thread(void *arg)
{
	struct pool *pool = arg;
	struct codec_pack *pack = NULL;
	int err = codec_pack_create(pool->codec, pool->level, &pack);

	pthread_mutex_lock(&pool->lock);
	for (;;) {
		while (!pool->stop && pool->taken == pool->queued)
			pthread_cond_wait(&pool->work, &pool->lock);
		if (pool->stop)
			break;
		struct pool_chunk *it = &pool->slots[pool->taken++ % pool->n_slots];
		pthread_mutex_unlock(&pool->lock);
		if (err)
			it->err = err;
		else
			pool_pack(pool, it, pack);
		pthread_mutex_lock(&pool->lock);
		it->done = true;
		pthread_cond_signal(&pool->done);
	}
	pthread_mutex_unlock(&pool->lock);
	codec_pack_destroy(pack);
	return NULL;
}

int pool_create(enum img_codec codec, int level, struct pool **ret)
{
	struct pool *pool = calloc(1, sizeof(*pool));
	size_t n_threads = codec == IMG_CODEC_NONE ? 0 : cpus_usable(POOL_MAX_THREADS);

	if (!pool)
		return -ENOMEM;
	pool->codec = codec;
	pool->level = level;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->work, NULL);
	pthread_cond_init(&pool->done, NULL);
	if (n_threads < 2)
		n_threads = 0;
	pool->n_slots = 2 * n_threads + 1;
	if (!(pool->slots = calloc(pool->n_slots, sizeof(*pool->slots))))
		goto fail;
	for (size_t i = 0; i < pool->n_slots; i++) {
		pool->slots[i].raw = aligned_alloc(IMG_PAGE_SIZE, IMG_CHUNK_BYTES);
		if (codec != IMG_CODEC_NONE)
			pool->slots[i].packed = malloc(IMG_CHUNK_BYTES);
		if (!pool->slots[i].raw || (codec != IMG_CODEC_NONE && !pool->slots[i].packed))
			goto fail;
	}
	pool->n_threads = cpus_start(pool->threads, n_threads, pool_thread, pool);
	if (!pool->n_threads && codec != IMG_CODEC_NONE && codec_pack_create(codec, level, &pool->inline_pack))
		goto fail;
	*ret = pool;
	return 0;
fail:
	pool_destroy(pool);
	return -ENOMEM;
}

void pool_destroy(struct pool *pool)
{
	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->stop = true;
	pthread_cond_broadcast(&pool->work);
	pthread_mutex_unlock(&pool->lock);
	for (size_t i = 0; i < pool->n_threads; i++)
		pthread_join(pool->threads[i], NULL);
	for (size_t i = 0; pool->slots && i < pool->n_slots; i++) {
		free(pool->slots[i].raw);
		free(pool->slots[i].packed);
	}
	free(pool->slots);
	codec_pack_destroy(pool->inline_pack);
	pthread_cond_destroy(&pool->work);
	pthread_cond_destroy(&pool->done);
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}

struct pool_chunk *pool_slot(struct pool *pool)
{
	if (pool->submitted - pool->released == pool->n_slots)
		return NULL;
	return &pool->slots[pool->submitted % pool->n_slots];
}

void pool_submit(struct pool *pool)
{
	struct pool_chunk *it = &pool->slots[pool->submitted++ % pool->n_slots];

	if (!pool->n_threads) {
		pool_pack(pool, it, pool->inline_pack);
		it->done = true;
		return;
	}
	pthread_mutex_lock(&pool->lock);
	pool->queued = pool->submitted;
	pthread_cond_signal(&pool->work);
	pthread_mutex_unlock(&pool->lock);
}

struct pool_chunk *pool_oldest(struct pool *pool, bool wait)
{
	if (pool->released == pool->submitted)
		return NULL;
	struct pool_chunk *it = &pool->slots[pool->released % pool->n_slots];
	pthread_mutex_lock(&pool->lock);
	while (!it->done && wait)
		pthread_cond_wait(&pool->done, &pool->lock);
	bool done = it->done;
	pthread_mutex_unlock(&pool->lock);
	return done ? it : NULL;
}

void pool_release(struct pool *pool)
{
	struct pool_chunk *it = &pool->slots[pool->released % pool->n_slots];

	it->done = false;
	it->raw_size = 0;
	it->stored = NULL;
	it->err = 0;
	pool->released++;
}
