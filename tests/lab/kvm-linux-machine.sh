#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A Linux guest on KVM of the given kind (interrupt controllers in the kernel or in QEMU, PC devices, a named processor model)
# goes through two generations.
# usage: kvm-linux-machine MACHINE[,OPTION=VALUE...] [CPU_MODEL]     as QEMU's -M and -cpu have them
. "$(dirname "$0")/lib.sh"
guest_kvm "$@"
guest_disk
mapfile -t disk < <(guest_with_disk)
launcher=("$STASIS" run --name lab-guest --)
guest_start "fill=4" 192 "${disk[@]}"
guest_healthy
guest_nonce
one_generation "$scratch/first.stasis"
one_generation "$scratch/second.stasis"
end_process "$pid"
nothing_left
