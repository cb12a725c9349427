/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every ioctl of KVM that there is, and what it means for a checkpoint. Used by the recorder and by the plugin. */
#ifndef STASIS_KVM_REQUESTS_H
#define STASIS_KVM_REQUESTS_H

#include <stddef.h>
#include <stdint.h>

enum kvm_request_class {
	KVM_REQUEST_UNKNOWN, /* not in the table: refused */
	KVM_REQUEST_PLAIN,   /* asks, or acts in a way that shows in state that can be read */
	KVM_REQUEST_CONFIG,  /* made once in a life, before or between the making of virtual CPUs: made again in stage 1 */
	KVM_REQUEST_LATE,    /* needs the memory or the state in place: made again in stage 2 */
	KVM_REQUEST_OBJECT,  /* makes a descriptor */
	KVM_REQUEST_SPECIAL, /* has a function of its own in the recorder */
	KVM_REQUEST_REFUSE,  /* its effect cannot be restored */
};

/* How the argument is to be copied. */
enum kvm_request_shape {
	KVM_ARG_STRUCT, /* as many bytes as the request's number says */
	KVM_ARG_VALUE,  /* the argument is the value */
	KVM_ARG_ROUTING, KVM_ARG_MASK, KVM_ARG_MSR_FILTER, KVM_ARG_PMU_FILTER,
	KVM_ARG_REINJECT, /* a struct although the number says nothing of its size */
};

struct kvm_request {
	uint64_t request;
	const char *name;
	enum kvm_request_class class;
	enum kvm_request_shape shape;
	/* Entries of one request on one object replace each other when these bytes of the argument are the same (size 0: always). */
	uint16_t key_offset, key_size;
	const char *why; /* KVM_REQUEST_REFUSE */
};

/* NULL when it is not in the table. */
const struct kvm_request *kvm_request_find(uint64_t request);

#endif
