// SPDX-License-Identifier: LGPL-2.1-or-later
/* vhost-net: takes the kernel's worker out of the way for the moment of the picture, and gives a restarted program another. README.md in
 * this folder lists all of its state, and the tests that prove it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "vhost.h"

/* The fixed misc number 10:238 (include/linux/miscdevice.h). */
static const char *vhost_claim(const char *link, const struct stat *st)
{
	if (!strcmp(link, VHOST_PATH) || (S_ISCHR(st->st_mode) && st->st_rdev == makedev(10, 238)))
		return "vhost-net device";
	return NULL;
}

static int vhost_open(struct stasis_session *s, void **ret_state)
{
	struct vhost_state *v = calloc(1, sizeof(*v));

	(void)s;
	*ret_state = v;
	return v ? 0 : -ENOMEM;
}

void vhost_state_clear(struct vhost_state *v)
{
	stasis_records_free(&vhost_device_schema, v->devices, v->n_devices);
	stasis_records_free(&vhost_ring_schema, v->rings, v->n_rings);
	v->devices = NULL;
	v->rings = NULL;
	v->n_devices = v->n_rings = 0;
}

static void vhost_close(struct stasis_session *s, void *state)
{
	struct vhost_state *v = state;

	(void)s;
	if (v)
		vhost_state_clear(v);
	free(v);
}

const struct stasis_plugin vhost_plugin = {
	.api = STASIS_PLUGIN_API,
	.size = sizeof(struct stasis_plugin),
	.name = "vhost",
	.schemas = vhost_schemas,
	.claim = vhost_claim,
	.open = vhost_open,
	.close = vhost_close,
	.check = vhost_check,
	.ready = vhost_ready,
	.rest = vhost_rest,
	.save = vhost_save,
	.plan = vhost_plan,
	.restore = vhost_restore,
	.late = vhost_late,
};
