/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the recorder keeps of tun/tap devices in the target's memory, read by the plugin from outside. It is in every image with
 * the rest of the memory, so the layout is for ever: the version tells. An entry is the last call of its kind on an interface.
 */
#ifndef STASIS_TAP_JOURNAL_H
#define STASIS_TAP_JOURNAL_H

#include <stdint.h>

#define TAP_JOURNAL_VERSION 1u
#define TAP_ENTRIES 512

struct tap_entry {
	uint32_t live; /* 0: free */
	int32_t fd;    /* that it was made on */
	char name[16]; /* of the interface, as it was then */
	uint64_t request;
	uint64_t value; /* the argument, if it is a number */
	uint64_t addr;  /* TUNATTACHFILTER: where the program's instructions were */
	uint64_t data;  /* address of the argument's copy: `size` bytes, of `room` */
	uint32_t size, room;
};

struct tap_journal {
	uint32_t version, size;
	uint32_t n_entries, unused; /* high-water mark */
	uint64_t entries;           /* address of struct tap_entry[TAP_ENTRIES] */
};

#endif
