// SPDX-License-Identifier: LGPL-2.1-or-later
/* The plugins that are built in, and the claims of hardware that none of them can take along yet. */
#include "plugins.h"

#include <errno.h>
#include <stdlib.h>

int plugins_claims(struct fd_claim **ret_claims, size_t *ret_n)
{
	const struct fd_claim *const tables[] = { vhost_claims, usb_claims, vfio_claims };
	struct fd_claim *all = NULL;
	size_t n = 0;

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		for (const struct fd_claim *c = tables[i]; c->pattern; c++) {
			struct fd_claim *more = reallocarray(all, n + 1, sizeof(*all));
			if (!more) {
				free(all);
				return -ENOMEM;
			}
			all = more;
			all[n++] = *c;
		}
	}
	*ret_claims = all;
	*ret_n = n;
	return 0;
}

const struct stasis_plugin *const *plugins_built_in(size_t *ret_n)
{
	static const struct stasis_plugin *const all[] = { &kvm_plugin, &tap_plugin, &vhost_plugin, &usb_plugin };

	*ret_n = sizeof(all) / sizeof(all[0]);
	return all;
}
