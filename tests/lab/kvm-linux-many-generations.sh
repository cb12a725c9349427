#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A Linux guest on KVM goes through N generations, each the checkpoint of a guest that was restarted from the one before.
# usage: kvm-linux-many-generations N
. "$(dirname "$0")/lib.sh"
guest_kvm microvm
guest_disk
mapfile -t disk < <(guest_with_disk)
launcher=("$STASIS" run --name lab-guest --)
guest_start "fill=4 churn=1" 192 "${disk[@]}"
guest_healthy
guest_nonce
generations=${1:-3}
for ((i = 1; i <= generations; i++)); do
	rm -f "$scratch/old.stasis"
	[ $i = 1 ] || mv "$scratch/new.stasis" "$scratch/old.stasis"
	take_checkpoint "$pid" "$scratch/new.stasis"
	end_process "$pid"
	restart_image "$scratch/new.stasis"
	wait_ticks 3
	same_guest "$nonce"
	step "generation $i of $generations"
done
guest_goes_on
guest_ask quit "^BYE"
wait_for "$E2E_PATIENCE" "QEMU to end" is_gone "$pid"
ticks_are_well
nothing_left
