// SPDX-License-Identifier: LGPL-2.1-or-later
/* Alterations of images: blind ones, and ones that know where the numbers are. */
#include "mutate.h"

#include <string.h>

#include "format.h"

uint64_t mutate_random(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static size_t mutate_below(uint64_t *state, size_t n)
{
	return n ? (size_t)(mutate_random(state) % n) : 0;
}

/* Where the parts of the image are, as far as its footer can be believed; nothing of it lies outside the buffer. */
struct layout {
	size_t header, records, chunks, extents, footer, end;
};

static struct layout mutate_layout(const uint8_t *image, size_t size)
{
	struct layout at = { 0, 0, 0, 0, 0, size };
	struct disk_footer foot;

	if (size < sizeof(struct disk_header) + sizeof(foot))
		return at;
	at.footer = at.extents = at.chunks = at.records = size - sizeof(foot);
	memcpy(&foot, image + at.footer, sizeof(foot));
	if (foot.extent_count <= at.footer / sizeof(struct disk_extent))
		at.extents = at.footer - foot.extent_count * sizeof(struct disk_extent);
	at.chunks = at.records = at.extents;
	if (foot.chunk_count <= at.extents / sizeof(struct disk_chunk))
		at.chunks = at.extents - foot.chunk_count * sizeof(struct disk_chunk);
	at.records = foot.records_offset < at.chunks ? foot.records_offset : at.chunks;
	return at;
}

static size_t mutate_flip(uint8_t *image, size_t from, size_t size, uint64_t *state)
{
	for (size_t n = 1 + mutate_below(state, 8); n && size > from; n--)
		image[from + mutate_below(state, size - from)] ^= (uint8_t)(1u << mutate_below(state, 8));
	return size;
}

static size_t mutate_set(uint8_t *image, size_t size, uint64_t *state)
{
	static const int values[] = { 0, 0xff, 0x7f, 0x80 };
	size_t at = mutate_below(state, size), n = 1 + mutate_below(state, 64);

	memset(image + at, values[mutate_below(state, 4)], n < size - at ? n : size - at);
	return size;
}

static size_t mutate_truncate(uint8_t *image, size_t size, uint64_t *state)
{
	(void)image;
	return mutate_random(state) % 2 ? mutate_below(state, size) : size - mutate_below(state, size < 300 ? size : 300);
}

/* Bytes are lost or come in twice in the middle, so that the footer stays at the end. */
static size_t mutate_shift(uint8_t *image, size_t size, size_t room, uint64_t *state)
{
	size_t at = mutate_below(state, size), n = 1 + mutate_below(state, 64);

	if (mutate_random(state) % 2) {
		n = n < size - at ? n : size - at;
		memmove(image + at, image + at + n, size - at - n);
		return size - n;
	}
	n = n < room - size ? n : room - size;
	memmove(image + at + n, image + at, size - at);
	return size + n;
}

static size_t mutate_swap(uint8_t *image, size_t size, uint64_t *state)
{
	uint8_t block[4096];
	size_t n = (size_t)1 << mutate_below(state, 13);

	if (size < 2 * n)
		return size;
	size_t blocks = size / n, a = mutate_below(state, blocks) * n, b = mutate_below(state, blocks) * n;
	memcpy(block, image + a, n);
	memmove(image + a, image + b, n);
	memcpy(image + b, block, n);
	return size;
}

/* A number of 1, 2, 4 or 8 bytes within [from, from + size) becomes one of those that break things. */
static void mutate_number(uint8_t *image, size_t from, size_t size, size_t file_size, uint64_t *state)
{
	size_t width = (size_t)1 << mutate_below(state, 4);
	uint64_t value = 0;

	if (size < width)
		return;
	uint8_t *p = image + from + mutate_below(state, size / width) * width;
	memcpy(&value, p, width);
	const uint64_t values[] = { 0,
		                    1,
		                    value + 1,
		                    value - 1,
		                    value * 2,
		                    value / 2,
		                    UINT64_MAX,
		                    UINT32_MAX,
		                    INT32_MAX,
		                    (uint64_t)INT64_MAX + 1,
		                    INT64_MAX,
		                    UINT64_C(1) << 32,
		                    file_size,
		                    file_size - 8,
		                    mutate_random(state),
		                    value + 8,
		                    value - 8,
		                    value + 4096,
		                    value ^ 0x8000,
		                    value + 0x100 };
	value = values[mutate_below(state, sizeof(values) / sizeof(values[0]))];
	memcpy(p, &value, width);
}

/* One entry of a table takes the place of another one. */
static void mutate_entry(uint8_t *image, size_t from, size_t end, size_t width, uint64_t *state)
{
	size_t n = (end - from) / width;

	if (n)
		memmove(image + from + mutate_below(state, n) * width, image + from + mutate_below(state, n) * width, width);
}

/* A number in the head, or in a field's head, of some record. */
static void mutate_record(uint8_t *image, const struct layout *at, uint64_t *state)
{
	size_t skip = mutate_below(state, 32), here = at->records, found = here;
	struct disk_record head;
	struct disk_field field;

	for (; skip-- && at->chunks - here >= sizeof(head); found = here) {
		memcpy(&head, image + here, sizeof(head));
		if (head.length > at->chunks - here - sizeof(head))
			break;
		found = here;
		here += sizeof(head) + head.length;
	}
	here = found;
	if (at->chunks - here < sizeof(head))
		return;
	memcpy(&head, image + here, sizeof(head));
	if (mutate_random(state) % 4 == 0 || head.length > at->chunks - here - sizeof(head)) {
		mutate_number(image, here, sizeof(head), at->end, state);
		return;
	}
	size_t end = here + sizeof(head) + head.length;
	here += sizeof(head);
	for (skip = mutate_below(state, 24); skip-- && end - here >= sizeof(field);) {
		memcpy(&field, image + here, sizeof(field));
		size_t step = sizeof(field) + (((size_t)field.length + 7) & ~(size_t)7);
		if (step >= end - here)
			break;
		here += step;
	}
	if (end - here >= 2 * sizeof(field))
		mutate_number(image, here, 2 * sizeof(field), at->end, state);
}

size_t mutate_image(uint8_t *image, size_t size, size_t room, uint64_t *state, const char **ret_what)
{
	static const char *const names[] = { "bits flipped",
		                             "bits flipped in records or index",
		                             "bytes set",
		                             "cut off",
		                             "bytes lost or added",
		                             "blocks swapped",
		                             "number in the header",
		                             "number in the footer",
		                             "number in the chunk table",
		                             "number in the extent table",
		                             "table entry copied",
		                             "number in a record" };
	struct layout at = mutate_layout(image, size);
	size_t kind = mutate_below(state, sizeof(names) / sizeof(names[0]));

	*ret_what = names[kind];
	if (!size || (!at.footer && kind > 5))
		return size;
	switch (kind) {
	case 0:
		return mutate_flip(image, 0, size, state);
	case 1:
		return mutate_flip(image, at.records, size, state);
	case 2:
		return mutate_set(image, size, state);
	case 3:
		return mutate_truncate(image, size, state);
	case 4:
		return mutate_shift(image, size, room, state);
	case 5:
		return mutate_swap(image, size, state);
	case 6:
		mutate_number(image, 0, sizeof(struct disk_header), size, state);
		break;
	case 7:
		mutate_number(image, at.footer, sizeof(struct disk_footer), size, state);
		break;
	case 8:
		mutate_number(image, at.chunks, at.extents - at.chunks, size, state);
		break;
	case 9:
		mutate_number(image, at.extents, at.footer - at.extents, size, state);
		break;
	case 10:
		mutate_entry(image, at.chunks, at.extents, sizeof(struct disk_chunk), state);
		mutate_entry(image, at.extents, at.footer, sizeof(struct disk_extent), state);
		break;
	default:
		mutate_record(image, &at, state);
		break;
	}
	return size;
}
