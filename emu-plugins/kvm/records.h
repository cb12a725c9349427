/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an image says of KVM. Objects are named by their index in the recorder's journal. */
#ifndef STASIS_KVM_RECORDS_H
#define STASIS_KVM_RECORDS_H

#include <stdint.h>

#include "schema.h"

/* The old host's KVM: one per image. */
struct kvm_rec_host {
	int32_t api_version;
	struct img_bytes cpuid; /* struct kvm_cpuid_entry2[]: KVM_GET_SUPPORTED_CPUID */
	struct img_bytes msrs;  /* uint32_t[]: KVM_GET_MSR_INDEX_LIST */
	struct img_bytes caps;  /* struct kvm_cap_value[] */
	uint32_t tsc_khz;       /* of the host */
	bool tsc_scaling;
	uint32_t xsave_size;
	struct img_bytes features; /* struct kvm_msr_entry[]: the most that feature MSRs may say */
	uint64_t xcomp_supported;
};

/* A virtual machine. */
struct kvm_rec_machine {
	uint32_t object;
	int32_t fd;
	uint32_t type;
	uint64_t seq;
	struct img_bytes lines;     /* a bit per GSI that is high */
	struct img_bytes chips[3];  /* struct kvm_irqchip: both PICs and the IOAPIC; none of them without or with a split irqchip */
	struct img_bytes pit;       /* struct kvm_pit_state2 */
	struct img_bytes clock;     /* struct kvm_clock_data */
	int64_t clock_ns;           /* the target's CLOCK_MONOTONIC at the reading of `clock` */
	int64_t clock_offset_ns;    /* the target's CLOCK_MONOTONIC less that of the old host, which the PIT's times count in */
	uint64_t guest_xfeatures;   /* ARCH_GET_XCOMP_GUEST_PERM, of the whole process */
};

/* A virtual CPU. */
struct kvm_rec_vcpu {
	uint32_t object, machine;
	int32_t fd;
	uint32_t id;
	uint64_t seq;
	struct img_bytes mp_state, regs, sregs, xsave, xcrs, debugregs, lapic, events, nested; /* sregs: struct kvm_sregs2 */
	struct img_bytes cpuid;     /* struct kvm_cpuid_entry2[] */
	struct img_bytes msrs;      /* struct kvm_msr_entry[]; TSC and TSC deadline are apart */
	uint32_t tsc_khz;           /* what the guest sees */
	bool has_tsc_offset;
	int64_t tsc_offset;
	uint64_t tsc;               /* of a machine's first: what the guest read ... */
	int64_t tsc_ns;             /* ... when the target's CLOCK_MONOTONIC was that */
	uint64_t tsc_deadline;
	int64_t lapic_ns;           /* the target's CLOCK_MONOTONIC when `lapic` was read: its timer's count is of then */
	struct img_bytes run;       /* the mapping: struct kvm_run, PIO data, coalesced ring */
};

/* Statistics. */
struct kvm_rec_stats {
	uint32_t object, parent;
	int32_t fd;
	uint64_t seq;
};

/* A call that has to be made again (journal.h). */
struct kvm_rec_entry {
	uint32_t index, object;
	uint64_t request, seq;
	struct img_bytes data;
};

extern const struct img_schema kvm_host_schema, kvm_machine_schema, kvm_vcpu_schema, kvm_stats_schema, kvm_entry_schema;
extern const struct img_schema *const kvm_schemas[];

#endif
