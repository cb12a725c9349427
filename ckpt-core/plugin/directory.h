/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Plugins of others: shared objects in a directory, each of which exports `const struct stasis_plugin stasis_plugin`. */
#ifndef STASIS_PLUGIN_DIRECTORY_H
#define STASIS_PLUGIN_DIRECTORY_H

#include "base/report.h"
#include "base/vec.h"
#include "stasis/plugin.h"

struct plugin_list {
	VEC(const struct stasis_plugin *) plugins; /* built-in ones first */
	VEC(void *) handles;
};

/* Adds every *.so of the directory, in the order of their names. One that cannot be loaded, is of another version or has the name of
 * one that is there already is warned about and left out. A directory that does not exist is an empty one. Returns 0 or -ENOMEM. */
int plugin_directory_load(struct reporter *rep, const char *path, struct plugin_list *list);

void plugin_list_finish(struct plugin_list *list);

#endif
