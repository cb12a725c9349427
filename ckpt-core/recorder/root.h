/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the recorder and the controller share: the root of the journal in the target's memory, and the gate. It goes into images
 * with the rest of the memory, so the layout is for ever: members are only added at the end, and the version tells.
 *
 * Theory of operation of the gate. It is open but for moments: when a stop has caught the target at a point at which its hardware
 * cannot be described, the controller closes the gate, lets the target run on, and stops it again. Who comes to the gate meanwhile
 * brings what it has begun to an end and waits. A waiter goes on by itself after `lease_ms`, and opens the gate, should the
 * controller be gone. Who has begun an exchange that needs other threads to come to its end (a command to a disk, whose driver is in the
 * guest) holds it open meanwhile (`held`). The controller opens it as soon as the second stop is made, so an image never holds a closed gate. */
#ifndef STASIS_RECORDER_ROOT_H
#define STASIS_RECORDER_ROOT_H

#include <stdint.h>

#define RECORDER_MAGIC "stasis-recorder\0"
#define RECORDER_VERSION 1u
#define RECORDER_SECTIONS 8
#define RECORDER_LIBRARY "libstasis-recorder.so"

struct recorder_section {
	char name[16]; /* of the plugin */
	uint64_t addr, size;
};

struct recorder_root {
	char magic[16];
	uint32_t version, size; /* size of this struct */
	uint64_t self;          /* its own address: tells a live root from a copy in the file */
	uint32_t closed;        /* the gate; a futex word */
	uint32_t lease_ms;      /* how long a waiter waits at most */
	uint32_t busy;          /* recorded calls under way, whose entry in the journal is not made yet */
	uint32_t broken;        /* 1: the journal ran full and is not to be trusted */
	uint64_t scratch, scratch_size; /* memory for the controller's injected calls */
	struct recorder_section sections[RECORDER_SECTIONS];
	uint32_t held, unused; /* exchanges with hardware under way that want the whole target to run: the gate stands open for them */
};

/* Where the root is: a note (PT_NOTE) of this name and type whose 8 bytes are the distance from themselves to the root. */
#define RECORDER_NOTE_NAME "Stasis"
#define RECORDER_NOTE_TYPE 1u

#endif
