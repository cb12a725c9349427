// SPDX-License-Identifier: LGPL-2.1-or-later
/* Opens an image with all its parents and lays their lists of pages over each other: afterwards every page is found in one
 * step, however long the chain is. What is not what it should be (missing, another image, a loop) is refused with one message.
 */
#include "parent.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "opened.h"

static const struct img_field parent_fields[] = {
	IMG_FIELD_REQUIRED(1, img_parent, content_id, IMG_BYTES, IMG_HEX),
	IMG_FIELD_REQUIRED(2, img_parent, path, IMG_STR, IMG_DEC),
};
const struct img_schema img_parent_schema = IMG_SCHEMA("PRNT", 1, IMG_MUST_UNDERSTAND, "parent", img_parent, parent_fields);

int img_parent_path(const char *dir, const char *path, char **ret)
{
	AUTO_FREE char *from = realpath(dir, NULL), *to = realpath(path, NULL);
	size_t common = 0, up = 0;

	if (!from || !to)
		return -errno;
	/* Both up to the last '/' that they share. */
	for (size_t i = 0; from[i] == to[i] || (!from[i] && to[i] == '/'); i++) {
		if (to[i] == '/' && (from[i] == '/' || !from[i]))
			common = i;
		if (!from[i] || !to[i])
			break;
	}
	const char *rest = strcmp(from, "/") ? from + common : "";
	for (const char *p = rest; *p; p++)
		up += *p == '/' && p[1];
	char *text = malloc(3 * up + strlen(to) + 1), *at = text;
	if (!text)
		return -ENOMEM;
	for (size_t i = 0; i < up; i++)
		at = stpcpy(at, "../");
	strcpy(at, to + common + 1);
	*ret = text;
	return 0;
}

/* ---- looking for the file ---- */

/* "DIR/NAME", where NAME is relative to the directory that `beside` lies in, if that is not NULL. */
static char *parent_join(const char *dir, const char *beside, const char *name)
{
	const char *slash = beside ? strrchr(beside, '/') : NULL;
	char *text;

	if (*name == '/')
		return strdup(name);
	if (dir)
		return asprintf(&text, "%s/%s", dir, name) < 0 ? NULL : text;
	if (!slash)
		return strdup(name);
	return asprintf(&text, "%.*s/%s", (int)(slash - beside), beside, name) < 0 ? NULL : text;
}

#define PARENT_REMEDY "put it back, or name the directory that it is in with --parent-dir"

static int parent_open(const struct img_reader *r, const struct img_open_options *o, struct img_reader **ret)
{
	const char *slash = strrchr(r->said.path, '/');
	AUTO_FREE char *there = parent_join(NULL, r->path, r->said.path);
	AUTO_FREE char *other = o->parent_dir ? parent_join(o->parent_dir, NULL, slash ? slash + 1 : r->said.path) : NULL;
	const char *path = other && !access(other, F_OK) ? other : there;
	struct img_reader *parent;

	if (!there || (o->parent_dir && !other))
		return report_fail(r->rep, -ENOMEM, "image %s: out of memory", r->path);
	if (access(path, F_OK))
		return report_fail(r->rep, -ENOENT, "image %s: its parent %s is not there; " PARENT_REMEDY, r->path, path);
	int err = img_reader_open_one(r->rep, path, &parent);
	if (err)
		return err;
	if (memcmp(parent->foot.content_id, r->said.content_id.data, sizeof(parent->foot.content_id))) {
		img_reader_destroy(parent);
		return report_fail(r->rep, -ESTALE,
		                   "image %s: %s is not the parent that it was made from (another content id); " PARENT_REMEDY,
		                   r->path, path);
	}
	*ret = parent;
	return 0;
}

/* ---- laying the lists over each other ---- */

struct parent_layers {
	struct img_extent *items;
	size_t n, room;
};

static int parent_push(struct img_reader *r, struct parent_layers *to, const struct img_extent *it)
{
	if (to->n == IMG_MAX_EXTENTS)
		return report_fail(r->rep, -EFBIG, "image %s: its chain has more runs of pages than can be held; fold it",
		                   r->path);
	if (to->n == to->room) {
		size_t room = to->room ? to->room * 2 : 256;
		struct img_extent *more = reallocarray(to->items, room, sizeof(*more));
		if (!more)
			return report_fail(r->rep, -ENOMEM, "image %s: out of memory for its index", r->path);
		to->items = more;
		to->room = room;
	}
	to->items[to->n++] = *it;
	return 0;
}

static uint64_t parent_end(const struct img_extent *it)
{
	return it->offset + (uint64_t)it->n_pages * IMG_PAGE_SIZE;
}

/* The parts of the parent's extents that lie in `it`; `*at` moves on, as both lists are sorted. A page that the parent has not
 * is a hole here as well. */
