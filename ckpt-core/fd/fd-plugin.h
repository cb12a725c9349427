/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Descriptors that a plugin has claimed, for those who drive the plugins (plugin/). */
#ifndef STASIS_FD_PLUGIN_H
#define STASIS_FD_PLUGIN_H

#include "fd/kind.h"

struct fd_plugin_slot {
	int fd;
	const char *link, *what;
	int base; /* the lowest that shares the description */
};

/* Goes through the claimed descriptors of a plugin, those of `cap` or, if that is NULL, of `plan`; `*pos` is 0 at first. */
bool fd_plugin_next(const struct fd_capture *cap, const struct fd_plan *plan, const char *plugin, size_t *pos, struct fd_plugin_slot *ret);

/* Where to note what happens to a descriptor: check and plan give it on. NULL: no such descriptor. */
struct fd_verdict *fd_plugin_verdict(struct fd_capture *cap, struct fd_plan *plan, int fd);

/* The FILE's id, 0 if there is none; its kind; a copy of it (see fd_file_copy). */
uint32_t fd_plugin_file(const struct fd_capture *cap, int fd);
const char *fd_plugin_kind_of(const struct fd_capture *cap, int fd);
int fd_plugin_copy(struct fd_capture *cap, int fd);

/* Restore, stage 1: `made` is what descriptor `fd` of process `index` shall be. Takes it over. */
int fd_plugin_give(struct fd_plan *plan, uint32_t index, int fd, int made);

/* The number under which a process has a description, after fd_plan_install; -ENOENT. For mappings of claimed files. */
int fd_plugin_number(const struct fd_plan *plan, uint32_t index, uint32_t file);

#endif
