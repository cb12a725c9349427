// SPDX-License-Identifier: LGPL-2.1-or-later
/* Reads and writes the extended attribute: the content id of the image, then the pieces, little-endian. */
#include "order.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/xattr.h>

#include "opened.h"

#define NAME "user.stasis.order"

struct attribute {
	uint8_t content_id[16];
	uint32_t order[IMG_ORDER_MAX];
};

size_t img_order_read(const struct img_reader *r, uint32_t order[IMG_ORDER_MAX])
{
	struct attribute a;
	const ssize_t size = fgetxattr(r->fd, NAME, &a, sizeof(a));

	if (size < (ssize_t)offsetof(struct attribute, order) || memcmp(a.content_id, r->foot.content_id, sizeof(a.content_id)))
		return 0;
	const size_t n = ((size_t)size - offsetof(struct attribute, order)) / sizeof(a.order[0]);
	for (size_t i = 0; i < n; i++)
		order[i] = le32toh(a.order[i]);
	return n;
}

int img_order_write(const struct img_reader *r, const uint32_t *order, size_t n)
{
	struct attribute a;

	memcpy(a.content_id, r->foot.content_id, sizeof(a.content_id));
	n = n < IMG_ORDER_MAX ? n : IMG_ORDER_MAX;
	for (size_t i = 0; i < n; i++)
		a.order[i] = htole32(order[i]);
	return fsetxattr(r->fd, NAME, &a, offsetof(struct attribute, order) + n * sizeof(a.order[0]), 0) < 0 ? -errno : 0;
}
