// SPDX-License-Identifier: LGPL-2.1-or-later
/* Plugins in a restart: asked in the plan, at work in stage 1 (in the new process), and once more when all is in place (in the
 * controller, by calls made inside the new process). */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/io.h"
#include "restore/threads.h"

int plugins_planned(void *ctx, struct fd_plan *plan)
{
	struct restore *r = ctx;

	r->plugins.plan = plan;
	int err = plugin_set_open(&r->plugins, r->job->plugins, r->job->n_plugins);
	return err ? err : plugin_set_plan(&r->plugins);
}

int plugins_restore(void *ctx, struct fd_plan *plan, uint32_t index)
{
	struct restore *r = ctx;

	(void)plan;
	r->plugins.process = index;
	return plugin_set_restore(&r->plugins);
}

int plugins_late(struct restore *r, struct newborn *nb)
{
	AUTO_FREE char *text = NULL;
	struct proc_vma *vmas;
	size_t size, n;

	if (plugin_set_is_empty(&r->plugins))
		return 0;
	int err = io_read_filef(&text, &size, "/proc/%d/maps", nb->pid);
	if (err || (err = proc_maps_parse(text, size, &vmas, &n)))
		return report_fail(r->rep, err, "restart: the new process's mappings cannot be read: %s", strerror(-err));
	r->plugins.pid = nb->pid;
	r->plugins.worker = &nb->threads.items[0];
	r->plugins.place = nb->place;
	r->plugins.place.tell = threads_tell_signal(r, &r->threads.items[0]);
	err = plugin_set_recorder(&r->plugins, vmas, n);
	proc_maps_free(vmas, n);
	return err ? err : plugin_set_late(&r->plugins);
}
