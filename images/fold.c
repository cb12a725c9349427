// SPDX-License-Identifier: LGPL-2.1-or-later
/* Copies a chain of images into one whole image: the records of the last image as they are, but for the one that names the
 * parent, and every page as the chain gives it, in the order of addresses. */
#include "fold.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "opened.h"

static int fold_records(const struct img_reader *r, struct img_writer *w)
{
	struct img_raw_record raw;
	int err = 0;

	for (size_t i = 0; !err && img_reader_record(r, i, &raw); i++)
		if (strcmp(raw.tag, img_parent_schema.tag))
			err = img_writer_raw_record(w, &raw);
	return err;
}

static int fold_pages(struct reporter *rep, const struct img_reader *r, struct img_writer *w)
{
	size_t n, size = 0;
	const struct img_extent *extents = img_reader_all_extents(r, &n);
	uint64_t done = 0, total = 0;
	const uint8_t *chunk;
	int err = 0;

	for (size_t i = 0; i < n; i++)
		total += extents[i].zero ? 0 : (uint64_t)extents[i].n_pages * IMG_PAGE_SIZE;
	for (size_t i = 0; i < n && !err; i++) {
		const struct img_extent *it = &extents[i];
		uint64_t bytes = (uint64_t)it->n_pages * IMG_PAGE_SIZE;
		if (it->zero) {
			err = img_writer_zeros(w, it->space, it->offset, it->n_pages);
			continue;
		}
		if (!(err = img_reader_borrow(r, it->chunk, &chunk, &size)))
			err = img_writer_pages(w, it->space, it->offset, chunk + (size_t)it->chunk_page * IMG_PAGE_SIZE, bytes,
			                       false);
		report_progress(rep, "fold", done += bytes, total);
	}
	return err;
}

int img_fold(struct reporter *rep, const struct img_reader *reader, const char *path, const struct img_writer_options *options,
             struct img_writer_stats *ret)
{
	struct img_writer_options o = *options;
	struct img_writer *w = NULL;
	struct stat st;

	if (!stat(path, &st) && img_reader_has_file(reader, st.st_dev, st.st_ino))
		return report_fail(rep, -EEXIST, "image %s: it is part of the chain that is to be folded; choose another name",
		                   path);
	o.parent = NULL;
	int err = img_writer_create(rep, path, &o, &w);
	if (!err)
		err = report_fault(rep, "fold.records");
	if (!err)
		err = fold_records(reader, w);
	if (!err)
		err = report_fault(rep, "fold.pages");
	if (!err)
		err = fold_pages(rep, reader, w);
	if (!err)
		err = img_writer_commit(w);
	if (!err)
		img_writer_get_stats(w, ret);
	img_writer_destroy(w);
	return err;
}
