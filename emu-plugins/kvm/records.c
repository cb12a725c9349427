// SPDX-License-Identifier: LGPL-2.1-or-later
/* The field tables of KVM's records. A field's number is its meaning for ever. */
#include "records.h"

static const struct img_field host_fields[] = {
	IMG_FIELD_REQUIRED(1, kvm_rec_host, api_version, IMG_I32, IMG_DEC),
	IMG_FIELD(2, kvm_rec_host, cpuid, IMG_BYTES, IMG_HEX),
	IMG_FIELD(3, kvm_rec_host, msrs, IMG_BYTES, IMG_HEX),
	IMG_FIELD(4, kvm_rec_host, caps, IMG_BYTES, IMG_HEX),
	IMG_FIELD(5, kvm_rec_host, tsc_khz, IMG_U32, IMG_DEC),
	IMG_FIELD(6, kvm_rec_host, tsc_scaling, IMG_BOOL, IMG_DEC),
	IMG_FIELD(7, kvm_rec_host, xsave_size, IMG_U32, IMG_DEC),
	IMG_FIELD(8, kvm_rec_host, features, IMG_BYTES, IMG_HEX),
	IMG_FIELD(9, kvm_rec_host, xcomp_supported, IMG_U64, IMG_HEX),
};
const struct img_schema kvm_host_schema = IMG_SCHEMA("KVMH", 1, IMG_MUST_UNDERSTAND, "KVM host", kvm_rec_host, host_fields);

static const struct img_field machine_fields[] = {
	IMG_FIELD_REQUIRED(1, kvm_rec_machine, object, IMG_U32, IMG_DEC),
	IMG_FIELD_REQUIRED(2, kvm_rec_machine, fd, IMG_I32, IMG_DEC),
	IMG_FIELD(3, kvm_rec_machine, type, IMG_U32, IMG_DEC),
	IMG_FIELD(4, kvm_rec_machine, seq, IMG_U64, IMG_DEC),
	IMG_FIELD(5, kvm_rec_machine, lines, IMG_BYTES, IMG_HEX),
	IMG_FIELD(6, kvm_rec_machine, chips[0], IMG_BYTES, IMG_HEX),
	IMG_FIELD(7, kvm_rec_machine, chips[1], IMG_BYTES, IMG_HEX),
	IMG_FIELD(8, kvm_rec_machine, chips[2], IMG_BYTES, IMG_HEX),
	IMG_FIELD(9, kvm_rec_machine, pit, IMG_BYTES, IMG_HEX),
	IMG_FIELD(10, kvm_rec_machine, clock, IMG_BYTES, IMG_HEX),
	IMG_FIELD(11, kvm_rec_machine, clock_ns, IMG_I64, IMG_DEC),
	IMG_FIELD(12, kvm_rec_machine, clock_offset_ns, IMG_I64, IMG_DEC),
	IMG_FIELD(13, kvm_rec_machine, guest_xfeatures, IMG_U64, IMG_HEX),
};
const struct img_schema kvm_machine_schema =
	IMG_SCHEMA("KVMM", 1, IMG_MUST_UNDERSTAND, "KVM virtual machine", kvm_rec_machine, machine_fields);

