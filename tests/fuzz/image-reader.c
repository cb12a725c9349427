// SPDX-License-Identifier: LGPL-2.1-or-later
/* libFuzzer target for the image reader: opens, lists, loads, unpacks and shows the input as it is and with its checksums
 * made right. The mutator knows the format and begins with images of its own, so that no corpus is needed. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "format.h"
#include "mutate.h"
#include "reseal.h"
#include "show.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);

struct thing {
	uint32_t u32;
	int32_t i32;
	uint64_t u64;
	int64_t i64;
	bool yes;
	char *text, *path;
	struct img_bytes bytes;
};
static const struct img_field thing_fields[] = {
	IMG_FIELD_REQUIRED(1, thing, u32, IMG_U32, IMG_DEC), IMG_FIELD(2, thing, i32, IMG_I32, IMG_OCT),
	IMG_FIELD(3, thing, u64, IMG_U64, IMG_HEX),          IMG_FIELD(4, thing, i64, IMG_I64, IMG_DEC),
	IMG_FIELD(5, thing, yes, IMG_BOOL, IMG_DEC),         IMG_FIELD(6, thing, text, IMG_STR, IMG_DEC),
	IMG_FIELD(7, thing, path, IMG_STR, IMG_DEC),         IMG_FIELD(8, thing, bytes, IMG_BYTES, IMG_DEC),
};
static const struct img_schema thing_schema = IMG_SCHEMA("THNG", 3, IMG_MUST_UNDERSTAND, "thing", thing, thing_fields);
static const struct img_schema *const schemas[] = { &thing_schema };

static struct {
	uint8_t *data;
	size_t size;
} seeds[3]; /* one image for each codec */

static void require(bool truth)
{
	if (!truth)
		abort();
}

static void write_seed(const char *dir, enum img_codec codec)
{
	char path[200];
	struct reporter rep;
	struct img_writer *w = NULL;
	struct img_writer_options options = { .codec = codec };
	struct thing it = { .u32 = 1, .i32 = -1, .text = (char *)"text", .path = (char *)"", .bytes = { (void *)"abc", 3 } };
	static char pages[5 * IMG_PAGE_SIZE];

	for (size_t i = 0; i < 4; i++)
		snprintf(pages + (i + i / 2) * IMG_PAGE_SIZE, IMG_PAGE_SIZE, "page %zu", i);
	snprintf(path, sizeof(path), "%s/seed", dir);
	report_init(&rep, NULL, REPORT_ERROR);
	require(!img_writer_create(&rep, path, &options, &w));
	for (it.u32 = 0; it.u32 < 4; it.u32++)
		require(!img_writer_record(w, &thing_schema, &it));
	for (uint32_t space = 0; space < 3; space++)
		require(!img_writer_pages(w, space, space * 0x10000, pages, (codec ? 5 : 1) * IMG_PAGE_SIZE, false) &&
		        !img_writer_flush(w));
	require(!img_writer_commit(w));
	img_writer_destroy(w);
	char *data = NULL;
	require(!io_read_file_at(AT_FDCWD, path, &data, &seeds[codec].size));
	seeds[codec].data = (uint8_t *)data;
	unlink(path);
	report_finish(&rep);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	char dir[] = "/tmp/stasis-fuzz-XXXXXX";

	(void)argc;
	(void)argv;
	require(mkdtemp(dir));
	for (enum img_codec codec = IMG_CODEC_NONE; codec <= IMG_CODEC_ZSTD; codec++)
		write_seed(dir, codec);
	return rmdir(dir);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	uint64_t state = seed;
	const char *what;

	/* Nothing that begins like an image yet: have one. */
	if (size < sizeof(struct disk_header) + sizeof(struct disk_footer) || memcmp(data, IMG_MAGIC, 8)) {
		size_t k = mutate_random(&state) % ARRAY_SIZE(seeds);
		if (seeds[k].size <= max_size) {
			memcpy(data, seeds[k].data, seeds[k].size);
			return seeds[k].size;
		}
	}
	if (mutate_random(&state) % 4 == 0)
		return LLVMFuzzerMutate(data, size, max_size);
	size = mutate_image(data, size, max_size, &state, &what);
	return size ? size : 1;
}

/* Whatever the reader lets through keeps the promises of reader.h. */
static void check_index(const struct img_reader *r)
{
	size_t n, in_space;
	const struct img_extent *it = img_reader_all_extents(r, &n);

	for (size_t i = 0; i < n; i++) {
		const struct img_chunk *chunk = img_reader_chunk_info(r, it[i].chunk);
		require(it[i].n_pages && it[i].offset % IMG_PAGE_SIZE == 0);
		require(it[i].zero || (chunk && (it[i].chunk_page + it[i].n_pages) * IMG_PAGE_SIZE <= chunk->raw_bytes));
		if (i && it[i].space == it[i - 1].space)
			require(it[i].offset >= it[i - 1].offset + (uint64_t)it[i - 1].n_pages * IMG_PAGE_SIZE);
		else
			require(img_reader_extents(r, it[i].space, &in_space) == &it[i] && in_space);
	}
}

static void use_reader(const struct img_reader *r)
{
	static char buf[IMG_CHUNK_BYTES];
	struct thing *things = NULL;
	json_t *json = NULL;
	size_t n, size;
	const struct img_extent *it = img_reader_all_extents(r, &n);

	check_index(r);
	for (size_t i = 0; i < img_reader_chunk_count(r); i++)
		require(img_reader_chunk(r, i, buf, &size) || size <= sizeof(buf));
	for (size_t i = 0; i < n && i < 8; i++)
		img_reader_read(r, it[i].space, it[i].offset - 100, buf, 2 * IMG_PAGE_SIZE);
	img_reader_verify(r);
	img_reader_require_known(r, schemas, ARRAY_SIZE(schemas));
	if (!img_reader_load(r, &thing_schema, (void **)&things, &n))
		img_schema_free_array(&thing_schema, things, n);
	if (!img_show_json(r, schemas, ARRAY_SIZE(schemas), &json)) {
		char *text = json_dumps(json, 0);
		require(text);
		free(text);
		json_decref(json);
	}
	FILE *out = fopen("/dev/null", "w");
	img_show_text(r, schemas, ARRAY_SIZE(schemas), out);
	fclose(out);
}

static void open_image(const uint8_t *data, size_t size)
{
	char path[64];
	struct reporter rep;
	struct img_reader *r = NULL;
	AUTO_CLOSE int fd = memfd_create("image", MFD_CLOEXEC);

	require(fd >= 0 && !io_write_all(fd, data, size));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	report_init(&rep, NULL, REPORT_ERROR);
	int err = img_reader_open(&rep, path, &r);
	require(!err || rep.first_error); /* a refusal has a reason */
	if (!err)
		use_reader(r);
	img_reader_destroy(r);
	report_finish(&rep);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO_FREE uint8_t *copy = malloc(size + 1);

	open_image(data, size);
	memcpy(copy, data, size);
	reseal_image(copy, size);
	open_image(copy, size);
	return 0;
}
