/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the recorder keeps of KVM in the target's memory, read by the plugin from outside. It is in every image with the rest of the
 * memory, so the layout is for ever: the version tells.
 *
 * Objects are what KVM gave a descriptor for, known by the number they were given. Entries are calls that worked and that the kernel
 * cannot be asked about afterwards; one that replaces or takes back another changes or frees that one's entry. `seq` orders both. */
#ifndef STASIS_KVM_JOURNAL_H
#define STASIS_KVM_JOURNAL_H

#include <stdint.h>

#define KVM_JOURNAL_VERSION 1u
#define KVM_OBJECTS 4096 /* virtual machines, CPUs, devices, statistics */
#define KVM_ENTRIES 32768
#define KVM_LINES 4096 /* interrupt lines (GSIs) whose level is kept */

enum kvm_object_kind { KVM_OBJECT_NONE, KVM_OBJECT_VM, KVM_OBJECT_VCPU, KVM_OBJECT_DEVICE, KVM_OBJECT_STATS };

enum kvm_vcpu_phase {
	KVM_VCPU_IDLE,    /* never ran, or its last KVM_RUN left nothing to be completed */
	KVM_VCPU_RUNNING, /* in KVM_RUN, or about to go there or just back */
	KVM_VCPU_EXITED,  /* KVM_RUN returned 0: the exit may want to be completed by the next KVM_RUN */
};

/* A cache line each: the phase of a virtual CPU is written twice per KVM_RUN. */
struct kvm_object {
	uint32_t kind;
	int32_t fd;
	uint32_t parent; /* index of the machine, or of the virtual CPU of statistics; its own for a machine */
	uint32_t id;     /* virtual CPU: its id; machine: its type; device: its type */
	uint64_t seq;
	uint32_t phase;  /* virtual CPU */
	uint32_t unused;
	uint64_t lines;  /* machine: address of a bit per GSI, set while the line is high */
	uint64_t spare[3];
};

struct kvm_entry {
	uint32_t live;   /* 0: free */
	uint32_t object; /* index of the machine or virtual CPU that it was made on */
	uint64_t request;
	uint64_t key;    /* what makes it the one that another call replaces */
	uint64_t seq;
	uint64_t data;   /* address of the argument: `size` bytes, of `room` */
	uint32_t size, room;
	uint32_t flags;  /* KVM_ENTRY_* */
	uint32_t unused;
};

#define KVM_ENTRY_ALL_DIRTY 1u /* memory slot: the next KVM_GET_DIRTY_LOG says that every page is dirty (set by a restart) */
#define KVM_ENTRY_REFUSED 2u   /* a call whose effect cannot be restored */

struct kvm_journal {
	uint32_t version, size;
	uint32_t n_objects, n_entries; /* high-water marks */
	uint64_t seq;
	uint64_t objects, entries; /* addresses of struct kvm_object[KVM_OBJECTS], struct kvm_entry[KVM_ENTRIES] */
};

#endif