static const struct img_field vcpu_fields[] = {
	IMG_FIELD_REQUIRED(1, kvm_rec_vcpu, object, IMG_U32, IMG_DEC),
	IMG_FIELD_REQUIRED(2, kvm_rec_vcpu, machine, IMG_U32, IMG_DEC),
	IMG_FIELD_REQUIRED(3, kvm_rec_vcpu, fd, IMG_I32, IMG_DEC),
	IMG_FIELD(4, kvm_rec_vcpu, id, IMG_U32, IMG_DEC),
	IMG_FIELD(5, kvm_rec_vcpu, seq, IMG_U64, IMG_DEC),
	IMG_FIELD(6, kvm_rec_vcpu, mp_state, IMG_BYTES, IMG_HEX),
	IMG_FIELD(7, kvm_rec_vcpu, regs, IMG_BYTES, IMG_HEX),
	IMG_FIELD(8, kvm_rec_vcpu, sregs, IMG_BYTES, IMG_HEX),
	IMG_FIELD(9, kvm_rec_vcpu, xsave, IMG_BYTES, IMG_HEX),
	IMG_FIELD(10, kvm_rec_vcpu, xcrs, IMG_BYTES, IMG_HEX),
	IMG_FIELD(11, kvm_rec_vcpu, debugregs, IMG_BYTES, IMG_HEX),
	IMG_FIELD(12, kvm_rec_vcpu, lapic, IMG_BYTES, IMG_HEX),
	IMG_FIELD(13, kvm_rec_vcpu, events, IMG_BYTES, IMG_HEX),
	IMG_FIELD(14, kvm_rec_vcpu, nested, IMG_BYTES, IMG_HEX),
	IMG_FIELD(15, kvm_rec_vcpu, cpuid, IMG_BYTES, IMG_HEX),
	IMG_FIELD(16, kvm_rec_vcpu, msrs, IMG_BYTES, IMG_HEX),
	IMG_FIELD(17, kvm_rec_vcpu, tsc_khz, IMG_U32, IMG_DEC),
	IMG_FIELD(18, kvm_rec_vcpu, has_tsc_offset, IMG_BOOL, IMG_DEC),
	IMG_FIELD(19, kvm_rec_vcpu, tsc_offset, IMG_I64, IMG_DEC),
	IMG_FIELD(20, kvm_rec_vcpu, tsc, IMG_U64, IMG_DEC),
	IMG_FIELD(21, kvm_rec_vcpu, tsc_ns, IMG_I64, IMG_DEC),
	IMG_FIELD(22, kvm_rec_vcpu, tsc_deadline, IMG_U64, IMG_DEC),
	IMG_FIELD(23, kvm_rec_vcpu, run, IMG_BYTES, IMG_HEX),
	IMG_FIELD(24, kvm_rec_vcpu, lapic_ns, IMG_I64, IMG_DEC),
};
const struct img_schema kvm_vcpu_schema = IMG_SCHEMA("KVMC", 1, IMG_MUST_UNDERSTAND, "KVM virtual CPU", kvm_rec_vcpu, vcpu_fields);

static const struct img_field stats_fields[] = {
	IMG_FIELD_REQUIRED(1, kvm_rec_stats, object, IMG_U32, IMG_DEC),
	IMG_FIELD_REQUIRED(2, kvm_rec_stats, parent, IMG_U32, IMG_DEC),
	IMG_FIELD_REQUIRED(3, kvm_rec_stats, fd, IMG_I32, IMG_DEC),
	IMG_FIELD(4, kvm_rec_stats, seq, IMG_U64, IMG_DEC),
};
const struct img_schema kvm_stats_schema = IMG_SCHEMA("KVMS", 1, IMG_MUST_UNDERSTAND, "KVM statistics", kvm_rec_stats, stats_fields);

static const struct img_field entry_fields[] = {
	IMG_FIELD_REQUIRED(1, kvm_rec_entry, index, IMG_U32, IMG_DEC),
	IMG_FIELD_REQUIRED(2, kvm_rec_entry, object, IMG_U32, IMG_DEC),
	IMG_FIELD_REQUIRED(3, kvm_rec_entry, request, IMG_U64, IMG_HEX),
	IMG_FIELD(4, kvm_rec_entry, seq, IMG_U64, IMG_DEC),
	IMG_FIELD(5, kvm_rec_entry, data, IMG_BYTES, IMG_HEX),
};
const struct img_schema kvm_entry_schema = IMG_SCHEMA("KVME", 1, IMG_MUST_UNDERSTAND, "KVM call", kvm_rec_entry, entry_fields);

const struct img_schema *const kvm_schemas[] = { &kvm_host_schema, &kvm_machine_schema, &kvm_vcpu_schema, &kvm_stats_schema, &kvm_entry_schema, NULL };
