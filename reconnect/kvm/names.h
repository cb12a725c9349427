/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names for the numbers of KVM's capabilities and of x86 MSRs, for messages. They are plain tables. */
#ifndef STASIS_RECONNECT_KVM_NAMES_H
#define STASIS_RECONNECT_KVM_NAMES_H

#include <stddef.h>
#include <stdint.h>

/* Capability numbers that may have a name are below this. */
#define KVM_NAMES_CAPS 244

/* The name with its prefix, "KVM_CAP_IRQCHIP"; NULL = not known. Source: linux/kvm.h. */
const char *kvm_names_cap(uint32_t number);

/* Puts "MSR 0x174 (IA32_SYSENTER_CS)", or only "MSR 0x174", into buf and returns it. 64 bytes suffice. */
const char *kvm_names_msr(uint32_t index, char *buf, size_t size);

#endif
