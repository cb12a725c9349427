// SPDX-License-Identifier: LGPL-2.1-or-later
/* Loads plugins of others from a directory. */
#include "plugin/directory.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"

/* A plugin may be older than we are, with a shorter table, but must have what every session uses: claim, open, close. */
static const char *why_not(const struct plugin_list *list, const struct stasis_plugin *p)
{
	if (!p)
		return "it exports no stasis_plugin";
	if (p->api != STASIS_PLUGIN_API)
		return "it was made for another version of the plugin interface";
	if (p->size < offsetof(struct stasis_plugin, close) + sizeof(p->close) || !p->name || !*p->name || !p->claim)
		return "its stasis_plugin is not complete";
	vec_each(&list->plugins, it)
		if (!strcmp((*it)->name, p->name))
			return "there is a plugin of that name already";
	return NULL;
}

static int load_one(struct reporter *rep, const char *path, struct plugin_list *list)
{
	void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);

	if (!handle) {
		report_warn(rep, "plugin %s cannot be loaded: %s", path, dlerror());
		return 0;
	}
	const struct stasis_plugin *p = dlsym(handle, "stasis_plugin");
	const char *why = why_not(list, p);
	if (why) {
		report_warn(rep, "plugin %s is not used: %s", path, why);
		dlclose(handle);
		return 0;
	}
	if (vec_push(&list->handles, handle)) {
		dlclose(handle);
		return -ENOMEM;
	}
	return vec_push(&list->plugins, p);
}

static int is_plugin(const struct dirent *e)
{
	size_t n = strlen(e->d_name);

	return n > 3 && e->d_name[0] != '.' && !strcmp(e->d_name + n - 3, ".so");
}

int plugin_directory_load(struct reporter *rep, const char *path, struct plugin_list *list)
{
	struct dirent **names = NULL;
	int n = scandir(path, &names, is_plugin, alphasort), err = 0;

	if (n < 0) {
		if (errno != ENOENT)
			report_warn(rep, "plugin directory %s cannot be read: %s", path, strerror(errno));
		return 0;
	}
	for (int i = 0; i < n; i++) {
		AUTO_FREE char *file = NULL;
		if (!err && asprintf(&file, "%s/%s", path, names[i]->d_name) < 0) {
			file = NULL;
			err = -ENOMEM;
		}
		if (!err)
			err = load_one(rep, file, list);
		free(names[i]);
	}
	free(names);
	return err;
}

void plugin_list_finish(struct plugin_list *list)
{
	vec_finish(&list->plugins);
	vec_each(&list->handles, handle)
		dlclose(*handle);
	vec_finish(&list->handles);
}
