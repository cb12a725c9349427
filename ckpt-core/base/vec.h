/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A growing array as { T *items; size_t n, room; }: declare with VEC(T), append with vec_push. */
#ifndef STASIS_BASE_VEC_H
#define STASIS_BASE_VEC_H

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#define VEC(T)                 \
	struct {               \
		T *items;      \
		size_t n, room; \
	}

static inline int vec_grow(void **items, size_t n, size_t *room, size_t size)
{
	if (n < *room)
		return 0;
	size_t more = *room ? *room * 2 : 16;
	void *p = reallocarray(*items, more, size);
	if (!p)
		return -ENOMEM;
	*items = p;
	*room = more;
	return 0;
}

/* Appends the value; evaluates to 0 or -ENOMEM. The items may move. */
#define vec_push(v, value)                                                                              \
	({                                                                                              \
		int err_ = vec_grow((void **)&(v)->items, (v)->n, &(v)->room, sizeof(*(v)->items));     \
		if (!err_)                                                                              \
			(v)->items[(v)->n++] = (value);                                                 \
		err_;                                                                                   \
	})

/* Frees the array, not what its items own. */
#define vec_finish(v)              \
	do {                       \
		free((v)->items);  \
		(v)->items = NULL; \
		(v)->n = (v)->room = 0; \
	} while (0)

#define vec_each(v, it) \
	for (__typeof__(*(v)->items) *it = (v)->items; it && it < (v)->items + (v)->n; it++)

#endif
