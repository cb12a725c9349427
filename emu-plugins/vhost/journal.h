/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the recorder keeps of vhost devices in the target's memory, read by the plugin from outside. It is in every image with the rest
 * of the memory, so the layout is for ever: the version tells. An entry is the last call of its kind on a descriptor and ring. */
#ifndef STASIS_VHOST_JOURNAL_H
#define STASIS_VHOST_JOURNAL_H

#include <stdint.h>

#define VHOST_JOURNAL_VERSION 1u
#define VHOST_ENTRIES 8192

struct vhost_entry {
	uint32_t live;    /* 0: free */
	int32_t fd;       /* that it was made on */
	uint32_t request; /* as the kernel sees it */
	uint32_t index;   /* of the ring; 0 for what holds for the device */
	uint32_t size, room;
	uint64_t data;    /* address of the argument's copy: `size` bytes, of `room`; 0: it is in `value` */
	uint64_t value[5];
	uint64_t spare[2];
};

struct vhost_journal {
	uint32_t version, size;
	uint32_t n_entries, unused; /* high-water mark */
	uint64_t entries;           /* address of struct vhost_entry[VHOST_ENTRIES] */
};

#endif
