/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Inside of the vhost plugin: what its files share. */
#ifndef STASIS_VHOST_VHOST_H
#define STASIS_VHOST_VHOST_H

#include <linux/vhost.h>
#include <stdint.h>

#include "journal.h"
#include "records.h"
#include "requests.h"
#include "stasis/plugin.h"

#define VHOST_RINGS 2u          /* of a vhost-net device */
#define VHOST_REGIONS_MAX 4096u /* of a memory table */
#define VHOST_PATH "/dev/vhost-net"

/* The plugin's state in a checkpoint or restart: devices and rings are as the records have them. */
struct vhost_state {
	uint64_t journal; /* its address in the target; 0 = none */
	struct vhost_rec_device *devices;
	struct vhost_rec_ring *rings;
	size_t n_devices, n_rings;
};

void vhost_state_clear(struct vhost_state *v);

/* ---- checkpoint ---- */

/* survey.c: all devices and their rings anew, from the journal. Says what was recorded and cannot be restored. */
int vhost_survey(struct stasis_session *s, struct vhost_state *v);
/* check.c */
int vhost_check(struct stasis_session *s, void *state);
int vhost_ready(struct stasis_session *s, void *state);
int vhost_save(struct stasis_session *s, void *state);
/* rest.c */
int vhost_rest(struct stasis_session *s, void *state);

/* ---- restart ---- */

/* load.c */
int vhost_load(struct stasis_session *s, struct vhost_state *v);
/* plan.c */
int vhost_plan(struct stasis_session *s, void *state);
int vhost_restore(struct stasis_session *s, void *state);
/* late.c */
int vhost_late(struct stasis_session *s, void *state);

#endif