static int parent_take(struct img_reader *r, const struct img_extent *it, size_t *at, struct parent_layers *to)
{
	const struct img_reader *p = r->parent;
	uint64_t end = parent_end(it);

	while (*at < p->n_extents && (p->extents[*at].space < it->space ||
	                              (p->extents[*at].space == it->space && parent_end(&p->extents[*at]) <= it->offset)))
		++*at;
	for (size_t i = *at; i < p->n_extents && p->extents[i].space == it->space && p->extents[i].offset < end; i++) {
		struct img_extent part = p->extents[i];
		uint64_t from = part.offset > it->offset ? part.offset : it->offset;
		uint64_t to_end = parent_end(&part) < end ? parent_end(&part) : end;
		if (!part.zero) {
			part.chunk += (uint32_t)r->n_own;
			part.chunk_page += (uint32_t)((from - part.offset) / IMG_PAGE_SIZE);
		}
		part.offset = from;
		part.n_pages = (uint32_t)((to_end - from) / IMG_PAGE_SIZE);
		int err = parent_push(r, to, &part);
		if (err)
			return err;
	}
	return 0;
}

/* The parent's chunks go behind our own; its lists are of no more use afterwards, but for its own chunks. */
static int parent_lay(struct img_reader *r)
{
	struct img_reader *p = r->parent;
	struct parent_layers to = { 0 };
	size_t at = 0, n = r->n_own + p->n_chunks;
	int err = 0;

	if (n > IMG_MAX_CHUNKS)
		return report_fail(r->rep, -EFBIG, "image %s: its chain has more page data than can be held; fold it", r->path);
	for (size_t i = 0; i < r->n_extents && !err; i++)
		err = r->extents[i].parent ? parent_take(r, &r->extents[i], &at, &to) : parent_push(r, &to, &r->extents[i]);
	struct img_chunk *chunks = err ? NULL : reallocarray(r->chunks, n + 1, sizeof(*chunks));
	if (!chunks) {
		free(to.items);
		return err ? err : report_fail(r->rep, -ENOMEM, "image %s: out of memory for its index", r->path);
	}
	if (p->n_chunks)
		memcpy(chunks + r->n_own, p->chunks, p->n_chunks * sizeof(*chunks));
	r->chunks = chunks;
	r->n_chunks = n;
	free(r->extents);
	r->extents = to.items;
	r->n_extents = to.n;
	free(STEAL_PTR(p->extents));
	p->n_extents = 0;
	return 0;
}

/* ---- opening ---- */

/* The record is the first, and there is one exactly when the header says so. */
static int parent_read(struct img_reader *r)
{
	struct img_parent *said;
	size_t n;
	int err = img_reader_load(r, &img_parent_schema, (void **)&said, &n);

	if (err)
		return err;
	if (n != (size_t)r->incremental || (n && said->content_id.size != sizeof(r->foot.content_id)))
		err = report_fail(r->rep, -EBADMSG,
		                  "image %s: it does not say clearly what its parent is; the file is damaged - copy it again "
		                  "or use another checkpoint",
		                  r->path);
	else if (n)
		r->said = said[0], said[0] = (struct img_parent){ 0 };
	img_schema_free_array(&img_parent_schema, said, n);
	return err;
}

int img_reader_open_with(struct reporter *rep, const char *path, const struct img_open_options *options,
                         struct img_reader **ret)
{
	struct img_reader *chain[IMG_MAX_CHAIN + 1], *r = NULL;
	unsigned n = 0;
	int err = img_reader_open_one(rep, path, &r);

	/* From the image down to the one that is whole, then up again. */
	while (!err) {
		chain[n++] = r;
		err = parent_read(r);
		if (err || !r->incremental || options->alone)
			break;
		if (n > IMG_MAX_CHAIN)
			err = report_fail(
			        rep, -ELOOP,
			        "image %s: more than %d parents, or a loop; fold one of them, or use another checkpoint", path,
			        IMG_MAX_CHAIN);
		else
			err = parent_open(r, options, &r);
	}
	for (unsigned i = n; !err && i > 1; i--) {
		chain[i - 2]->parent = chain[i - 1];
		chain[i - 2]->depth = chain[i - 1]->depth + 1;
		chain[i - 1] = NULL;
		err = parent_lay(chain[i - 2]);
	}
	for (unsigned i = 0; err && i < n; i++)
		img_reader_destroy(chain[i]);
	if (!err)
		*ret = chain[0];
	return err;
}

const struct img_parent *img_reader_parent(const struct img_reader *r)
{
	return r->incremental ? &r->said : NULL;
}

unsigned img_reader_chain(const struct img_reader *r)
{
	return r->depth;
}

bool img_reader_has_file(const struct img_reader *r, uint64_t st_dev, uint64_t st_ino)
{
	struct stat st;

	for (; r; r = r->parent)
		if (!fstat(r->fd, &st) && st.st_dev == st_dev && st.st_ino == st_ino)
			return true;
	return false;
}
