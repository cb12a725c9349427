// SPDX-License-Identifier: LGPL-2.1-or-later
/* Memory with chunks that several page servers share. */
#include "lazy/store.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define CHUNK_BYTES ((uint64_t)IMG_CHUNK_PAGES * IMG_PAGE_SIZE)

int store_create(const struct img_reader *reader, struct stasis_page_store **ret)
{
	uint64_t n = img_reader_chunk_count(reader),
	         offset = (sizeof(struct stasis_page_store) + n + CHUNK_BYTES - 1) & ~(CHUNK_BYTES - 1);
	uint64_t bytes = offset + n * CHUNK_BYTES;
	struct stasis_page_store *s =
	        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (s == MAP_FAILED)
		return -ENOMEM;
	s->bytes = bytes;
	s->n_chunks = n;
	s->data_offset = offset;
	memcpy(s->content_id, img_reader_content_id(reader), sizeof(s->content_id));
	*ret = s;
	return 0;
}

void store_destroy(struct stasis_page_store *store)
{
	if (store)
		munmap(store, store->bytes);
}

const uint8_t *store_get(struct stasis_page_store *store, uint32_t chunk, uint8_t **ret_room)
{
	uint8_t *data = (uint8_t *)store + store->data_offset + chunk * CHUNK_BYTES, none = STORE_NONE;

	*ret_room = NULL;
	if (chunk >= store->n_chunks)
		return NULL;
	if (atomic_load_explicit(&store->state[chunk], memory_order_acquire) == STORE_READY)
		return data;
	if (atomic_compare_exchange_strong(&store->state[chunk], &none, STORE_BUSY))
		*ret_room = data;
	return NULL;
}

void store_done(struct stasis_page_store *store, uint32_t chunk, bool good)
{
	atomic_store_explicit(&store->state[chunk], good ? STORE_READY : STORE_NONE, memory_order_release);
}
