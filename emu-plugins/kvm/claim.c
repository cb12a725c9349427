// SPDX-License-Identifier: LGPL-2.1-or-later
/* KVM: what it is known by. Link texts: virt/kvm/kvm_main.c. */
#include "plugins.h"

#define WHY "virtual machines of /dev/kvm cannot be checkpointed yet"
#define REMEDY "start the emulator without KVM (QEMU: -accel tcg)"

const struct fd_claim kvm_claims[] = {
	{ "/dev/kvm", "KVM", WHY, REMEDY },
	{ "anon_inode:kvm-vm", "KVM virtual machine", WHY, REMEDY },
	{ "anon_inode:kvm-vcpu:*", "KVM virtual CPU", WHY, REMEDY },
	{ "anon_inode:kvm-*", "KVM device", WHY, REMEDY },
	{ "anon_inode:\\[kvm-*", "KVM device", WHY, REMEDY },
	{ 0 },
};
