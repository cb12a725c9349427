// SPDX-License-Identifier: LGPL-2.1-or-later
/* Tun/tap: takes network interfaces off a program's hands and connects it to the same or others at a restart. README.md in this
 * folder lists all of their state, and the tests that prove it. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysmacros.h>

#include "tap.h"

/* /dev/net/tun has the fixed misc number 10:200 (include/linux/miscdevice.h); macvtaps are /dev/tapN, N the interface's index.
 */
static const char *tap_claim(const char *link, const struct stat *st)
{
	if (!strcmp(link, "/dev/net/tun") || (S_ISCHR(st->st_mode) && st->st_rdev == makedev(10, 200)))
		return "tun/tap device";
	if (!strncmp(link, "/dev/tap", 8) && isdigit((unsigned char)link[8]))
		return "macvtap device";
	return NULL;
}

static int tap_open(struct stasis_session *s, void **ret_state)
{
	struct tap_state *t = calloc(1, sizeof(*t));

	(void)s;
	*ret_state = t;
	return t ? 0 : -ENOMEM;
}

static void tap_close(struct stasis_session *s, void *state)
{
	struct tap_state *t = state;

	(void)s;
	if (!t)
		return;
	stasis_records_free(&tap_link_schema, t->links, t->n_links);
	stasis_records_free(&tap_queue_schema, t->queues, t->n_queues);
	if (t->changed)
		munmap(t->changed, (t->n_links + 1) * sizeof(*t->changed));
	free(t->places);
	free(t);
}

const struct stasis_plugin tap_plugin = {
	.api = STASIS_PLUGIN_API,
	.size = sizeof(struct stasis_plugin),
	.name = "tap",
	.schemas = tap_schemas,
	.claim = tap_claim,
	.open = tap_open,
	.close = tap_close,
	.check = tap_check,
	.ready = tap_ready,
	.save = tap_save,
	.plan = tap_plan,
	.restore = tap_restore,
	.late = tap_late,
	.abandon = tap_abandon,
};
